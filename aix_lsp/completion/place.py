"""Where a completion will stand: the lines around the cursor, the text before and after, how much was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aix_lsp.languages import language_of
from aix_lsp.text import LINE_BREAK, line_start
from aix_lsp.types import Amount, DocumentSnapshot

_TABS = re.compile(r"^ *\t[ \t]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The lines at an offset: text before and after the cursor on its line, the nearest non-blank line above,
    and the line after the cursor's."""

    before: str
    after: str
    above: str
    below: str


@dataclass(frozen=True, slots=True)
class Place:
    """One place in one document. `prefix` and `suffix` are all text before and after the cursor; `grammar` names the
    tree-sitter grammar of the document, None where there is none.

    `unfinished` says that generation was cut short by the token limit or the time limit.
    """

    around: Surroundings
    suffix: str
    amount: Amount
    max_lines: int
    line_break: str = "\n"
    unfinished: bool = False
    prefix: str = ""
    grammar: str | None = None


def place_at(document: DocumentSnapshot, offset: int, amount: Amount, max_lines: int) -> Place:
    """The place at an offset of a document. The cells after a notebook's cell count as its suffix."""
    text = document.text
    return Place(
        surroundings(text, offset),
        text[offset:] + document.after,
        amount,
        max_lines,
        line_break_of(text),
        prefix=text[:offset],
        grammar=language_of(document.name, document.language_id).grammar,
    )


def without_tabs(place: Place) -> Place:
    """The same place with four spaces for each tab that indents a line."""
    around = place.around
    before, above, below = map(_spread, (around.before, around.above, around.below))
    suffix = around.after + _spread(place.suffix[len(around.after) :])
    return replace(
        place, around=Surroundings(before, around.after, above, below), prefix=_spread(place.prefix), suffix=suffix
    )


def _spread(text: str) -> str:
    return _TABS.sub(lambda match: match.group().expandtabs(4), text)


def surroundings(text: str, offset: int) -> Surroundings:
    """Look around an offset without splitting the whole document."""
    start = line_start(text, offset)
    match = LINE_BREAK.search(text, offset)
    end = match.start() if match else len(text)
    above = next(filter(str.strip, lines_above(text, offset)), "")
    below = ""
    if match:
        following = LINE_BREAK.search(text, match.end())
        below = text[match.end() : following.start() if following else len(text)]
    return Surroundings(text[start:offset], text[offset:end], above, below)


def lines_above(text: str, offset: int) -> Iterator[str]:
    """The lines above the line of an offset, the nearest first, without their line breaks."""
    start = line_start(text, offset)
    while start > 0:
        stop = start - 1
        if text[stop] == "\n" and stop > 0 and text[stop - 1] == "\r":
            stop -= 1
        start = line_start(text, stop)
        yield text[start:stop]


def filled_line_below(text: str, offset: int) -> str:
    """The nearest line below an offset's that holds something; "" without one."""
    match = LINE_BREAK.search(text, offset)
    while match:
        following = LINE_BREAK.search(text, match.end())
        line = text[match.end() : following.start() if following else len(text)]
        if line.strip():
            return line
        match = following
    return ""


def line_break_of(text: str) -> str:
    """The line break that a document uses: that of its first line, `\\n` where there is none."""
    match = LINE_BREAK.search(text)
    return match.group() if match else "\n"
