"""How much two texts have in common at their ends: what an edit left alone.

By large steps and then by halves, comparing slices: no step of Python's own per character.
"""

from __future__ import annotations

from typing import AnyStr, Final

_STEP: Final = 4096


def common_start(one: AnyStr, other: AnyStr) -> int:
    """How many characters (or bytes) two texts begin with alike."""
    limit = min(len(one), len(other))
    low = 0
    while low < limit and one[low : low + _STEP] == other[low : low + _STEP]:
        low += _STEP
    high = min(low + _STEP, limit)
    low = min(low, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_end(one: AnyStr, other: AnyStr, start: int = 0) -> int:
    """How many characters (or bytes) two texts end with alike, not counting the first `start` of either."""
    limit = max(0, min(len(one), len(other)) - start)
    low = 0
    while low < limit and _from_end(one, low, low + _STEP) == _from_end(other, low, low + _STEP):
        low += _STEP
    high = min(low + _STEP, limit)
    low = min(low, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if _from_end(one, low, middle) == _from_end(other, low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _from_end(text: AnyStr, low: int, high: int) -> AnyStr:
    return text[max(0, len(text) - high) : len(text) - low]
