"""Copying as a baseline, against a search that tries everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.evaluation.copying import Copier, copied_line

TOKENS = st.lists(st.integers(0, 3), max_size=14)
LETTERS = "abcdefghijklmnopqrstuvwxyz\n"


def by_search(
    segments: Sequence[Sequence[int]],
    tail: Sequence[int],
    longest: int,
    shortest: int,
    accepts: Callable[[int], bool],
) -> int | None:
    for size in range(longest, shortest - 1, -1):
        wanted = list(tail[-size:])
        if len(wanted) < size:
            continue
        found = [
            segment[start + size]
            for segment in segments
            for start in range(len(segment) - size)
            if list(segment[start : start + size]) == wanted and accepts(segment[start + size])
        ]
        if found:
            # the last of the most frequent
            return max(reversed(found), key=found.count)
    return None


@given(st.lists(TOKENS, max_size=4), TOKENS, st.integers(1, 6), st.integers(1, 4), st.sets(st.integers(0, 3)))
def test_the_next_token_is_what_a_full_search_finds(
    segments: list[list[int]], tail: list[int], longest: int, shortest: int, refused: set[int]
) -> None:
    longest = max(longest, shortest)
    found = Copier(segments).next(tail, longest=longest, shortest=shortest, accepts=lambda token: token not in refused)
    assert found == by_search(segments, tail, longest, shortest, lambda token: token not in refused)


def ids(text: str) -> list[int]:
    return [LETTERS.index(letter) for letter in text]


def line(text: str, tail: str, *, longest: int = 10, shortest: int = 1, required: str = "", limit: int = 48) -> str:
    tokens = copied_line(
        Copier([ids(text)]),
        ids(tail),
        lambda token: LETTERS[token],
        longest=longest,
        shortest=shortest,
        required=required,
        limit=limit,
    )
    return "".join(LETTERS[token] for token in tokens)


def test_the_longest_match_decides_before_the_most_frequent() -> None:
    # after "b" comes "x" twice, after "ab" comes "c"
    assert line("bxbxabc\n", "ab", limit=1) == "c"
    assert line("bxbxabc\n", "ab", longest=1, limit=1) == "x"


def test_of_equally_frequent_continuations_the_last_one_wins() -> None:
    assert line("abac", "a", limit=1) == "c"


def test_it_ends_with_the_line() -> None:
    assert line("abcd\nef", "ab") == "cd\n"


def test_it_ends_where_nothing_is_known() -> None:
    assert line("abcd", "ab") == "cd"
    assert line("abcd", "z") == ""


def test_a_fixed_length_does_not_fall_back_on_less() -> None:
    assert line("abcd", "zbc", longest=3, shortest=3) == ""
    assert line("abcd", "abc", longest=3, shortest=3) == "d"
    assert line("abcd", "bc", longest=3, shortest=3) == ""


def test_circles_end_at_the_limit() -> None:
    assert line("abab", "a", limit=5) == "babab"


def test_nothing_runs_on_from_one_segment_into_the_next() -> None:
    copier = Copier([ids("ab"), ids("cd")])
    assert copier.next(ids("b"), longest=10) is None
    assert copier.next(ids("bc"), longest=2, shortest=2) is None


def test_what_is_required_is_spelled_first() -> None:
    # "x" is more frequent after "a", but the word under the cursor begins with "b"
    assert line("axaxabc\n", "a", required="b") == "bc\n"
    assert line("axax", "a", required="b") == ""


def test_a_token_may_spell_more_than_is_required() -> None:
    pieces = ["import ", "re", "requests", "\n", " random"]
    tokens = copied_line(
        Copier([[0, 2, 3, 0, 2, 3, 0, 1, 3, 0, 4, 3]]), [0], pieces.__getitem__, longest=10, required="req"
    )
    assert [pieces[token] for token in tokens] == ["requests", "\n"]
