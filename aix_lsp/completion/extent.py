"""Where an offer ends: the stop condition while text streams in, and the same rule applied to the whole.

A line offer ends with its line. A block ends with its syntax node (`node_end.py`); where there is no grammar, or the
parser cannot read the place, by indentation. `finished` runs on the model thread at every token: it is a pure function
of the text, and asks the parser only when a line or the first word of one has come.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from aix_lsp.completion.node_end import NodeEnd, node_end, sight
from aix_lsp.completion.place import Place, Surroundings, without_tabs
from aix_lsp.completion.policy import indentation, opens_arguments, opens_block, unevenness
from aix_lsp.text import LINE_BREAK, line_spans, line_start
from aix_lsp.types import Amount

_SPACES = re.compile(r"(?:^|[\r\n]) +[^\s]")
_TAB = re.compile(r"(?:^|[\r\n])\t")
_LONGEST_UNIT = 24
_LOOP_CHARACTERS = 16
_SIGHTS = 64
_LONGEST_PERIOD = 4
_CLOSER = re.compile(r"^\s*[)\]}][)\]};,]*\s*$")
_BEGINS_CLOSING = re.compile(r"\s*[)\]}]")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
# After these a value is missing: `x =`, `a.`, `return`.
_WANTS_MORE = re.compile(r"(?:\b(?:and|or|not|in|is|return)|[-+*/%&|^<>=!~.:@\\#(\[{])$")


def stop_condition(place: Place) -> Callable[[str], bool]:
    """A predicate on all text so far: true once nothing that follows can belong to the offer."""
    place = replace(place, unfinished=False)
    if not _has_tabs(place):
        return _stop_condition(place)
    in_tabs, in_spaces = _stop_condition(place), _stop_condition(without_tabs(place))
    return lambda text: (in_spaces if _in_spaces(text) else in_tabs)(text)


def _stop_condition(place: Place) -> Callable[[str], bool]:
    nodes = node_end(place) if place.amount == "block" else None
    if nodes is None:
        return lambda text: len(_extent(text, place)) < len(text)
    seen: dict[str, bool] = {}  # by what was looked at: several candidates may stream in turns

    def finished(text: str) -> bool:
        if len(_without_circles(text, place)) < len(text):
            return True
        looked_at = sight(text)
        if looked_at.strip() and nodes.hopeless:
            return len(_byline_spans(text, place)) < len(text)
        if looked_at not in seen:
            if len(seen) >= _SIGHTS:
                seen.clear()
            seen[looked_at] = nodes.end(looked_at) is not None
        return seen[looked_at]

    return finished


def extent(text: str, place: Place) -> str:
    """The part of `text` that is offered.

    A model that turns in circles is stopped: text that begins to repeat itself is no longer an answer.
    A line offer ends at its line's end; leading line breaks mean that the line was complete. A block ends with the
    syntax node that began at the cursor, and only where it is whole; if nothing in it is, its first line is offered, if
    the parser finds no fault with that (`for x in y:`, but no half of a call). At an unfinished place the end of `text`
    is an accident unless the offer ends before it.
    """
    return _extent(text, without_tabs(place) if _has_tabs(place) and _in_spaces(text) else place)


def _extent(text: str, place: Place) -> str:
    kept = _without_circles(text, place)
    unfinished = place.unfinished and len(kept) == len(text)
    if place.amount == "block":
        nodes = node_end(place)
        if nodes is not None and kept.strip() and not nodes.hopeless:
            return _by_nodes(kept, place, nodes, unfinished)
    kept = _line(kept, place.around) if place.amount == "line" else _byline_spans(kept, place)
    cut_short = place.unfinished and len(kept) == len(text)
    return _without_accidental_end(kept, place.around, place.amount) if cut_short else kept


def _has_tabs(place: Place) -> bool:
    """Whether tabs tell which statements are one block, so that a model's spaces cannot be read beside them."""
    around = place.around
    return place.amount == "block" and place.grammar == "python" and "\t" in (around.before[:1], around.above[:1])


def _in_spaces(text: str) -> bool:
    """Whether the lines of a text are indented by spaces only."""
    return bool(_SPACES.search(text)) and not _TAB.search(text)


def _without_circles(text: str, place: Place) -> str:
    kept = text[: _circling_line_from(text, place.around)]
    return kept[: _circling_lines_from(kept, place.around.before)]


def _by_nodes(text: str, place: Place, nodes: NodeEnd, unfinished: bool) -> str:
    ending = nodes.whole_part(text, unfinished=unfinished)
    if ending.whole:
        return text[: ending.position] if text[ending.position :].strip() else text
    first = _first_filled_line(text)
    return first if nodes.fits(first) else ""


def _byline_spans(text: str, place: Place) -> str:
    """A block as far as lines decide it.

    It ends before the first whole line that is indented less than the block, before a second blank line, or after
    `max_lines`; a closing bracket alone on the header's level still belongs to it. Below an open argument list it ends
    with the line that closes the list.
    """
    if not place.around.before.strip() and opens_arguments(place.around.above):
        return _arguments(text, place.around, place.max_lines)
    return _block(text, place.around, place.max_lines)


