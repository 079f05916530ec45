"""Where a block ends by its syntax: with the node that began at the cursor, and never within a statement.

Structured fill-in-the-middle (aiXcoder-7B, arXiv 2410.13187) trains on complete nodes; here an offer is one. The text
is read line by line. After each line the parser says whether what came so far is whole in its place
(`syntax_hole.py`), and the start of the next line whether something else begins there.

How far an offer goes:

- Below a header (`def f():`, `if (x) {`), and below the docstring of a function without a body: the whole body, with
  its closing bracket where the document lacks that.
- Below an opened list or argument list: the list.
- On an empty line inside a body, and below a comment: the statements up to the first blank line, the end of the body,
  or the end of the first statement or definition that has a body of its own, with its `else` and `except` parts. So
  much is what a programmer sets apart as one step, and what a comment announces; what stands after it depends on what
  has not been looked at yet. A short offer that is whole is read at a glance, and the next one is one key away.

In all of them at most `max_lines` lines: then the offer ends after the last line that is whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from aix_lsp.completion.place import Place
from aix_lsp.completion.policy import indentation
from aix_lsp.syntax_hole import Bracket, Hole, Look, hole
from aix_lsp.text import line_spans, line_start

Kind = Literal["body", "list", "step"]

# Enough of a line to tell what begins there: longer lines with the same beginning are judged the same.
_FIRST_WORD = re.compile(r"[ \t]*(?:\w+\b[ \t]*[^ \t]|[)\]}]|[^\w\s].)")
_CLOSER = re.compile(r"\s*[)\]}]")
_CLAUSE = {"python": re.compile(r"\s*(?:else|elif|except|finally)\b")}
_BRACE_CLAUSE = re.compile(r"\s*(?:else|catch|finally)\b")
# Lines that stand further out than what is around them, and end nothing.
_LABEL = re.compile(r"\s*(?:\w+\s*:(?!:)|#)")
# What goes on with the statement of the line above, where no semicolon or brace ended that.
_GOES_ON = re.compile(r"\s*(?:\.(?!\.)|[?:&|%=<>,([`^]|[-+](?!\+|-)|\*|/(?![/*]))")
_GOES_ON_AFTER_BRACE = re.compile(r"\s*[.?]")
_TAG = re.compile(r"\s*<[/\w>]")
_LINES_ARE_STATEMENTS = frozenset(("python", "go"))
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_RAW_STRING_OPEN = re.compile(r"(?:@|\bR|\br#*)\"[^\"]*\Z")


@dataclass(slots=True)
class _Reading:
    """What is known after some lines of a text."""

    cuts: list[int]
    filled: int = 0
    blank: int = 0
    last_end: int = 0
    base: int | None = None
    look: Look | None = None
    text: str = ""

    @property
    def whole(self) -> bool:
        """Whether the text up to the end of the last line is whole."""
        return self.filled == 0 or bool(self.cuts and self.cuts[-1] == self.last_end)

    @property
    def best(self) -> int:
        return self.cuts[-1] if self.cuts else 0


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a text ends (code points) and whether what remains is whole; if not, nothing in it was."""

    position: int
    whole: bool = True


