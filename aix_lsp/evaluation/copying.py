"""Completion without a model: continue as the text itself went on before, in tokens.

The baseline that a model of code has to beat. Source code repeats itself: what followed the last few tokens elsewhere
in the file is often what comes next (Hindle et al. 2012, On the naturalness of software; Tu et al. 2014, On the
localness of software).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_BORDER = -1  # between segments: no token, so nothing matches across it and nothing continues with it
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _any(token: int) -> bool:
    del token
    return True


class Copier:
    """Finds what followed an n-gram in some segments of tokens, none of which runs on into the next.

    The later segments weigh no more than the first, but win where two continuations are equally frequent; put the text
    before the cursor last.
    """

    def __init__(self, segments: Sequence[Sequence[int]]) -> None:
        parts = [np.array([*segment, _BORDER], dtype=np.int64) for segment in segments]
        self._ids = np.concatenate([np.array([_BORDER], dtype=np.int64), *parts])

    def next(
        self, tail: Sequence[int], *, longest: int, shortest: int = 1, accepts: Callable[[int], bool] = _any
    ) -> int | None:
        """The token that most often follows the end of `tail`, or None.

        The longest end of at most `longest` and at least `shortest` tokens decides that is followed by a token which
        `accepts` lets pass; of equally frequent ones that which occurs last.
        """
        if shortest < 1 or len(tail) < shortest:
            return None
        ids = self._ids
        ends = np.flatnonzero(ids == tail[-1])
        levels = [ends]
        for size in range(2, min(longest, len(tail)) + 1):
            # the border in front keeps the index from running out on the left
            ends = ends[ends >= size]
            ends = ends[ids[ends - (size - 1)] == tail[-size]]
            if not len(ends):
                break
            levels.append(ends)
        for ends in reversed(levels[shortest - 1 :]):
            best = _most_frequent(ids[ends + 1], accepts)
            if best is not None:
                return best
        return None


def _most_frequent(following: np.ndarray[tuple[int], np.dtype[np.int64]], accepts: Callable[[int], bool]) -> int | None:
    # reversed, the index of the first occurrence is that of the last
    tokens, first, counts = np.unique(following[::-1], return_index=True, return_counts=True)
    found = [
        (int(count), -int(index), int(token))
        for token, index, count in zip(tokens, first, counts, strict=True)
        if token != _BORDER and accepts(int(token))
    ]
    return max(found)[2] if found else None


def copied_line(
    copier: Copier,
    tail: Sequence[int],
    text_of: Callable[[int], str],
    *,
    longest: int,
    shortest: int = 1,
    required: str = "",
    limit: int = 48,
) -> list[int]:
    """Tokens that go on from `tail` until one has a line end (included), nothing is known, or there are `limit`.

    `required` is what token healing took back from `tail` (`prompt/healing.py`): the tokens first spell it out, under
    the rule by which the engine lets a model do so. Nothing when they cannot.
    """
    tokens: list[int] = []
    context = list(tail)
    while len(tokens) < limit:

        def spells(token: int, left: str = required) -> bool:
            text = text_of(token)
            whole = text != "" and _REPLACEMENT not in text
            return whole and (text.startswith(left) or left.startswith(text))

        token = copier.next(context, longest=longest, shortest=shortest, accepts=spells if required else _any)
        if token is None:
            break
        tokens.append(token)
        context.append(token)
        text = text_of(token)
        required = required[len(text) :]
        if "\n" in text:
            break
    return [] if required else tokens
