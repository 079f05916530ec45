"""The indentation of an offer, made that of the document: tabs or spaces, and how many.

A model that writes four spaces a level into a document of tabs, or of two spaces, is converted line by line, relative
to the line that the offer begins on. Lines that are aligned (below an opened bracket with something behind it, inside
of a block comment) move with the line that they belong to; what is inside of a string stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from aix_lsp.completion.fitting_scan import at_line_end, code_lines, is_text, lines_above, scan, scan_above
from aix_lsp.completion.place import Place
from aix_lsp.completion.policy import opens_block
from aix_lsp.text import LINE_BREAK

_BLANK = re.compile(r"[ \t]*")
_WINDOW = 8000
_ENOUGH = 5
_WIDTHS = (2, 3, 4, 8)
# Labels stand where their writers want them: ` public:`, `case 1:`, `retry:`.
_LABEL = re.compile(r"\s*(?:public|private|protected|signals|slots|case\b.*|default|\w+)(?:\s+slots)?\s*:(?!:)")
_LABELLED = frozenset(("c", "cpp"))
_OPENS = re.compile(r"(?:[:{(\[]|=>|->)\s*(?:#.*|//.*)?$")
_COLUMNS_OF_TAB = 4
_LEADS = re.compile(r"(?:^|[\r\n])[ \t]")


@dataclass(frozen=True, slots=True)
class Unit:
    """One level of a document: a tab, or so many spaces (0: not known)."""

    tab: bool
    width: int

    @property
    def columns(self) -> int:
        """Columns of one level, a tab counted as four."""
        return _COLUMNS_OF_TAB if self.tab else self.width


@lru_cache(maxsize=8)
def unit_of(place: Place) -> Unit | None:
    """How the document is indented: what stands above a place decides, and what stands below where that is too little.
    None where nothing is indented, or where both ways are mixed."""
    around = place.around
    found = _unit(lines_above(place)[-_WINDOW:], place.grammar)
    if found.lines >= _ENOUGH:
        return found.unit
    below = _unit(place.suffix[len(around.after) :][:_WINDOW], place.grammar)
    return found.unit if found.lines and (found.lines >= below.lines or found.unit == below.unit) else below.unit


@dataclass(frozen=True, slots=True)
class _Found:
    """A unit, and how many lines say so."""

    unit: Unit | None
    lines: int


@lru_cache(maxsize=16)
def _unit(text: str, grammar: str | None) -> _Found:
    tabs = spaces = 0
    last: int | None = None  # a text that begins within a block does not say how deep
    steps: Counter[int] = Counter()
    levels: Counter[int] = Counter()  # below a header; other lines that go in may only continue the one above
    opened = False
    for line in code_lines(text, grammar):
        lead = leading(line)
        if line.lstrip().startswith(("*", "//", "#")):
            continue
        if lead[:1] == "\t":
            tabs += 1
        elif lead:
            spaces += len(lead) > 1
            if last is not None and len(lead) - last in _WIDTHS:
                steps[len(lead) - last] += 1
                levels[len(lead) - last] += opened
        opened = line.rstrip().endswith(("{", ":"))
        last = len(lead) if "\t" not in lead else None
    # comments and alignment bring a few lines of the other kind into most files
    if not tabs + spaces or min(tabs, spaces) * 4 > max(tabs, spaces):
        return _Found(None, 0)
    if tabs > spaces:
        return _Found(Unit(True, 1), tabs)
    counted = +levels or steps
    width = min(counted, key=lambda step: (-counted[step], step)) if counted else 0
    return _Found(Unit(False, width), spaces if steps else 0)


def leading(line: str) -> str:
    """The white space that a line begins with."""
    match = _BLANK.match(line)
    return match.group() if match else ""


def columns(lead: str) -> int:
    """Columns of white space; a tab counts as four."""
    return len(lead.expandtabs(_COLUMNS_OF_TAB))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of an offer, `lead` its whole indentation. `kind`: "level" (it says how deep the line is), "aligned" (the
    line belongs to line `owner`) or "fixed" (a blank line, or text of a string)."""

    lead: str
    code: str
    kind: str
    owner: int
    opens: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """An offer as lines from number `first` on, in relation to a line with the indentation `base`."""

    lines: list[_Line]
    first: int
    base: str
    opened: bool


def use_units(text: str, place: Place) -> str:
    """`text` with each line's indentation in the document's own units."""
    unit = unit_of(place)
    if unit is None or not _LEADS.search(text):
        return text
    layout = _layout(text, place)
    if _is_consistent(layout, unit, place.grammar):
        return text
    return _rewritten(text, layout, unit, place)


def is_consistent(text: str, place: Place) -> bool:
    """Whether every whole line of an offer is indented as the document is: by its character, in whole levels, and by
    one level below a line that opens one."""
    unit = unit_of(place)
    return unit is None or _is_consistent(_layout(text, place), unit, place.grammar)


def _is_consistent(layout: _Layout, unit: Unit, grammar: str | None) -> bool:
    base = above = columns(layout.base)
    opened, in_brackets = layout.opened, layout.first > 0 and layout.lines[0].code[-1:] in ("(", "[")
    for line in layout.lines[layout.first :]:
        if line.kind == "fixed":
            continue
        if line.kind == "aligned":
            if "\t" in line.lead and not unit.tab:
                return False
            continue
        if (" " if unit.tab else "\t") in line.lead.removeprefix(layout.base):
            return False
        here = columns(line.lead)
        if grammar and unit.width and not _is_label(line, grammar):
            if here % unit.columns and (here - base) % unit.columns:
                return False
            # below an opened bracket people go in by one level or by two
            if opened and here > above and here - above != unit.columns and not in_brackets:
                return False
        above, opened, in_brackets = here, line.opens, line.code[-1:] in ("(", "[")
    return True


