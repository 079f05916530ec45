"""Places in a source file that a model can learn to fill: structured fill-in-the-middle.

A hole is a complete node of the syntax tree (aiXcoder-7B, Jiang et al. 2024, "Structured Fill-In-the-Middle"), or what
a user of an editor asks for most: the rest of a line. A block, a function body and the arguments of a call are taken
with their brackets or, as an editor that closes brackets leaves them, without. Random spans are those of Bavarian et
al. (2022), "Efficient Training of Language Models to Fill in the Middle", section 3.

Offsets are code points of the text.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from aix_lsp.text import LINE_BREAK
from aix_lsp.training.hole_spans import node_spans

HoleKind = Literal[
    "expression",
    "statement",
    "block",
    "function body",
    "class member",
    "comment and function",
    "argument list",
    "rest of line",
    "lines",
    "random span",
]

_TRIES = 12

_TOKEN = re.compile(r"\w+|[^\w\s]")
_CLOSING = re.compile(r"[)\]}:;,]+\Z")


@dataclass(frozen=True, slots=True)
class Hole:
    """The middle is `text[start:end]`, never empty."""

    start: int
    end: int
    kind: HoleKind


@dataclass(frozen=True, slots=True)
class HoleWeights:
    """How often a draw tries each kind first, in parts of their sum; a kind that a file lacks leaves its part to the
    others. The default follows what serving asks for: mostly the rest of a line, then blocks.

    `new_line`, `any_character` and `closing_left` are shares of the rests of lines. Those begin behind a line's
    indentation, anywhere in the line's text, also inside a word, or else at either end of a token; `closing_left` is
    how many leave closing brackets, colons, commas and semicolons at the end of the line in place, as an editor has
    put them there. `from_header` is the share of blocks and function bodies that begin where the line of the header
    ends, with the line end and the indentation, as when the cursor stands behind a colon or a brace.
    """

    rest_of_line: float = 0.40
    expression: float = 0.10
    statement: float = 0.11
    block: float = 0.11
    function_body: float = 0.08
    class_member: float = 0.05
    comment_and_function: float = 0.03
    argument_list: float = 0.06
    lines: float = 0.06
    new_line: float = 0.25
    any_character: float = 0.15
    closing_left: float = 0.20
    from_header: float = 0.25

    def kinds(self) -> dict[HoleKind, float]:
        """Weight of each kind that can be drawn."""
        return {
            "rest of line": self.rest_of_line,
            "expression": self.expression,
            "statement": self.statement,
            "block": self.block,
            "function body": self.function_body,
            "class member": self.class_member,
            "comment and function": self.comment_and_function,
            "argument list": self.argument_list,
            "lines": self.lines,
        }


class _Spans:
    """Spans of one kind in the order of their starts, for drawing one inside a range."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self.starts = [start for start, _ in ordered]
        self.ends = [end for _, end in ordered]

    def draw(self, draw: random.Random, within: range, longest: int) -> tuple[int, int] | None:
        """One of those inside `within` that are no longer than `longest`, each as likely; None if there is none."""
        first = bisect_left(self.starts, within.start)
        last = bisect_left(self.starts, within.stop)
        if first >= last:
            return None
        for _ in range(_TRIES):
            chosen = first + int(draw.random() * (last - first))
            if self._fits(chosen, within, longest):
                return self.starts[chosen], self.ends[chosen]
        fitting = [number for number in range(first, last) if self._fits(number, within, longest)]
        if not fitting:
            return None
        chosen = fitting[int(draw.random() * len(fitting))]
        return self.starts[chosen], self.ends[chosen]

    def _fits(self, number: int, within: range, longest: int) -> bool:
        return self.ends[number] <= within.stop and self.ends[number] - self.starts[number] <= longest


