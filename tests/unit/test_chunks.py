"""Chunks: consecutive lines with a given number of lines that are not blank."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.retrieval.chunks import chunk, lines_between, split_lines


def ranges(text: str, non_blank: int = 10) -> list[tuple[int, int]]:
    return [(piece.start_line, piece.end_line) for piece in chunk(text, non_blank)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n \n\t\n", []),
        ("a", [(1, 1)]),
        ("\n\na\nb\n\nc\n\n", [(3, 4), (6, 6)]),
        ("a\n\nb\nc\nd", [(1, 3), (4, 5)]),
        ("a\r\nb\rc\nd", [(1, 2), (3, 4)]),
        ("a\x0cb\u2028c\x85d\nb", [(1, 2)]),
    ],
)
def test_two_filled_lines_each(text: str, expected: list[tuple[int, int]]) -> None:
    assert ranges(text, 2) == expected


def test_ten_lines_are_the_default() -> None:
    assert ranges("x\n" * 25) == [(1, 10), (11, 20), (21, 25)]


def test_lines_end_at_carriage_returns_and_line_feeds_only() -> None:
    assert split_lines("a\r\nb\rc\nd\x0ce\u2028f") == ["a", "b", "c", "d\x0ce\u2028f"]


@given(st.text(alphabet="a \n\r\t", max_size=200), st.integers(1, 12))
def test_every_filled_line_lies_in_exactly_one_chunk(text: str, non_blank: int) -> None:
    lines = split_lines(text)
    pieces = chunk(text, non_blank)
    covered = [number for piece in pieces for number in range(piece.start_line, piece.end_line + 1)]
    assert covered == sorted(set(covered))
    filled = [number for number, line in enumerate(lines, 1) if line.strip()]
    assert set(filled) <= set(covered)
    for piece in pieces:
        inside = [number for number in filled if piece.start_line <= number <= piece.end_line]
        assert inside[0] == piece.start_line
        assert inside[-1] == piece.end_line
        assert len(inside) == non_blank or piece is pieces[-1]


@given(st.text(alphabet="ab\n", max_size=60), st.integers(0, 200), st.integers(1, 300), st.integers(0, 30))
def test_some_lines_are_those_of_all_lines(text: str, filling: int, first: int, count: int) -> None:
    text += "a line of some length\n" * filling + text
    assert lines_between(text, first, first + count) == text.split("\n")[first - 1 : first + count]
