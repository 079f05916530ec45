"""The latest requests with all that became of them, so that a user can see why. In memory only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from aix_lsp.types import CompletionRequest, CompletionResult


@dataclass(frozen=True, slots=True)
class Traced:
    """One request and its answer. `number` counts from 1; `time` is seconds since the epoch, of the answer."""

    number: int
    time: float
    request: CompletionRequest
    result: CompletionResult


class TraceLog:
    """The last so many requests of one server, oldest first."""

    def __init__(self, capacity: int) -> None:
        self._kept: deque[Traced] = deque(maxlen=max(capacity, 0))
        self._number = 0

    def note(self, request: CompletionRequest, result: CompletionResult) -> None:
        """Remember one more."""
        self._number += 1
        self._kept.append(Traced(self._number, time.time(), request, result))

    def outcome(self, item_id: str, what: str) -> None:
        """What became of an item: "shown", "accepted", "partly accepted", "typed through", "dismissed"."""

    @property
    def latest(self) -> Traced | None:
        """The latest one; None when nothing is remembered."""
        return self._kept[-1] if self._kept else None

    def __iter__(self) -> Iterator[Traced]:
        return iter(tuple(self._kept))
