"""How many threads a pass over a few tokens runs on: a short product may be over before a second thread is awake."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

_TRIES = 8
_AGAIN = 4000


class FewThreads:
    """Runs passes on one thread or on all, whichever was found faster; `threads` is how many "all" are.

    The first passes take turns and are timed; the better half of each kind is compared, since other programs only ever
    make a pass slower. That is looked at again every few thousand passes: machines get busy and idle.
    """

    def __init__(
        self, threads: int, set_threads: Callable[[int], None], clock: Callable[[], float] = perf_counter
    ) -> None:
        self.threads = threads
        self.best = 0
        self._set = set_threads
        self._clock = clock
        self._times: dict[int, list[float]] = {1: [], threads: []}
        self._passes = 0
        self._began = 0.0
        self._now = threads

    def __enter__(self) -> None:
        if self.threads < 2:
            return
        self._now = self.best or (1, self.threads)[self._passes % 2]
        self._passes += 1
        if self._now != self.threads:
            self._set(self._now)
        if not self.best:
            self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        if self.threads < 2:
            return
        if self._now != self.threads:
            self._set(self.threads)
        if not self.best:
            self._times[self._now].append(self._clock() - self._began)
            if self._passes >= 2 * _TRIES:
                self.best = min(self._times, key=lambda count: sum(sorted(self._times[count])[: _TRIES // 2]))
                self._passes = 0
        elif self._passes >= _AGAIN:
            self._times = {1: [], self.threads: []}
            self.best = self._passes = 0
