"""The ways to run a model that `engine.py` and `gpu.py` compare: ours, transformers' `generate`, llama.cpp.

All decode greedily. What is timed is what a request waits for: from token ids to token ids.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch

from aix_lsp.engine.decode import Decoder

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one request took until its first and its last token, and how many there were."""

    first_ms: float
    total_ms: float
    tokens: int

    @property
    def per_token_ms(self) -> float:
        """For each token behind the first."""
        return (self.total_ms - self.first_ms) / max(self.tokens - 1, 1)

    def total_of(self, count: int) -> float:
        """Until `count` tokens; a model that ended sooner is taken to have gone on as fast."""
        return self.first_ms + (count - 1) * self.per_token_ms


class Contender(Protocol):
    """One model, held for the whole run."""

    def forget(self) -> None:
        """Drop what is kept of earlier prompts."""
        ...

    def remember(self, ids: Sequence[int], count: int) -> None:
        """Answer a request untimed, so that the next finds what a cache would hold. Nothing without a cache."""
        ...

    def run(self, ids: Sequence[int], count: int) -> Timing:
        """Answer a request with `count` tokens."""
        ...


class Ours:
    """The product's decoder, which no end token ends."""

    def __init__(self, decoder: Decoder, clock: Clock) -> None:
        self.decoder = decoder
        self.decoder.stop_ids = frozenset()
        self.clock = clock

    def forget(self) -> None:
        """See `Contender`."""
        self.decoder.forget()

    def remember(self, ids: Sequence[int], count: int) -> None:
        """See `Contender`."""
        self.run(ids, count)

    def run(self, ids: Sequence[int], count: int) -> Timing:
        """See `Contender`."""
        began = self.clock()
        produced = self.decoder.generate(ids)
        tokens = int(next(produced, None) is not None)
        first = self.clock()
        tokens += sum(1 for _ in islice(produced, count - 1))
        ended = self.clock()
        produced.close()
        return Timing(1000 * (first - began), 1000 * (ended - began), tokens)


class Generate:
    """`model.generate` as the reference's script calls it: the whole prompt each time, greedily.

    Its end tokens are taken away, so that it always writes as many tokens as are asked for. The first token is timed
    by a request for one.
    """

    def __init__(self, model: Any, clock: Clock) -> None:
        self.clock = clock
        self.model = model
        self.model.generation_config.eos_token_id = None

    def forget(self) -> None:
        """It keeps nothing."""

    def remember(self, ids: Sequence[int], count: int) -> None:
        """It keeps nothing."""

    def run(self, ids: Sequence[int], count: int) -> Timing:
        """See `Contender`."""
        first = self._timed(ids, 1)
        return Timing(first, self._timed(ids, count) if count > 1 else first, count)

    def tokens(self, ids: Sequence[int], count: int) -> list[int]:
        """What it writes."""
        prompt = torch.tensor([list(ids)], device=self.model.device)
        written = self.model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False
        )
        return written[0, len(ids) :].tolist()  # type: ignore[no-any-return]

    def _timed(self, ids: Sequence[int], count: int) -> float:
        began = self.clock()
        self.tokens(ids, count)
        return 1000 * (self.clock() - began)


class LlamaCpp:
    """llama.cpp through llama-cpp-python, on a GGUF file of the same model. It keeps the common prefix itself."""

    def __init__(self, gguf: Path, threads: int, positions: int, clock: Clock) -> None:
        from llama_cpp import Llama

        self.clock = clock
        self.model = Llama(
            str(gguf), n_ctx=positions, n_threads=threads or None, n_threads_batch=threads or None, verbose=False
        )

    def forget(self) -> None:
        """See `Contender`."""
        self.model.reset()

    def remember(self, ids: Sequence[int], count: int) -> None:
        """See `Contender`."""
        self.run(ids, count)

    def run(self, ids: Sequence[int], count: int) -> Timing:
        """See `Contender`."""
        began = self.clock()
        produced = self.model.generate(list(ids), temp=0.0, repeat_penalty=1.0)
        next(produced)
        first = self.clock()
        tokens = 1 + sum(1 for _ in islice(produced, count - 1))
        ended = self.clock()
        produced.close()
        return Timing(1000 * (first - began), 1000 * (ended - began), tokens)


def reference_model(source: Path, dtype: torch.dtype) -> Any:
    """The model as transformers loads it."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(source, dtype=dtype, local_files_only=True).eval()


def has_llama_cpp() -> bool:
    """Whether llama-cpp-python can be imported."""
    return importlib.util.find_spec("llama_cpp") is not None
