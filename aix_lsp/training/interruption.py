"""Control-C and a request to end wait for the step under way, so that it can be kept."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SAME = 1.0  # seconds in which a second signal is the first one, passed on by a launcher that a terminal told as well


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Whether somebody has asked this process to end, while the block runs: by SIGINT or SIGTERM.

    Asked a second time it ends at once, as it would without this. A signal that is ignored stays so, and outside the
    main thread nothing changes.
    """
    asked: list[float] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if asked and now - asked[0] > _SAME:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        asked.append(now)

    if threading.current_thread() is threading.main_thread():
        for kind in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(kind)
            # None: set by something else than Python, and not to be had back
            if handler not in (signal.SIG_IGN, None):
                before[kind] = handler
                signal.signal(kind, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
