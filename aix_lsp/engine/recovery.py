"""What is done when the model fails or memory runs out. Pure rules; who drives a model follows them.

A model that failed is loaded again, a few times a minute at most. When memory runs out while serving, one step down is
taken and the request is run again: fewer kept prompts, then a shorter context, then a smaller number format, and at
last the embedded model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

MOST_RESTARTS = 3
RESTART_WINDOW_S = 60.0

SHORTEST_CONTEXT = 1024
"""Tokens of prompt and completion together below which a shorter context helps less than a smaller model."""

_SMALLEST_SHARE = 4
"""The context is shortened to a quarter of the model's own at most: the key-value cache is the smaller part."""

PRECISIONS = ("none", "int8", "int4")
"""`ModelSettings.quantization` from the largest weights to the smallest."""

_MEMORY_NAMES = ("OutOfMemory", "OutOfMemoryError", "MemoryError")
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, as PyTorch's backends say it. By name and words: nothing is imported here."""
    if any(kind.__name__ in _MEMORY_NAMES for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS)


class RestartLimit:
    """Allows a restart as long as there were fewer than `most` in the last `window_s` seconds, and fewer than `most`
    since a request was last served: a large model takes longer than that to load."""

    def __init__(self, most: int = MOST_RESTARTS, window_s: float = RESTART_WINDOW_S) -> None:
        self.most = most
        self._window_s = window_s
        self._restarts: deque[float] = deque()
        self._in_vain = 0

    def allows(self, now: float) -> bool:
        """Whether to restart at `now` (seconds of a monotonic clock); counts the restart if so."""
        while self._restarts and now - self._restarts[0] >= self._window_s:
            self._restarts.popleft()
        if max(len(self._restarts), self._in_vain) >= self.most:
            return False
        self._restarts.append(now)
        self._in_vain += 1
        return True

    def served(self) -> None:
        """A request was served: the model works, at least now and then."""
        self._in_vain = 0

    @property
    def often(self) -> str:
        """How often it has failed when no restart is allowed, for a person."""
        times = f"{self.most + 1} times"
        return f"{times} within a minute" if len(self._restarts) >= self.most else f"{times} in a row"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far down the ladder a model stands. `full_positions` is what the model has, `positions` what prompts may use
    of them; `quantization` is that of its weights; `spare_caches` whether more prompts are kept than the latest."""

    full_positions: int
    positions: int
    quantization: str = "none"
    spare_caches: bool = True
    embedded: bool = False


def step_down(standing: Standing, precisions: Sequence[str]) -> Standing | None:
    """The next step after memory ran out; None where there is none left.

    `precisions` are the values of `ModelSettings.quantization` that this machine supports for the model. A smaller
    format begins with the whole context again: its weights leave room for it. What is no step at all for the model
    (a short context, an unsupported format) is passed over.
    """
    if standing.spare_caches:
        return replace(standing, spare_caches=False)
    shorter = max(standing.positions // 2, SHORTEST_CONTEXT, standing.full_positions // _SMALLEST_SHARE)
    if shorter < standing.positions:
        return replace(standing, positions=shorter)
    if standing.embedded:
        return None
    below = PRECISIONS[PRECISIONS.index(standing.quantization) + 1 :] if standing.quantization in PRECISIONS else ()
    for precision in below:
        if precision in precisions:
            return replace(standing, quantization=precision, positions=standing.full_positions)
    return replace(standing, embedded=True)


def in_words(before: Standing, after: Standing, *, embedded_name: str) -> str:
    """What the user is told of a step (or of several at once), in one line."""
    said = "memory ran out"
    if after.embedded and not before.embedded:
        return f"{said}: the embedded model {embedded_name} answers from now on; close other programs and restart"
    if after.quantization != before.quantization:
        return f"{said}: the model was loaded again in {after.quantization}"
    if after.positions < before.positions:
        return f"{said}: prompts and completions are kept within {after.positions:,} tokens from now on"
    return f"{said}: only the latest prompt is kept in memory from now on, so changing files takes longer"


def failed_with(error: str) -> str:
    """What is told of a failure; which one it was stands behind the semicolon, and makes no other message of it."""
    return f"the model failed and is loaded again; the error was {error}"
