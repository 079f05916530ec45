"""Whether the model's thread still moves in a request. A driver or a disk that hangs does not raise, and a thread in
native code cannot be ended. It is felt at each look for cancellation, which comes before every pass of the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

STUCK_S = 120.0
"""A request that has not moved for so long is answered without the model. A pass is over 96 tokens of a prompt at most
on a processor (a second or two for the largest models, ten times that on a busy machine), over 2048 on a GPU; a load
is none of a request's passes, and may take any time."""

_LOOKS = 4
"""How often is looked within that time."""


class Pulse:
    """When the thread was last seen to move; nothing while it is at rest."""

    def __init__(self) -> None:
        self._felt: float | None = None
        self._forgiven = time.monotonic()

    def beat(self) -> None:
        """It moves. On its own thread."""
        self._felt = time.monotonic()

    def forgive(self) -> None:
        """The time until now does not count: nothing in this process could move. From any thread."""
        self._forgiven = time.monotonic()

    def rest(self) -> None:
        """It has nothing to do, or something that may take any time."""
        self._felt = None

    @property
    def stands_still(self) -> bool:
        """Whether it is at work and has not moved for `STUCK_S` seconds. From any thread."""
        felt = self._felt
        return felt is not None and time.monotonic() - max(felt, self._forgiven) >= STUCK_S


class Watch:
    """Calls `look` now and then on a loop, until it is ended. A look that comes late by more than their distance says
    that the whole process did not run (a job that was stopped, a machine asleep): that time is forgiven."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pulse: Pulse, look: Callable[[], None]) -> None:
        self._loop = loop
        self._pulse = pulse
        self._look = look
        self._again()

    def _again(self) -> None:
        distance = STUCK_S / _LOOKS
        self._late = self._loop.time() + 2 * distance
        self._handle = self._loop.call_later(distance, self._now)

    def _now(self) -> None:
        if self._loop.time() > self._late:
            self._pulse.forgive()
        self._again()
        self._look()

    def end(self) -> None:
        """Look no more."""
        self._handle.cancel()