def _is_label(line: _Line, grammar: str) -> bool:
    return grammar in _LABELLED and bool(_LABEL.match(line.code))


def _layout(text: str, place: Place) -> _Layout:
    around = place.around
    before = around.before
    lines = list(_lines(text, place))
    if before.strip():
        return _Layout(lines, 1, leading(before), lines[0].opens)
    if lines[0].lead == before:
        return _Layout(lines, 1, before, lines[0].opens)
    return _Layout(lines, 0, leading(around.above), opens_block(around.above))


def _lines(text: str, place: Place) -> Iterator[_Line]:
    """The lines of an offer, the cursor's own as a whole, and what their indentation means."""
    before = place.around.before
    stack = scan_above(place).stack
    # for every mark on the stack: the line that opened it (-1: above), and whether what follows is aligned with it
    owners: list[tuple[int, bool]] = [(-1, False)] * len(stack)
    for index, line in enumerate(LINE_BREAK.split(before + text)):
        owner, aligned = owners[-1] if owners else (-1, False)
        in_comment = bool(stack) and stack[-1] == "/*"
        if not line.strip() or (stack and is_text(stack[-1]) and not in_comment):
            kind = "fixed"
        else:
            kind = "aligned" if aligned or (in_comment and owner >= 0) else "level"
        code = line.strip()
        yield _Line(leading(line), code, kind, owner, kind == "level" and bool(_OPENS.search(code)))
        after, _ = at_line_end(scan(line, place.grammar, stack).stack)
        kept = next((i for i, pair in enumerate(zip(stack, after, strict=False)) if pair[0] != pair[1]), None)
        kept = min(len(stack), len(after)) if kept is None else kept
        hangs = code[-1:] in ("(", "[", "{")
        owners = owners[:kept] + [(index, not hangs)] * (len(after) - kept)
        stack = after


def _rewritten(text: str, layout: _Layout, unit: Unit, place: Place) -> str:
    """The text with other white space at the starts of its lines."""
    lines, one = layout.lines, "\t" if unit.tab else " " * (unit.width or _COLUMNS_OF_TAB)
    leads = [line.lead for line in lines]
    levels = [(_base_columns(layout, unit), layout.base)]
    opened = layout.opened
    for index, line in enumerate(lines[layout.first :], layout.first):
        here = columns(line.lead)
        if line.kind == "aligned" and line.owner >= 0:
            beyond = here - columns(lines[line.owner].lead)
            leads[index] = leads[line.owner] + " " * beyond if beyond >= 0 else leads[line.owner]
        if line.kind != "level" or _is_label(line, place.grammar or ""):
            continue
        popped = levels[-1]
        while len(levels) > 1 and levels[-1][0] > here:
            popped = levels.pop()
        column, lead = levels[-1]
        if here > column:
            if popped[0] > here:  # between two levels: the nearer
                lead = lead if here - column <= popped[0] - here else popped[1]
            else:
                lead += one * (1 if opened else max(1, round((here - column) / _step(layout, unit))))
                levels.append((here, lead))
        elif here < column:
            out = max(1, round((column - here) / _step(layout, unit)))
            lead = lead[: max(0, len(lead) - out * len(one))]
            levels = [(here, lead)]
        leads[index], opened = lead, line.opens
    return _with_leads(text, leads, layout, place)


def _base_columns(layout: _Layout, unit: Unit) -> int:
    """Where the model thinks that the base line stands: where it does, unless the body below it would be no deeper."""
    base = columns(layout.base)
    body = next((line for line in layout.lines[max(1, layout.first) :] if line.kind == "level"), None)
    if layout.first == 0:
        body = layout.lines[0]
    if layout.opened and body is not None and columns(body.lead) <= base and body.code[:1] not in (")", "]", "}"):
        depth = max(1, base // unit.columns) if unit.columns else 1
        return columns(body.lead) * depth // (depth + 1)
    return base


def _step(layout: _Layout, unit: Unit) -> int:
    """Columns of one level as the model writes them: the smallest step in."""
    found, last = set[int](), columns(layout.base)
    for line in layout.lines[layout.first :]:
        if line.kind == "level":
            found.add(columns(line.lead) - last)
            last = columns(line.lead)
    return min((step for step in found if step > 1), default=unit.columns or _COLUMNS_OF_TAB)


def _with_leads(text: str, leads: list[str], layout: _Layout, place: Place) -> str:
    before = place.around.before
    parts: list[str] = []
    start = 0
    for index, match in enumerate([*LINE_BREAK.finditer(text), None]):
        end = match.start() if match else len(text)
        line = text[start:end]
        if index >= layout.first and layout.lines[index].kind != "fixed":
            lead = leads[index]
            if index == 0:
                # what is typed already cannot be changed
                lead = lead.removeprefix(before) if lead.startswith(before) else leading(line)
            line = lead + line[len(leading(line)) :]
        parts.append(line + (match.group() if match else ""))
        start = match.end() if match else end
    return "".join(parts)
