"""Fine-tuning a model with low-rank adapters (Hu et al. 2021), by peft: the base, its adapter, and what is written.

The base may be loaded in 4 bits (QLoRA, Dettmers et al. 2023), which needs an NVIDIA GPU and bitsandbytes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from aix_lsp.engine.adapter import CONFIG, NOTES, WEIGHTS, fingerprint
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, described, known, resolve
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.loading import locate, max_positions, plan_load, read_weights
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.files import replaced_file
from aix_lsp.prompt.fim import FimFamily, family_of
from aix_lsp.training.corpus.store import write_json

TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Layers of a Llama that get an adapter: attention and feed-forward, as aiXcoder-7B's own fine-tuning has them."""

_CHECKPOINTED_FROM: Final = 1_000_000_000
"""Parameters from which activations are computed again in the backward pass, to save memory."""


class LoraError(ValueError):
    """A model cannot be fine-tuned as asked; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model to fine-tune. `name` is what an adapter calls its base: a catalog or hub name, or the bare name of a
    folder (never its path). `parameters` counts the numbers in its weight files."""

    name: str
    entry: CatalogEntry
    folder: Path
    model: Any
    tokenizer: ModelTokenizer
    family: FimFamily
    device: str
    dtype: str
    max_positions: int
    parameters: int
    fingerprint: str
    four_bit: bool


def load_base(name: str, *, four_bit: bool = False, device: str = "auto", dtype: str = "auto") -> Base:
    """Load the model of a catalog name, a hub name (from the local cache) or a folder, for training.

    `device` and `dtype` are those of `ModelSettings`. Under `accelerate launch` each process loads it to its own GPU.
    Raises LoraError or ModelError with one line: among others for a model without fill-in-the-middle markers.
    """
    if find_spec("peft") is None:
        raise LoraError("fine-tuning needs the package peft; pip install 'aix-lsp[train]'")
    entry = resolve(name)
    folder = locate(entry.source)
    entry = described(entry, folder)
    checkpoint = inspect(folder)
    # TokenizerError is a ValueError of one line
    tokenizer = load_tokenizer(folder)
    family = family_of(tokenizer)
    if family is None:
        raise LoraError(f"{entry.name} has no fill-in-the-middle markers in its tokenizer; choose a model that has")
    if four_bit:
        _check_four_bit(device)
    try:
        plan = plan_load(
            checkpoint,
            device,
            dtype,
            "int4" if four_bit else "none",
            # Rows carry masks of their own, which flash-attn does not take.
            "sdpa",
            int(os.environ.get("LOCAL_RANK", "0")),
            # Gradients go through bitsandbytes' layers, not through those that serve.
            quantizer="bitsandbytes",
        )
    except ModelError as error:
        raise LoraError(str(error).replace("model.quantization = int8 or int4", "--four-bit")) from error
    model = read_weights(checkpoint, plan)
    source = entry.source
    return Base(
        name=entry.name if entry.name in known() else source if isinstance(source, str) else folder.resolve().name,
        entry=entry,
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        family=family,
        device=plan.device,
        dtype=plan.dtype,
        max_positions=max_positions(model.config, folder),
        parameters=checkpoint.parameters,
        fingerprint=fingerprint(checkpoint),
        four_bit=four_bit,
    )


def with_lora(
    base: Base, *, rank: int = 8, alpha: int = 16, dropout: float = 0.05, targets: Sequence[str] = TARGETS
) -> Any:
    """The base with a fresh adapter, as a model of peft in training mode; only the adapter's factors are trained.

    A is drawn at random (PyTorch's generator decides), B is zero: the model begins as it was. Big bases get gradient
    checkpointing. Raises LoraError when a number is out of range or the model has none of the layers.
    """
    import peft
    import torch

    if rank < 1 or alpha <= 0 or not 0 <= dropout < 1:
        raise LoraError(f"rank {rank}, alpha {alpha} and dropout {dropout} must be at least 1, above 0, and in [0, 1)")
    model = base.model
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if not (found := [target for target in targets if target in present]):
        raise LoraError(f"{base.name} has no layers named {', '.join(targets)}; it cannot be fine-tuned")
    big = base.parameters >= _CHECKPOINTED_FROM
    if base.four_bit:
        model = peft.prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=big, gradient_checkpointing_kwargs={"use_reentrant": False}
        )
    elif big:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        # Otherwise no gradient would enter the first block: its input does not depend on anything that is trained.
        model.enable_input_require_grads()
    # The cache is of no use in training, and keeps memory.
    model.config.use_cache = False
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=found, bias="none"
    )
    # peft writes the base's name into its configuration; a path of this machine has no place there.
    model.name_or_path = model.config.name_or_path = base.name
    with warnings.catch_warnings():
        # peft asks transformers with a name that it has deprecated since; nobody here can do anything about it.
        warnings.simplefilter("ignore", FutureWarning)
        tuned = peft.get_peft_model(model, config)
    # Factors in float32 whatever the base: their steps are too small for 16 bits.
    for parameter in tuned.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return tuned.train()


def save_adapter(model: Any, base: Base, out: Path, languages: Sequence[str]) -> None:
    """Write the adapter of a peft model into the folder `out`, in peft's layout with an `aix.json` beside it.

    `languages` are protocol identifiers. The configuration, without which nothing is an adapter, is taken away first
    and written last, so that a write that fails leaves no half of one. Raises OSError for a full or read-only disk,
    LoraError when the training has spoilt the weights (NaN).
    """
    import peft
    import torch
    from safetensors.torch import save

    tensors = {
        key: value.detach().to("cpu").contiguous()
        for key, value in peft.get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise LoraError("the training diverged (NaN in the weights), and nothing was written; lower --lr")
    config = dict(model.peft_config["default"].to_dict())
    config["target_modules"] = sorted(config["target_modules"])
    config |= {"inference_mode": True, "base_model_name_or_path": base.name}
    notes = {"base": base.name, "base_fingerprint": base.fingerprint, "languages": sorted(set(languages))}
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).unlink(missing_ok=True)
    with replaced_file(out / WEIGHTS) as file:
        file.write(save(tensors, {"format": "pt"}))
    write_json(out / NOTES, notes)
    write_json(out / CONFIG, {key: _plain(value) for key, value in config.items()})


def _check_four_bit(device: str) -> None:
    import torch

    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        raise LoraError("--four-bit needs an NVIDIA GPU, and PyTorch finds none; leave it out")
    if missing := [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]:
        raise LoraError(f"--four-bit needs {' and '.join(missing)}; pip install 'aix-lsp[quant]'")


def _plain(value: Any) -> Any:
    """A value as JSON can have it (peft's enumerations are strings of their own kind)."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(getattr(value, "value", value))
