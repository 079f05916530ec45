"""How likely a model finds whole texts, read from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.adapter import apply_adapter, check_base, inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.job import describe
from aix_lsp.engine.loading import locate

if TYPE_CHECKING:
    import torch


def nats_of(
    source: Path | str,
    texts: Iterable[tuple[Sequence[int], Sequence[int]]],
    *,
    positions: int,
    threads: int = 0,
    adapter: Path | None = None,
    model: Any = None,
) -> Iterator[float]:
    """Minus the natural logarithm of the likelihood of each text's tokens, given as pairs (lead, ids).

    The lead (a beginning, a header) stands in front and is not counted. A text longer than `positions` tokens goes
    through the model in windows, of which each begins with the lead and, the first aside, half of which was counted
    before: every token has half a window of text before it to go by, or all that the text has before it (the strided
    evaluation of Baevski and Auli 2019). Weights are float32 on a processor, bfloat16 on a GPU that has it, with the
    adapter in the folder `adapter` in them. Raises ModelError for a model that cannot be loaded, ValueError for a lead
    that leaves no room or for one without tokens.
    """
    model = model if model is not None else _load(source, adapter)
    import torch

    if threads > 0:
        torch.set_num_threads(threads)
    for lead, ids in texts:
        room = positions - len(lead)
        if room < 2 or not lead:
            raise ValueError(f"a text wants between 1 and {positions - 2} tokens in front of it, not {len(lead)}")
        nats = 0.0
        counted = 0
        while counted < len(ids):
            start = max(0, counted - room // 2) if counted else 0
            window = ids[start : start + room]
            nats += _nats(model, lead, window, counted - start)
            counted = start + len(window)
        yield nats


def _nats(model: Any, lead: Sequence[int], ids: Sequence[int], known: int) -> float:
    """The same for those of `ids` behind the first `known`."""
    import torch

    tokens = torch.tensor([[*lead, *ids]], device=model.device)
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=tokens, use_cache=False).logits[0]
        first = len(lead) + known
        picked = torch.nn.functional.cross_entropy(logits[first - 1 : -1].float(), tokens[0, first:], reduction="sum")
    return float(picked)


def _load(source: Path | str, adapter: Path | None) -> Any:
    checkpoint = inspect(locate(source))
    addition = None if adapter is None else inspect_adapter(adapter)
    if addition is not None:
        check_base(addition, checkpoint)
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if gpu and torch.cuda.is_bf16_supported() else torch.float32
    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the model in {checkpoint.folder} could not be loaded: {describe(error)}") from error
    if addition is not None:
        apply_adapter(model, addition)
    return model.to("cuda" if gpu else "cpu").eval()