class HoleFinder:
    """The holes of one text. It is parsed once; a draw then takes some microseconds.

    A text in no known grammar ("") has rests of lines and whole lines only. Nodes that the parser could not read are
    left out.
    """

    def __init__(self, text: str, grammar: str | None, weights: HoleWeights | None = None) -> None:
        self._text = text
        self._weights = weights or HoleWeights()
        # Start of the text, start of the line, end of its text, for all lines that have any.
        self._lines = _Spans(_filled_lines(text))
        self._by_kind: dict[HoleKind, _Spans] = {
            kind: _Spans(spans) for kind, spans in node_spans(text, grammar or "").items()
        }

    def holes(self) -> dict[HoleKind, list[Hole]]:
        """All holes that are nodes, by kind, in the order of their starts."""
        return {
            kind: [Hole(start, end, kind) for start, end in zip(spans.starts, spans.ends, strict=True)]
            for kind, spans in self._by_kind.items()
        }

    def draw(self, draw: random.Random, *, within: range | None = None, longest: int = 600) -> Hole | None:
        """A hole inside `within` (the whole text unless given) of at most `longest` characters: a kind by its weight,
        then one of that kind. None when there is no hole at all."""
        within = range(len(self._text)) if within is None else within
        left = {kind: weight for kind, weight in self._weights.kinds().items() if weight > 0}
        while left:
            kind = draw.choices(list(left), list(left.values()))[0]
            del left[kind]
            span = self._drawer(kind)(draw, within, longest)
            if span is not None:
                start, end = span
                if kind in ("block", "function body") and draw.random() < self._weights.from_header:
                    header = self._end_of_header(start)
                    if header >= within.start and end - header <= longest:
                        start = header
                return Hole(start, end, kind)
        return None

    def draw_many(
        self, draw: random.Random, count: int, *, within: range | None = None, longest: int = 600
    ) -> list[Hole]:
        """Up to `count` holes that differ, in the order they were drawn; fewer where there are not so many."""
        found: dict[tuple[int, int], Hole] = {}
        for _ in range(4 * count):
            if len(found) >= count:
                break
            hole = self.draw(draw, within=within, longest=longest)
            if hole is None:
                break
            found.setdefault((hole.start, hole.end), hole)
        return list(found.values())

    def _end_of_header(self, start: int) -> int:
        """Where the text before a body ends, if that is on a line above; else where the body starts."""
        place = start
        while place > 0 and self._text[place - 1].isspace():
            place -= 1
        return place if LINE_BREAK.search(self._text, place, start) else start

    def _drawer(self, kind: HoleKind) -> Callable[[random.Random, range, int], tuple[int, int] | None]:
        if kind == "rest of line":
            return self._rest_of_line
        if kind == "lines":
            return self._whole_lines
        spans = self._by_kind.get(kind)
        return spans.draw if spans is not None else _nothing

    def _rest_of_line(self, draw: random.Random, within: range, longest: int) -> tuple[int, int] | None:
        line = self._lines.draw(draw, within, len(self._text))
        if line is None:
            return None
        start, end = line
        weights, way = self._weights, draw.random()
        first = max(start, end - longest)
        if way < weights.any_character:
            first += int(draw.random() * (end - first))
        elif way >= weights.any_character + weights.new_line or first > start:
            places = {place for match in _TOKEN.finditer(self._text, first, end) for place in match.span()} - {end}
            first = draw.choice(sorted(places)) if places else first
        if draw.random() < weights.closing_left:
            closing = _CLOSING.search(self._text, first, end)
            if closing is not None and closing.start() > first:
                left = closing.start() + int(draw.random() * (closing.end() - closing.start()))
                # a separator of lines between signs is no blank that starts the text, and no answer either
                end = left if self._text[first:left].strip() else end
        return first, end

    def _whole_lines(self, draw: random.Random, within: range, longest: int) -> tuple[int, int] | None:
        """One to eight lines, few more often than many, from behind the first one's indentation to the last one's
        end."""
        starts, ends = self._lines.starts, self._lines.ends
        line = self._lines.draw(draw, within, longest)
        if line is None:
            return None
        start, end = line
        number = bisect_left(starts, start)
        wanted = number + min(int(draw.expovariate(0.5)), 7)
        while number < min(wanted, len(ends) - 1) and ends[number + 1] <= min(within.stop, start + longest):
            number += 1
        return start, max(end, ends[number])


def random_span(text: str, draw: random.Random) -> Hole:
    """The text between two cuts, each anywhere in the text with the same likelihood, as in Bavarian et al. (2022).

    Raises ValueError for an empty text.
    """
    if not text:
        raise ValueError("an empty text has no middle")
    while True:
        start, end = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
        if start < end:
            return Hole(start, end, "random span")


def _nothing(draw: random.Random, within: range, longest: int) -> None:
    return None


def _filled_lines(text: str) -> list[tuple[int, int]]:
    """Where the text of each line begins and ends, without the blanks around it, for all lines that have text."""
    found = []
    position = 0
    for stop, following in (*((match.start(), match.end()) for match in LINE_BREAK.finditer(text)), (len(text), 0)):
        line = text[position:stop]
        filled = line.strip()
        if filled:
            start = position + len(line) - len(line.lstrip())
            found.append((start, start + len(filled)))
        position = following
    return found