def _line(text: str, around: Surroundings) -> str:
    match = LINE_BREAK.search(text)
    if match is None:
        return text
    if text[: match.start()].strip() or around.before.strip():
        return text[: match.start()]
    # nothing but white space so far on a blank line: the model began a new line, take that one
    return _first_filled_line(text)


def _first_filled_line(text: str) -> str:
    position = 0
    for match in LINE_BREAK.finditer(text):
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
    for number, (start, end, whole) in enumerate(line_spans(text)):
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


def _arguments(text: str, around: Surroundings, max_lines: int) -> str:
    """What stands inside the bracket that ends the line above, up to the line that closes it."""
    level = indentation(around.above)
    open_brackets = 1
    kept = filled = blank = 0
    for number, (start, end, whole) in enumerate(line_spans(text)):
        line = text[start:end]
        if not line.strip():
            blank += number > 0 and whole
            if blank >= 2:
                return text[:kept]
            continue
        blank = 0
        if number > 0 and indentation(line) <= level and not _BEGINS_CLOSING.match(line):
            return text[:kept]
        open_brackets += _opened(line)
        kept = end
        filled += 1
        if whole and (open_brackets <= 0 or filled >= max_lines):
            return text[:end]
    return text


def _without_accidental_end(text: str, around: Surroundings, amount: Amount) -> str:
    """A text that was cut short: a block without its last line, a lone line only if it leaves no bracket open."""
    start = line_start(text)
    if amount == "block" and text[:start].strip():
        return text[:start].rstrip("\r\n")
    rest = around.after
    return "" if _opened(around.before + text + rest) > max(0, _opened(around.before + rest)) else text


def _opened(code: str) -> int:
    """Brackets opened less brackets closed, outside of strings."""
    code = _STRING.sub("", code)
    return sum(map(code.count, "([{")) - sum(map(code.count, ")]}"))


def _circling_line_from(text: str, around: Surroundings) -> int:
    """Where the last line ends if it turns in circles; the text's length where it does not.

    What stands before the circles is kept if it could stand alone. Else, on the cursor's line, the name before the
    bracket in which they began is kept (`total` of `total(a, b, b, b`), and otherwise the whole line goes: half a
    value (`y = 1` of `y = 1000...`) is worse than none.
    """
    start = line_start(text)
    line = text[start:]
    circles = _circles_from(line)
    if circles == len(line):
        return len(text)
    kept = line[:circles].rstrip(" ,")
    whole = around.before + text[:start] + kept
    within_a_word = _is_within_a_word(line, circles)
    if not (within_a_word or _WANTS_MORE.search(whole) or unevenness(whole + around.after)):
        return start + len(kept)
    # on the cursor's own line a name is worth having, though its arguments are not
    name = kept[: _first_open(kept)]
    if start == 0 and name.strip() and re.search(r"\w$", name):
        return len(name)
    return len(text[:start].rstrip("\r\n"))


def _first_open(code: str) -> int:
    """Where the first bracket stands that the code does not close; 0 where it closes all."""
    open_at: list[int] = []
    for position, character in enumerate(code):
        if character in "([{":
            open_at.append(position)
        elif character in ")]}" and open_at:
            open_at.pop()
    return open_at[0] if open_at else 0


def _circles_from(line: str) -> int:
    """Where a unit of a few characters begins that the line ends in four times over; its length if there is none."""
    for period in range(1, min(_LONGEST_UNIT, len(line) // 4) + 1):
        repeated = max(3 * period, _LOOP_CHARACTERS - period)
        if line[-repeated:] == line[-repeated - period : -period] and any(map(str.isalnum, line[-period:])):
            start = len(line) - repeated - period
            while start > 0 and line[start - 1] == line[start - 1 + period]:
                start -= 1
            return start
    return len(line)


def _is_within_a_word(line: str, position: int) -> bool:
    """Whether a position parts a word or a number (`1.|0`)."""
    return bool(re.search(r"[\w.]$", line[:position]) and re.match(r"\w", line[position:]))


def _circling_lines_from(text: str, before: str) -> int:
    """Where whole lines end that turn in circles; the text's length where they do not. The same line may stand twice,
    a group of two to four lines once."""
    lines: list[str] = []
    ends: list[int] = []
    for start, end, whole in line_spans(text):
        if not whole:
            break
        lines.append(text[start:end] if lines else before + text[start:end])
        ends.append(end)
        for period in range(1, _LONGEST_PERIOD + 1):
            if _stands_three_times(lines, period):
                return ends[-2 if period == 1 else -2 * period - 1]
    return len(text)


def _stands_three_times(lines: list[str], period: int) -> bool:
    """Whether the last `period` lines stand three times running. Lines that step out, as `end` after `end`, do not."""
    if len(lines) < 3 * period or indentation(lines[-period]) < indentation(lines[-3 * period]):
        return False
    first, second, third = ([line.strip() for line in lines[-k * period :][:period]] for k in (3, 2, 1))
    return first == second == third and any(map(str.isalnum, "".join(third)))
