"""Brackets and quotes of an offer, balanced against the document that it will stand in.

Nothing is ever added: of all places where the text could end, the one is taken that leaves the fewest brackets and
quotes of the whole document without a partner; of several such places the last.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from aix_lsp.completion.enclosing import enclosing
from aix_lsp.completion.fitting_lexis import LINE_COMMENT
from aix_lsp.completion.fitting_scan import (
    OPENING,
    Scan,
    Step,
    at_line_end,
    is_text,
    scan,
    scan_above,
    scan_lines,
)
from aix_lsp.completion.place import Place
from aix_lsp.text import line_start

_BEHIND_CHARACTERS = 20_000
_BEFORE_CHARACTERS = 20_000  # of the cursor's line: data and packed code have longer ones
# What follows on the cursor's line is read once for every way to end an offer: a line may be a whole file.
_AFTER_CHARACTERS = 1_000
_LONGEST_END = 40
_CLOSERS_ONLY = re.compile(r"[)\]}>\"'`,;:\s]*")
# After these a value is missing, so that nothing can end there: `x =`, `a.`, `return`, `if`.
_WANTS_MORE = re.compile(
    r"(?:\b(?:and|or|not|in|is|return|if|elif|while|for|switch|catch|match|with|assert|raise|throw|new|await|yield"
    r"|case|del|import|from|lambda|try|else|do|finally|export|default|async|static|public|private|protected|def|class|func|fn|function|var|let|const|typeof|instanceof)"
    r"|[-+*/%&|^<>=!~.:@\\#?,(\[{]|=>)\s*$"
)
_ANGLE = re.compile(r"(?<![\s<])<(?![\s<=])|(?<![-=\s])>(?!=)")
_LINE_BREAK = re.compile(r"[\r\n]")
_ANNOUNCES = re.compile(r"[ \t]*(?:@[\w.]+(?:\(.*\))?|#\[.*\]|//.*|#.*|/?\*.*)")


def keep_balance(text: str, place: Place) -> str:
    """`text`, or the beginning of it that leaves the document most balanced. A line that ends with the `{` of a body
    keeps it: the body with its closing bracket is what comes next."""
    around = around_of(place)
    read = around.read(text)
    if around.is_whole(read):
        return text
    most = around.cost(read)
    if most == 0:
        return text
    best, least = len(text), most
    for end in sorted({*_ends(text, read.steps, place), 0}, reverse=True):
        if end < len(text):
            cost = around.cost(around.read_to(text, end, read))
            if cost < least:
                best, least = end, cost
    if best < len(text) and _opens_a_body(text, read, around, place, least):
        return text
    return text[:best]


def _opens_a_body(text: str, read: _Read, around: Around, place: Place, least: int) -> bool:
    """Whether a text is the rest of a line that ends with the `{` of a body, brackets around it (`f(() => {`)
    included, and is as balanced as it can be (`least`) but for these. Not the brace alone."""
    line = text.strip()
    if not line.endswith("{") or line == "{" or _LINE_BREAK.search(line) or place.around.after.strip():
        return False
    if place.grammar == "python" or not place.prefix:
        return False
    same = next((i for i, pair in enumerate(zip(read.stack, around.stack, strict=False)) if pair[0] != pair[1]), None)
    same = min(len(read.stack), len(around.stack)) if same is None else same
    opened = read.stack[same:]
    if not opened or any(map(is_text, opened)) or around.cost(_Read(read.stack[:same], read.lost)) > least:
        return False
    here = enclosing(place.prefix + text.rstrip(), place.grammar)
    return here.opener == "{" and here.kind in ("body", "top")


def closes_something(text: str, place: Place) -> bool:
    """Whether the document has fewer brackets and quotes without a partner with `text` than without it. Angle brackets
    are counted on the line: `List<List<String|` and `>>`."""
    around = around_of(place)
    if around.cost(around.read(text)) < around.cost(around.read("")):
        return True
    line = place.around.before + place.around.after
    angles = text.count(">")
    return bool(angles) and set(text) <= set("> \t") and line.count("<") - line.count(">") >= angles


def balance_is_kept(shorter: str, text: str, place: Place, *, more: bool = False) -> bool:
    """Whether the document is as balanced with the shorter text as with `text`; `more`: more so."""
    around = around_of(place)
    difference = around.cost(around.read(text)) - around.cost(around.read(shorter))
    return difference > 0 if more else difference >= 0


def is_even(rest: str, place: Place) -> bool:
    """Whether what follows the cursor closes nothing from before it, and opens nothing: `;`, `,`, `();`."""
    read = scan(rest, place.grammar)
    return not (read.stack or read.closers or read.lost or rest.startswith(">"))


def before_angle(text: str) -> str:
    """`text` up to an angle bracket that closes nothing in it (`String>()` in `new List<|>()`). Arrows and
    comparisons with spaces around them are none."""
    depth = 0
    for match in _ANGLE.finditer(text):
        depth += 1 if match.group() == "<" else -1
        if depth < 0:
            return text[: match.start()]
    return text


def only_closes(text: str) -> bool:
    """Whether a text is nothing but closing punctuation and white space."""
    return bool(_CLOSERS_ONLY.fullmatch(text))


def stands_alone(code: str) -> bool:
    """Whether a line could end so: not with an operator, an opened bracket or a word that wants a value."""
    return not _WANTS_MORE.search(code[-_LONGEST_END:])


@dataclass(frozen=True, slots=True)
class _Read:
    """The document's cursor line up to the offer's end: what is open there, and what went wrong in the offer."""

    stack: tuple[str, ...]
    lost: int
    steps: tuple[Step, ...] = ()


class Around:
    """The document around an offer, as brackets and quotes."""

    def __init__(self, place: Place) -> None:
        around = place.around
        self.grammar = place.grammar
        self.after = around.after[:_AFTER_CHARACTERS]
        # half of `//`, `/*` or `*/` may stand before the cursor
        self.lead = around.before[-1:] if around.before[-1:] in ("/", "*") else ""
        before = around.before[: len(around.before) - len(self.lead)][-_BEFORE_CHARACTERS:]
        self.stack = scan(before, self.grammar, scan_above(place).stack).stack
        self.below = place.suffix[len(around.after) :][:_BEHIND_CHARACTERS]
        rest = scan(self.after, self.grammar, scan(self.lead, self.grammar, self.stack).stack)
        self.signs = rest.signs
        self.text_below = _text_part(at_line_end(rest.stack)[0])

    def read(self, text: str) -> _Read:
        """The offer, with every place where it opens or closes something."""
        read = scan(self.lead + text, self.grammar, self.stack, steps=True)
        steps = read.steps
        if self.lead:
            steps = tuple(replace(step, position=step.position - 1) for step in steps if step.position)
        return _Read(read.stack, read.lost + len(read.closers), steps)

    def is_whole(self, read: _Read) -> bool:
        """Whether an offer closes all that it opens and nothing else, so that no end of it is better than another."""
        depth = len(self.stack)
        return (
            not read.lost
            and read.stack == self.stack
            and all(step.opens or len(step.stack) > depth for step in read.steps)
        )

    def read_to(self, text: str, end: int, whole: _Read) -> _Read:
        """The same for the first `end` characters, from what is known of the whole."""
        start, stack, lost = 0, self.stack, 0
        index = bisect_right(whole.steps, end, key=lambda step: step.position)
        if index:
            step = whole.steps[index - 1]
            start, stack, lost = step.position, step.stack, step.lost
        part = scan(text[start:end] if index else self.lead + text[:end], self.grammar, stack)
        return _Read(part.stack, lost + part.lost + len(part.closers))

    def cost(self, read: _Read) -> int:
        """Brackets and quotes without a partner from the cursor's line on, and what is open above; one more for each
        bracket and quote behind the cursor that the offer would make part of a string or a comment."""
        rest = scan(self.after, self.grammar, read.stack)
        swallowed = max(0, self.signs - rest.signs)
        stack, cut = at_line_end(rest.stack)
        inside = _text_part(stack)
        below = scan_lines(self.below, self.grammar, inside)
        lost = read.lost + rest.lost + len(rest.closers) + cut + below.lost + swallowed
        # a string or a comment that only the offer opens turns all that stands below inside out
        lost += bool(inside) and inside != self.text_below
        return lost + _joined(stack[: len(stack) - len(inside)], below.closers) + Scan(below.stack, (), 0, 0).unmatched


@lru_cache(maxsize=8)
def around_of(place: Place) -> Around:
    """What stands around a place, kept: several rules ask."""
    return Around(place)


def _text_part(stack: tuple[str, ...]) -> tuple[str, ...]:
    """The marks from the first open string or comment on."""
    return stack[next((index for index, mark in enumerate(stack) if is_text(mark)), len(stack)) :]


def _joined(stack: tuple[str, ...], closers: tuple[str, ...]) -> int:
    """What is left without a partner when these closers meet these open brackets."""
    is_open, lost = list(stack), 0
    for closer in closers:
        found = next((i for i in range(len(is_open) - 1, -1, -1) if is_open[i] == OPENING[closer]), None)
        if found is None:
            lost += 1
        else:
            lost += len(is_open) - 1 - found
            del is_open[found:]
    return lost + len(is_open)


def _ends(text: str, steps: tuple[Step, ...], place: Place) -> Iterator[int]:
    """Where a text could end: before something that closes, and before what opens and stays open: at the end of the
    line above, or behind a name on the cursor's own line."""
    for step in steps:
        if step.stack and step.stack[-1] == LINE_COMMENT:
            continue
        if not step.opens:
            yield step.position
            continue
        start = line_start(text, step.position)
        if start:
            yield _end_of_lines(text[:start])
        else:
            kept = text[: step.position].rstrip()
            if kept[start:].strip() and stands_alone(place.around.before[-_LONGEST_END:] + kept):
                yield len(kept)
    # a quote behind the cursor may be the partner of the last one but one: `print("|")` and `hello", end=""`
    if text.rstrip()[-1:] in ('"', "'", "`"):
        yield len(text.rstrip()) - 1


def _end_of_lines(text: str) -> int:
    """Where whole lines end without what announces another: decorators, comments, blank lines at their end."""
    end = len(text.rstrip())
    while True:
        start = line_start(text, end)
        if not _ANNOUNCES.fullmatch(text[start:end]):
            return end
        end = len(text[:start].rstrip())
