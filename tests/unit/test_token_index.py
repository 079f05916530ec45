"""Where the end of a text stood before, against a search that tries every place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.token_index import BORDER, TokenIndex, reading_order

TOKENS = st.lists(st.integers(0, 3), max_size=14)
SEGMENTS = st.lists(TOKENS, max_size=3)


def joined(segments: Sequence[Sequence[int]], text: Sequence[int]) -> list[int]:
    return [BORDER, *(token for segment in segments for token in (*segment, BORDER)), *text]


def by_search(ids: Sequence[int], longest: int) -> dict[int, int]:
    found = {}
    for place in range(len(ids) - 1):
        length = 0
        while length < longest and ids[place - length] == ids[len(ids) - 1 - length] != BORDER:
            length += 1
        if length:
            found[place] = length
    return found


@given(SEGMENTS, TOKENS, TOKENS, st.integers(1, 6))
def test_matches_are_those_of_a_full_search(
    segments: list[list[int]], text: list[int], more: list[int], longest: int
) -> None:
    index = TokenIndex(segments, text, longest=longest)
    ids = joined(segments, text)
    assert index.matches == by_search(ids, longest)
    for token in more:
        index.push(token)
        ids.append(token)
        assert index.matches == by_search(ids, longest)
        assert len(index) == len(ids)


@given(SEGMENTS, TOKENS, st.sets(st.integers(0, 3), max_size=2))
def test_followers_are_those_of_the_longest_matches_that_may_be(
    segments: list[list[int]], text: list[int], allowed: set[int]
) -> None:
    ids = joined(segments, text)
    found = [
        (length, ids[place + 1])
        for place, length in by_search(ids, 32).items()
        if ids[place + 1] != BORDER and (not allowed or ids[place + 1] in allowed)
    ]
    longest = max(found, default=(0, 0))[0]
    wanted = Counter(token for length, token in found if length == longest)
    assert TokenIndex(segments, text).followers(allowed) == (longest, wanted)


@given(SEGMENTS, TOKENS.filter(bool), st.integers(0, 5))
def test_what_followed_ends_with_its_segment(segments: list[list[int]], text: list[int], limit: int) -> None:
    index = TokenIndex(segments, text)
    ids = joined(segments, text)
    for place in index.matches:
        rest = ids[place + 1 :]
        rest = rest[: rest.index(BORDER)] if BORDER in rest else rest
        assert index.following(place, limit) == rest[:limit]


def test_a_match_has_a_length() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        TokenIndex(longest=0)


BEGIN, PREFIX, SUFFIX, MIDDLE, END = MARKERS = (1, 4, 5, 6, 2)


@pytest.mark.parametrize(
    ("ids", "segments", "text"),
    [
        ([BEGIN, PREFIX, SUFFIX, 30, 31, MIDDLE, 20, 21], [[30, 31]], [20, 21]),
        ([BEGIN, PREFIX, 20, 21, SUFFIX, 30, 31, MIDDLE], [[30, 31]], [20, 21]),
        ([BEGIN, 40, END, BEGIN, PREFIX, 20, SUFFIX, 30, MIDDLE], [[40], [30]], [20]),
        ([BEGIN, 40, END, BEGIN, 20], [[40]], [20]),
        ([BEGIN, PREFIX, SUFFIX, 30, MIDDLE], [[30]], []),
        ([BEGIN, 40, END, BEGIN], [[40]], []),
        ([PREFIX, SUFFIX, 30, MIDDLE], [[30]], []),
        ([BEGIN, 20], [], [20]),
        ([20, 21], [], [20, 21]),
        ([BEGIN], [], []),
        ([], [], []),
    ],
)
def test_generation_goes_on_from_the_prefix_in_every_order(
    ids: list[int], segments: list[list[int]], text: list[int]
) -> None:
    assert reading_order(ids, frozenset(MARKERS)) == (segments, text)


@given(SEGMENTS, TOKENS)
def test_the_longest_match_is_the_latest_that_goes_on(segments: list[list[int]], text: list[int]) -> None:
    ids = joined(segments, text)
    found = [(length, place) for place, length in by_search(ids, 32).items() if ids[place + 1] != BORDER]
    length, place = max(found, default=(0, 0))
    assert TokenIndex(segments, text).longest() == (place, length)
