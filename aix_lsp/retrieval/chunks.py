"""Cutting a file into the pieces that are searched and quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aix_lsp.text import with_line_feeds

_BLOCK = 2048  # characters


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive lines of a file, 1-based and inclusive. The first and the last are not blank."""

    start_line: int
    end_line: int


def split_lines(text: str) -> list[str]:
    r"""Lines without their ends. A line ends at \r\n, \n or \r and nowhere else, as the protocol has it."""
    return with_line_feeds(text).split("\n")


def lines_between(text: str, first: int, last: int) -> list[str]:
    """The lines `first` to `last` of a text with line feeds alone, 1-based and inclusive, as far as there are any.

    Of a long file a few lines are wanted, so those before them are only counted.
    """
    start = _start_of(text, first, 0)
    if start is None:
        return []
    end = _start_of(text, last - first + 2, start)
    return text[start : len(text) if end is None else end - 1].split("\n")


def _start_of(text: str, line: int, position: int) -> int | None:
    """Where a line begins, counted from 1 at `position`, the start of one; None where there are not so many."""
    missing = line - 1
    while missing > 0:
        found = text.count("\n", position, position + _BLOCK)
        if found >= missing:
            for _ in range(missing):
                position = text.index("\n", position) + 1
            return position
        missing -= found
        position += _BLOCK
        if position >= len(text):
            return None
    return position


def chunk(text: str, non_blank: int = 10) -> list[Chunk]:
    """Chunks of `non_blank` lines that are not blank, one after the other; the last one may be shorter."""
    return chunk_lines(split_lines(text), non_blank)


def chunk_lines(lines: Sequence[str], non_blank: int = 10) -> list[Chunk]:
    """The same for a file that is already split."""
    filled = [number for number, line in enumerate(lines, 1) if line and not line.isspace()]
    firsts = range(0, len(filled), max(non_blank, 1))
    return [Chunk(filled[i], filled[min(i + firsts.step, len(filled)) - 1]) for i in firsts]
