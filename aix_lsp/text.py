"""Text of a document, its lines, and positions in the three encodings of the Language Server Protocol.

A line ends at `\\r\\n`, `\\n` or `\\r` and nowhere else: form feeds, U+2028 and the like are ordinary characters,
although `str.splitlines` breaks at them. Offsets are code points of a Python string; the `character` of a position
counts bytes (utf-8), 16-bit units (utf-16) or code points (utf-32) from the start of its line.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]

LINE_BREAK: Final = re.compile(r"\r\n|\n|\r")
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_CONTINUATION_BYTES: Final = bytes(range(0x80, 0xC0))


def one_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def with_stop(said: str) -> str:
    """A message as a sentence that another can follow: with a full stop, unless it is a question or has one."""
    return said if said.endswith((".", "?", "!", "…")) else f"{said}."


def continued(said: str, more: str) -> str:
    """A message that goes on, in one line: behind a semicolon, or as a sentence of its own behind a question."""
    return beside(said, more[:1].upper() + more[1:] if said.endswith(("?", "!")) else more)


def beside(said: str, more: str) -> str:
    """The same where what follows may begin with a name, which keeps its first letter."""
    return f"{said} {more}" if said.endswith(("?", "!")) else f"{without_stop(said)}; {more}"


def without_stop(said: str) -> str:
    """A message without the full stop that a library or the system has put there; dots that stand for more stay."""
    return said[:-1] if said.endswith(".") and not said.endswith("..") else said


def with_line_feeds(text: str) -> str:
    """The text with a line feed for every line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def parts_with_line_feeds(*parts: str) -> tuple[str, ...]:
    """Parts of a text with a line feed for every line end; one that is cut in two belongs to where it begins."""
    found: list[str] = []
    last = ""
    for part in parts:
        found.append(with_line_feeds(part[1:] if last.endswith("\r") and part.startswith("\n") else part))
        last = part or last
    return tuple(found)


def line_start(text: str, position: int | None = None) -> int:
    """Where the line begins that holds a position; the last line where that is None."""
    start = text.rfind("\n", 0, position) + 1
    # without a lone \r, as nearly always, a search of its own would go back to the start of the text
    return max(start, text.rfind("\r", start, position) + 1)


def line_spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """Start, end without its line break, and whether it has one, for every line of the text."""
    start = 0
    for match in LINE_BREAK.finditer(text):
        yield start, match.start(), True
        start = match.end()
    yield start, len(text), False


def width(text: str, encoding: Encoding) -> int:
    """Length of `text` in units of `encoding`. A lone surrogate counts as one 16-bit unit or three bytes."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-16":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text.encode("utf-8", "surrogatepass"))


def index_of(text: str, units: int, encoding: Encoding) -> int:
    """Code points of `text` that fit in `units` units of `encoding`: the inverse of `width`.

    A count that ends inside a character rounds down to that character's start; one past the end gives `len(text)`.
    """
    if units <= 0:
        return 0
    if encoding == "utf-32" or text.isascii():
        return min(units, len(text))
    if encoding == "utf-16":
        return _index_of_utf16(text, units)
    raw = text.encode("utf-8", "surrogatepass")
    if units >= len(raw):
        return len(text)
    started = len(raw[:units].translate(None, _CONTINUATION_BYTES))
    ends_inside = 0x80 <= raw[units] < 0xC0
    return started - ends_inside


def _index_of_utf16(text: str, units: int) -> int:
    # Only astral characters take two units, so it is enough to visit those before the position.
    doubled = 0
    for match in _ASTRAL.finditer(text):
        first_unit = match.start() + doubled
        if first_unit >= units:
            break
        if first_unit + 1 == units:
            return match.start()
        doubled += 1
    return min(units - doubled, len(text))


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in LINE_BREAK.finditer(text))]


class TextBuffer:
    """One version of a document's text. Immutable: an edit gives a new buffer, so a snapshot costs nothing."""

    __slots__ = ("_starts", "text")

    text: str

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = _line_starts(text)

    @classmethod
    def _from_parts(cls, text: str, starts: list[int]) -> TextBuffer:
        buffer = cls.__new__(cls)
        buffer.text = text
        buffer._starts = starts
        return buffer

    def __repr__(self) -> str:
        return f"TextBuffer({len(self.text)} characters, {self.line_count} lines)"

    @property
    def line_count(self) -> int:
        """Number of lines, at least 1: after a terminator at the end there is one more, empty line."""
        return len(self._starts)

    def line_start(self, line: int) -> int:
        """Offset of the first character of `line` (from 0). Raises IndexError outside the document."""
        if line < 0:
            raise IndexError(f"line {line} is negative")
        return self._starts[line]

    def line_end(self, line: int) -> int:
        """Offset just before the terminator of `line`. Raises IndexError outside the document."""
        start = self.line_start(line)
        if line + 1 == len(self._starts):
            return len(self.text)
        end = self._starts[line + 1] - 1
        if end > start and self.text[end] == "\n" and self.text[end - 1] == "\r":
            end -= 1
        return end

    def line(self, line: int) -> str:
        """Text of `line` without its terminator. Raises IndexError outside the document."""
        return self.text[self.line_start(line) : self.line_end(line)]

    def offset(self, line: int, character: int, encoding: Encoding) -> int:
        """Code point offset of a position.

        A line past the end gives the end of the text; a character past the line's end gives the end of that line
        before its terminator; negative numbers count as 0. A position inside a character is its start.
        """
        if line < 0:
            return 0
        if line >= len(self._starts):
            return len(self.text)
        start = self._starts[line]
        return start + index_of(self.text[start : self.line_end(line)], character, encoding)

    def position(self, offset: int, encoding: Encoding) -> tuple[int, int]:
        """(line, character) of a code point offset; offsets outside the text are moved to its nearest end.

        An offset between `\\r` and `\\n` is no position: it gives the end of the line before both.
        """
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset) - 1
        start = self._starts[line]
        return line, width(self.text[start : min(offset, self.line_end(line))], encoding)

    def replace(self, start: int, end: int, new: str) -> TextBuffer:
        """A buffer in which `text[start:end]` is `new`. Raises ValueError unless 0 <= start <= end <= len(text).

        Line starts are spliced, not searched again: whether a line starts at an offset depends on the two
        characters around it, so only those from `start` to the end of `new` can change.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"no range {start}:{end} in a text of {len(self.text)} characters")
        text = "".join((self.text[:start], new, self.text[end:]))
        new_end = start + len(new)
        # One character on either side, because an edit can make or break a \r\n pair at its borders.
        window_start = max(start - 1, 0)
        window = text[window_start : new_end + 1]
        inside = [window_start + match.end() for match in LINE_BREAK.finditer(window)]
        while inside and inside[-1] > new_end:
            inside.pop()
        shift = new_end - end
        before = self._starts[: bisect_left(self._starts, start)] or [0]
        after = self._starts[bisect_right(self._starts, end) :]
        if shift:
            after = [line_start + shift for line_start in after]
        before += inside
        before += after
        return TextBuffer._from_parts(text, before)