class NodeEnd:
    """The end of a block at one place. `end` and `whole_part` are pure functions of the text."""

    def __init__(self, place: Place, hole: Hole) -> None:
        self._place = place
        self._hole = hole
        self._grammar = place.grammar or ""

    @property
    def hopeless(self) -> bool:
        """Whether the parser cannot read the place, so that only lines can tell."""
        return self._hole.hopeless

    def end(self, text: str) -> Ending | None:
        """Where the offer ends for certain, whatever follows the text. None while it may go on."""
        return self._read(text, _Reading([]), ended=False)

    def whole_part(self, text: str, *, unfinished: bool) -> Ending:
        """Where the offer ends in a text that nothing follows. The last line of an unfinished one is an accident."""
        reading = _Reading([])
        ending = self._read(text, reading, ended=not unfinished)
        return self._cut(reading) if ending is None else ending

    def fits(self, text: str) -> bool:
        """Whether a text adds no error to the document, though it may be a header that waits for its body."""
        return self._hole.look(text).fits

    @cached_property
    def kind(self) -> Kind:
        """What begins at the cursor."""
        opened = self._hole.open
        inner: Bracket | None = opened[-1] if opened else None
        if inner is not None and (inner.text != "{" or self._grammar == "python"):
            return "list"
        if self._grammar != "python":
            return "body" if inner is not None and inner.last else "step"
        around = self._place.around
        above = around.before if around.before.strip() else around.above
        is_header = _STRING.sub("", above).partition("#")[0].rstrip().endswith(":")
        return "body" if is_header or self._hole.docstring_of is not None else "step"

    @cached_property
    def _level(self) -> int:
        """Columns of the header."""
        around, opened = self._place.around, self._hole.open
        if opened and (self.kind == "list" or self._grammar != "python"):
            return opened[-1].indentation
        if self._hole.docstring_of is not None:
            return self._hole.docstring_of
        return indentation(around.before if around.before.strip() else around.above)

    @property
    def _floor(self) -> int:
        """Columns of white space that the first line has at least, if it is not the cursor's, and any in a list."""
        if self.kind == "step":
            return indentation(self._place.around.before)
        return self._level + (self.kind == "list" or self._grammar == "python")

    def _read(self, text: str, reading: _Reading, *, ended: bool) -> Ending | None:
        for number, (start, end, whole_line) in enumerate(line_spans(text)):
            line = text[start:end]
            complete = whole_line or ended
            if not line.strip():
                if number > 0 and complete and self._ends_at_blank(reading):
                    return self._cut(reading)
                continue
            if not (complete or _FIRST_WORD.match(line)):
                return None
            if self._ends_before(line, reading, first=number == 0):
                return self._cut(reading)
            if not complete:
                return None
            ending = self._ends_with(text, start, end, reading, first=number == 0)
            if ending is not None:
                return ending
        return None

    def _ends_at_blank(self, reading: _Reading) -> bool:
        """One blank line ends a step, two end everything, unless they stand in a string or a comment."""
        reading.blank += 1
        if reading.look is None:
            return reading.blank >= 2
        if not reading.whole:
            return reading.blank >= 2 and not reading.look.open_brackets and not _in_text(reading.text)
        # in Python only the next line tells whether a body is over
        over = reading.look.code and not (reading.look.compound and self._grammar == "python")
        return reading.blank >= 2 or (self.kind == "step" and over)

    def _ends_before(self, line: str, reading: _Reading, *, first: bool) -> bool:
        """Whether a line, of which at least the first word is there, belongs to something else."""
        reading.blank = 0
        look = reading.look
        if reading.whole and look is not None and self._goes_on(line, reading.text):
            reading.cuts.pop()
        elif reading.whole and look is not None and look.compound and self.kind == "step":
            # in Python more of its body may follow
            inside = self._grammar == "python" and reading.base is not None and indentation(line) > reading.base
            return not inside and not self._is_clause(line)
        if reading.filled >= self._place.max_lines:
            return True
        if first:
            return False
        level = indentation(line)
        if reading.whole and _CLOSER.match(line) and not self._hole.missing and self._hole.open:
            return True
        floor = self._floor if reading.base is None or self.kind == "list" else reading.base
        if level >= floor or _CLOSER.match(line):
            return False
        if self._grammar in ("c", "cpp", "csharp", "java") and _LABEL.match(line):
            return False
        return reading.whole or (look is not None and not look.open_brackets and not _in_text(reading.text))

    def _ends_with(self, text: str, start: int, end: int, reading: _Reading, *, first: bool) -> Ending | None:
        """Take a line, and say where the offer ends if that is with it or inside of it."""
        look = self._hole.look(text[:end])
        line = text[start:end]
        if reading.base is None:
            reading.base = indentation(self._place.around.before + line if first else line)
            if first and self._place.around.before.strip():
                reading.base = self._level + 1 if self._grammar == "python" else self._level
        in_text = not reading.whole and _in_text(reading.text)
        if look.closers and self._hole.open and not in_text:
            return self._closed(text, start, end, look, reading)
        reading.filled += 1
        if look.lost:
            return self._cut(reading)
        reading.look, reading.last_end, reading.text = look, end, text[:end]
        if look.whole:
            reading.cuts.append(end)
        return None

    def _closed(self, text: str, start: int, end: int, look: Look, reading: _Reading) -> Ending:
        """The line closes the bracket that the cursor stands in: with it if the document lacks that bracket."""
        lacking = len(self._hole.missing)
        if not lacking:
            before = text[: look.closers[0]].rstrip()
            if self._hole.look(before).whole:
                return Ending(len(before))
            return self._cut(reading)
        if len(look.closers) <= lacking and (look.whole or self.kind == "list"):
            return Ending(end)
        through = look.closers[min(lacking, len(look.closers)) - 1] + 1
        if self._hole.look(text[:through]).whole or self.kind == "list":
            return Ending(through)
        return self._cut(reading)

    def _cut(self, reading: _Reading) -> Ending:
        return Ending(reading.best, whole=bool(reading.cuts))

    def _goes_on(self, line: str, above: str) -> bool:
        """Whether a line goes on with the statement of the line above, though that could stand alone."""
        if self._grammar in _LINES_ARE_STATEMENTS or (self._grammar in ("javascript", "tsx") and _TAG.match(line)):
            return False
        above = above.rstrip()
        if above.endswith("}"):
            return bool(_GOES_ON_AFTER_BRACE.match(line))
        return not above.endswith((";", ",", "*/")) and bool(_GOES_ON.match(line))

    def _is_clause(self, line: str) -> bool:
        return bool(_CLAUSE.get(self._grammar, _BRACE_CLAUSE).match(line))


def node_end(place: Place) -> NodeEnd | None:
    """The end of blocks at a place; None where there is no grammar for it."""
    if place.grammar is None:
        return None
    found = hole(place.prefix, place.suffix, place.grammar)
    return None if found is None else NodeEnd(place, found)


def sight(text: str) -> str:
    """All of a text that `NodeEnd.end` looks at: whole lines, and the first word of the last."""
    start = line_start(text)
    match = _FIRST_WORD.match(text, start)
    return text[: match.end() if match else start]


def _in_text(code: str) -> bool:
    """Whether a string over several lines or a comment is open, so that a line further out may belong to it. The lines
    of a docstring are never further out than its quotes."""
    for quotes in ('"""', "'''", "`"):
        if code.count(quotes) % 2 == 1:
            opening = code.rfind(quotes)
            return bool(code[line_start(code, opening) : opening].strip())
    return code.count("/*") > code.count("*/") or bool(_RAW_STRING_OPEN.search(code))
