"""Waiting for what happens in other processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT = 180.0
"""Seconds; far more than anything takes, for machines that are loaded."""

_PAUSE = 0.05

T = TypeVar("T")


def until(
    found: Callable[[], T | None], what: str, limit: float = LIMIT, instead: Callable[[], object] | None = None
) -> T:
    """The first value that is true. Raises AssertionError with what was waited for, and what is there `instead`."""
    end = time.monotonic() + limit
    while not (value := found()):
        if time.monotonic() > end:
            there = value if instead is None else instead()
            raise AssertionError(f"not within {limit:.0f} s: {what}; there is {there!r}")
        time.sleep(_PAUSE)
    return value
