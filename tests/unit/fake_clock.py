"""Time that passes when a test says so."""

from __future__ import annotations

from collections.abc import Callable


class FakeHandle:
    """A call to come; `cancel` takes it back."""

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self.cancelled = True


class FakeClock:
    """`time` and `call_later` of an event loop. `pass_by` lets seconds pass and makes the calls that are due, in their
    order; `waiting` are those to come."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._calls: list[FakeHandle] = []

    def time(self) -> float:
        """Seconds."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], None], /) -> FakeHandle:
        """Call once `delay` seconds have passed."""
        handle = FakeHandle(self._now + delay, callback)
        self._calls.append(handle)
        return handle

    @property
    def waiting(self) -> list[FakeHandle]:
        """Calls to come, without those that were cancelled."""
        return [handle for handle in self._calls if not handle.cancelled]

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        end = self._now + seconds
        while due := [handle for handle in self.waiting if handle.at <= end]:
            first = min(due, key=lambda handle: handle.at)
            self._calls.remove(first)
            self._now = first.at
            first.callback()
        self._now = end
