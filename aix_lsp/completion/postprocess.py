"""Making generated text fit its place: a list of small rules in one order, each a pure function of the text.

A rule that changed something is named in the result, so that a user can see why an offer looks as it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from aix_lsp.completion.extent import extent
from aix_lsp.completion.place import Place
from aix_lsp.completion.policy import indentation, opens_block, unevenness

_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSING = frozenset(")]}\"'`")
_UNEVEN = re.compile(r"[()\[\]{}\"'`]")
_WORD = re.compile(r"\w")
_FOLLOWING_CHARACTERS = 4000
_LINE_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The offer (empty: nothing worth offering) and the names of the rules that changed it."""

    text: str
    changes: tuple[str, ...] = ()


def fit(text: str, place: Place) -> Fitted:
    """Apply every rule in order, and all of them again until none changes anything: one rule's cut may be another's
    case. A text is unfinished only the first time; what is left after that ends where a rule ended it."""
    changes: dict[str, None] = {}
    while True:
        fitted = _apply_rules(text, place, changes)
        if fitted == text:
            return Fitted(text, tuple(changes))
        text, place = fitted, replace(place, unfinished=False)


def _apply_rules(text: str, place: Place, changes: dict[str, None]) -> str:
    """Every rule once; adds the names of those that changed something to `changes`."""
    for rule in RULES:
        fitted = rule(text, place)
        if fitted != text:
            changes[rule.__name__.replace("_", " ")] = None
            text = fitted
        if not text:
            break
    return text


def drop_broken_characters(text: str, place: Place) -> str:
    """A generation that was cut inside a UTF-8 sequence, or went on with something else, holds the replacement
    character; what comes from there on is not what the model meant."""
    return text.partition("\N{REPLACEMENT CHARACTER}")[0]


def end_where_the_offer_ends(text: str, place: Place) -> str:
    """The rest of the line, or the block (`extent.py`)."""
    return extent(text, place)


def use_the_indentation_that_is_there(text: str, place: Place) -> str:
    """On a line whose indentation is typed already, the model sometimes repeats it. Not where the typed indentation
    is no deeper than the header above: there the model's own reaches the body."""
    before, above = place.around.before, place.around.above
    if not before or before.strip():
        return text
    floor = indentation(above) + 1 if opens_block(above) else 0
    while text.startswith(before) and indentation(text) >= floor:
        text = text[len(before) :]
    return text


def drop_the_rest_of_the_line(text: str, place: Place) -> str:
    """The end of the offer that repeats what follows on this line. Words are dropped whole; brackets and quotes only
    if that makes them more even: in `f(|)` and `g(a)` the bracket is the offer's own."""
    rest = place.around.after.strip()
    if not rest or not text.rstrip().endswith(rest):
        return text
    shorter = text.rstrip()[: -len(rest)]
    if _WORD.match(rest) and _WORD.match(shorter[-1:]):
        return text
    return shorter if not _UNEVEN.search(rest) or _is_more_even(shorter, text, place) else text


def drop_lines_that_follow(text: str, place: Place) -> str:
    """The last lines of the offer that repeat the lines below, indentation and all: a closing bracket further in is
    another bracket."""
    following = [line.rstrip() for line in _LINE_BREAK.split(place.suffix[:_FOLLOWING_CHARACTERS])[1:] if line.strip()]
    lines = _LINE_BREAK.split(text)
    whole = [line.rstrip() for line in [place.around.before + lines[0], *lines[1:]]]
    for count in range(min(len(lines), len(following)), 0, -1):
        cut = len(lines) - count
        if cut == 0 and place.around.before.strip():
            continue
        if whole[cut:] == following[:count]:
            return text[: sum(map(len, lines[:cut])) + _breaks(text, cut)].rstrip()
    return text


def keep_brackets_and_quotes_balanced(text: str, place: Place) -> str:
    """Closing brackets and quotes that the rest of the line has already are cut off the end, while that makes the
    line more even: in `print(f(|)` and `a))` one of the two is needed."""
    rest = place.around.after.strip()
    if not rest or rest[0] not in _CLOSING:
        return text
    while text.strip():
        shorter, last = text.rstrip()[:-1], text.rstrip()[-1]
        if last not in _CLOSING or last not in rest or not _is_more_even(shorter, text, place):
            break
        text = shorter
    return text


def end_where_the_rest_closes(text: str, place: Place) -> str:
    """A model that goes on after the bracket that stands behind the cursor already, as in `f"{|}"` and
    `x} is what it was"`: end before its bracket, if that makes the line more even."""
    closer = place.around.after.strip()[:1]
    if closer not in _PAIRS:
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == _PAIRS[closer]) - (character == closer)
        if depth < 0:
            return text[:position] if _is_more_even(text[:position], text, place) else text
    return text


def drop_trailing_space(text: str, place: Place) -> str:
    """White space at the end of an offer is invisible and unwanted, but for one space that parts it from a word."""
    kept = text.rstrip()
    return kept + " " if kept and kept != text and _WORD.match(place.around.after) else kept


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
    drop_broken_characters,
    end_where_the_offer_ends,
    use_the_indentation_that_is_there,
    drop_the_rest_of_the_line,
    drop_lines_that_follow,
    keep_brackets_and_quotes_balanced,
    end_where_the_rest_closes,
    drop_trailing_space,
    drop_what_repeats_the_line_above,
    use_the_documents_line_breaks,
)


def _is_more_even(shorter: str, text: str, place: Place) -> bool:
    """Whether the line has fewer brackets and quotes without a partner with the shorter text."""
    before, rest = place.around.before, place.around.after
    return unevenness(before + shorter + rest) < unevenness(before + text + rest)


def _breaks(text: str, count: int) -> int:
    """Characters taken by the first `count` line breaks."""
    return sum(len(match.group()) for _, match in zip(range(count), _LINE_BREAK.finditer(text), strict=False))
