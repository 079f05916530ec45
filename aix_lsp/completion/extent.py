"""Where an offer ends: the stop condition while text streams in, and the same rule applied to the whole.

`finished` runs on the model thread at every token, so it is pure and looks only at the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from aix_lsp.completion.policy import Surroundings, indentation, opens_block
from aix_lsp.types import Amount

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_LONGEST_UNIT = 24
_LOOP_CHARACTERS = 16
_CLOSER = re.compile(r"^\s*[)\]}]+[;,)]*\s*$")


def stop_condition(around: Surroundings, amount: Amount, max_lines: int) -> Callable[[str], bool]:
    """A predicate on all text so far: true once nothing that follows can belong to the offer."""

    def finished(text: str) -> bool:
        return len(extent(text, around, amount, max_lines)) < len(text)

    return finished


def extent(text: str, around: Surroundings, amount: Amount, max_lines: int) -> str:
    """The part of `text` that is offered, as far as lines decide it.

    A model that turns in circles is stopped: text that begins to repeat itself is no longer an answer.
    A line offer ends at its line's end; leading line breaks mean that the line was complete. A block ends before
    the first whole line that is indented less than the block, before a second blank line, or after `max_lines`;
    a closing bracket alone on the header's level still belongs to it.
    """
    text = text[: _circles_from(text)]
    if amount == "line":
        match = _LINE_BREAK.search(text)
        if match is None:
            return text
        if text[: match.start()].strip() or around.before.strip():
            return text[: match.start()]
        # nothing but white space so far on a blank line: the model began a new line, take that one
        return _first_filled_line(text)
    return _block(text, around, max_lines)


def _first_filled_line(text: str) -> str:
    position = 0
    for match in _LINE_BREAK.finditer(text):
        if text[position : match.start()].strip():
            return text[: match.start()]
        position = match.end()
    return text


def _block(text: str, around: Surroundings, max_lines: int) -> str:
    on_header = bool(around.before.strip())
    header_level = indentation(around.before if on_header else around.above)
    opens = on_header or opens_block(around.above)
    floor = max(indentation(around.before), header_level + 1 if opens else 0) if not on_header else header_level + 1
    kept = filled = blank = 0
    for number, (start, end, whole) in enumerate(_lines(text)):
        line = text[start:end]
        if not line.strip():
            blank += number > 0 and whole
            if blank >= 2:
                return text[:kept]
            continue
        blank = 0
        if number > 0 and indentation(line) < floor:
            if not _CLOSER.match(line):
                return text[:kept]
            if whole:
                return text[:end] if indentation(line) == header_level else text[:kept]
            continue
        kept = end
        filled += 1
        if filled >= max_lines and whole:
            return text[:end]
    return text


def _circles_from(text: str) -> int:
    """Where a text begins to repeat itself; its length where it does not. A line that comes a third time running,
    or a unit of a few characters that the last line ends in four times over."""
    line_start = max(text.rfind("\n"), text.rfind("\r")) + 1
    line = text[line_start:]
    for period in range(1, min(_LONGEST_UNIT, len(line) // 4) + 1):
        repeated = max(3 * period, _LOOP_CHARACTERS - period)
        if line[-repeated:] == line[-repeated - period : -period] and any(map(str.isalnum, line[-period:])):
            start = len(line) - repeated - period
            while start > 0 and line[start - 1] == line[start - 1 + period]:
                start -= 1
            return line_start + len(line[:start].rstrip(" ,"))
    before: list[str] = []
    for start, end, whole in _lines(text):
        stripped = text[start:end].strip()
        if whole and stripped and before[-2:] == [stripped, stripped]:
            return start - 1
        before.append(stripped)
    return len(text)


def _lines(text: str) -> Iterator[tuple[int, int, bool]]:
    """Start, end and whether the line is terminated, for every line of the text."""
    start = 0
    for match in _LINE_BREAK.finditer(text):
        yield start, match.start(), True
        start = match.end()
    yield start, len(text), False
