"""Making generated text fit its place: a list of small rules in one order, each a pure function of the text.

A rule that changed something is named in the result, so that a user can see why an offer looks as it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from aix_lsp.completion.extent import extent
from aix_lsp.completion.policy import Surroundings
from aix_lsp.types import Amount

_PAIRS = {")": "(", "]": "[", "}": "{"}
_UNEVEN = re.compile(r"[()\[\]{}\"'`]")
_LINE_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the text will stand: the lines around, all text after the cursor, how much was asked for."""

    around: Surroundings
    suffix: str
    amount: Amount
    max_lines: int
    line_break: str = "\n"


@dataclass(frozen=True, slots=True)
class Fitted:
    """The offer (empty: nothing worth offering) and the names of the rules that changed it."""

    text: str
    changes: tuple[str, ...] = ()


def fit(text: str, place: Place) -> Fitted:
    """Apply every rule in order."""
    changes = []
    for rule in RULES:
        fitted = rule(text, place)
        if fitted != text:
            changes.append(rule.__name__.replace("_", " "))
            text = fitted
        if not text:
            break
    return Fitted(text, tuple(changes))


def drop_incomplete_character(text: str, place: Place) -> str:
    """A generation cut inside a UTF-8 sequence ends in the replacement character."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}")


def end_where_the_offer_ends(text: str, place: Place) -> str:
    """The rest of the line, or the block (`extent.py`)."""
    return extent(text, place.around, place.amount, place.max_lines)


def use_the_indentation_that_is_there(text: str, place: Place) -> str:
    """On a line whose indentation is typed already, the model sometimes repeats it."""
    before = place.around.before
    if before and not before.strip() and text.startswith(before):
        return text[len(before) :]
    return text


def drop_what_follows_already(text: str, place: Place) -> str:
    """The end of the offer that repeats the beginning of what follows: on this line, or whole lines below."""
    rest = place.around.after.strip()
    lines = _LINE_BREAK.split(text)
    if rest and lines[-1].rstrip().endswith(rest):
        shorter = text.rstrip()[: len(text.rstrip()) - len(rest)]
        line = place.around.before if len(lines) == 1 else ""
        with_it, without_it = line + lines[-1] + rest, line + _LINE_BREAK.split(shorter)[-1] + rest
        # `f(|)` and `g(a)`: that bracket is the offer's own
        if not _UNEVEN.search(rest) or _unevenness(without_it) < _unevenness(with_it):
            return shorter
    following = [line.strip() for line in _LINE_BREAK.split(place.suffix[:4000])[1:] if line.strip()]
    stripped = [line.strip() for line in lines]
    for count in range(min(len(lines), len(following)), 0, -1):
        tail = [line for line in stripped[-count:] if line]
        if len(tail) == count and tail == following[:count]:
            cut = len(lines) - count
            if cut == 0 and place.around.before.strip():
                continue
            return text[: sum(map(len, lines[:cut])) + _breaks(text, cut)].rstrip()
    return text


def keep_brackets_balanced(text: str, place: Place) -> str:
    """Closing brackets that the rest of the line closes already are cut off the end."""
    rest = place.around.after.strip()
    if not rest or rest[0] not in _PAIRS:
        return text
    while text and text.rstrip()[-1:] in _PAIRS and _surplus(text) and text.rstrip()[-1] in rest:
        text = text.rstrip()[:-1]
    return text


def drop_trailing_space(text: str, place: Place) -> str:
    """White space at the end of an offer is invisible and unwanted."""
    return text.rstrip()


def use_the_documents_line_breaks(text: str, place: Place) -> str:
    """CRLF stays CRLF."""
    return _LINE_BREAK.sub(lambda _: place.line_break, text)


def drop_what_repeats_the_line_above(text: str, place: Place) -> str:
    """An offer that is the line above over again helps nobody; small models fall into such loops."""
    whole = (place.around.before + text).strip()
    if whole and len(whole) > 3 and whole == place.around.above.strip():
        return ""
    return text


RULES: tuple[Callable[[str, Place], str], ...] = (
    drop_incomplete_character,
    end_where_the_offer_ends,
    use_the_indentation_that_is_there,
    drop_what_follows_already,
    keep_brackets_balanced,
    drop_trailing_space,
    drop_what_repeats_the_line_above,
    use_the_documents_line_breaks,
)


def line_break_of(text: str) -> str:
    """The line break that a document uses: that of its first line, `\\n` where there is none."""
    match = _LINE_BREAK.search(text)
    return match.group() if match else "\n"


def _unevenness(line: str) -> int:
    """Brackets without a partner, and quotes in odd number."""
    brackets = sum(abs(line.count(opening) - line.count(closing)) for closing, opening in _PAIRS.items())
    return brackets + sum(line.count(quote) % 2 for quote in "\"'`")


def _breaks(text: str, count: int) -> int:
    """Characters taken by the first `count` line breaks."""
    return sum(len(match.group()) for _, match in zip(range(count), _LINE_BREAK.finditer(text), strict=False))


def _surplus(text: str) -> bool:
    """Whether the last closing bracket of the text has no opening one inside it."""
    closer = text.rstrip()[-1]
    return text.count(closer) > text.count(_PAIRS[closer])
