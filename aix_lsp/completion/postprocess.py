"""Making generated text fit its place: small rules in one order, each a pure function of the text and its place.

The order, with what each of them is for:

 1. drop broken characters: what follows a sequence of bytes that is no UTF-8, a control character, or a mark that turns
    the direction of text
 2. drop markers: the model's own marks and end tokens, and the fences of a chat answer
 3. end where the offer ends: the rest of the line or the block, circles and accidental ends (`extent.py`)
 4. use the indentation that is there: what is typed already is not said again
 5. use the documents indentation: tabs or spaces, and how many
 6. drop the rest of the line: what stands behind the cursor
 7. drop lines that follow: what stands below, exact, at another depth, or nearly so
 8. keep brackets and quotes balanced: the document has no more of them without a partner than it must
 9. drop trailing space
10. drop lone closing punctuation: unless the document needs exactly that
11. drop what repeats the lines above
12. drop what repeats the line below
13. drop secrets: keys and passwords that a model remembers, or makes up
14. use the documents line breaks: CRLF stays CRLF

A rule that changed something is named in the result, so that a user can see why an offer looks as it does. Nothing is
ever added but white space, and nothing around the cursor is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from aix_lsp.completion.extent import extent
from aix_lsp.completion.fitting_brackets import (
    balance_is_kept,
    before_angle,
    closes_something,
    is_even,
    keep_balance,
    only_closes,
)
from aix_lsp.completion.fitting_indentation import use_units
from aix_lsp.completion.fitting_markers import without_fences, without_markers
from aix_lsp.completion.fitting_repeats import overlap, repeats_line_below, repeats_lines_above, without_lines_below
from aix_lsp.completion.place import Place
from aix_lsp.completion.policy import indentation, opens_block
from aix_lsp.text import LINE_BREAK
from aix_lsp.workspace.secrets import contains_secret

_WORD = re.compile(r"\w")
_BROKEN = re.compile(r"[\ufffd\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
_MOST_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Fitted:
    """The offer (empty: nothing worth offering) and the names of the rules that changed it."""

    text: str
    changes: tuple[str, ...] = ()


def fit(text: str, place: Place) -> Fitted:
    """Apply every rule in order, and all of them again until none changes anything: one rule's cut may be another's
    case. A text is unfinished only the first time; what is left after that ends where a rule ended it."""
    changes: dict[str, None] = {}
    for _ in range(_MOST_ROUNDS):
        fitted, fired = _apply_rules(text, place)
        if fitted == text:  # also where one rule took back what another did
            return Fitted(text, tuple(changes))
        changes |= fired
        text, place = fitted, replace(place, unfinished=False) if place.unfinished else place
    return Fitted("", tuple(changes))  # rules that undo one another: what would be offered is anybody's guess


def _apply_rules(text: str, place: Place) -> tuple[str, dict[str, None]]:
    """Every rule once, and the names of those that changed something."""
    fired: dict[str, None] = {}
    for rule in RULES:
        if not text:
            break
        fitted = rule(text, place)
        if fitted != text:
            fired[name_of(rule)] = None
            text = fitted
    return text, fired


def name_of(rule: Callable[[str, Place], str]) -> str:
    """A rule as `Fitted.changes` calls it."""
    return rule.__name__.replace("_", " ")


def drop_broken_characters(text: str, place: Place) -> str:
    """A generation that was cut inside a UTF-8 sequence, or went on with something else, holds the replacement
    character; what comes from there on is not what the model meant. Neither is a control character, nor a mark that
    turns the direction of text: what is offered would not be what is read (CVE-2021-42574)."""
    return _BROKEN.split(text, maxsplit=1)[0]


def drop_markers(text: str, place: Place) -> str:
    """Markers and end tokens that were written out, or that a server did not take for what they are."""
    return without_fences(without_markers(text, place), place)


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


def use_the_documents_indentation(text: str, place: Place) -> str:
    """Tabs in a file of tabs, and as many spaces as the file has (`fitting_indentation.py`)."""
    return use_units(text, place)


def drop_the_rest_of_the_line(text: str, place: Place) -> str:
    """The end of the offer that repeats what follows on this line, or its beginning. Words are dropped whole; brackets
    and quotes only if that leaves fewer without a partner: in `f(|)` and `g(a)` the bracket is the offer's own. Signs
    that need none (`;`, `()`) are dropped too, and all from an angle bracket on that stands behind the cursor."""
    rest = place.around.after.strip()
    if not rest:
        return text
    if rest.startswith(">"):
        text = before_angle(text)
    if not text.rstrip().endswith(rest):
        length = overlap(text, rest)
        shorter = text[: len(text) - length]
        return shorter if length and balance_is_kept(shorter, text, place) else text
    shorter = text.rstrip()[: -len(rest)]
    if _WORD.match(rest) and _WORD.match(shorter[-1:]):
        return text
    needs_partners = not _WORD.search(rest) and not is_even(rest, place)
    return shorter if balance_is_kept(shorter, text, place, more=needs_partners) else text


def drop_lines_that_follow(text: str, place: Place) -> str:
    """Lines that the document has below already (`fitting_repeats.py`)."""
    return without_lines_below(text, place)


def keep_brackets_and_quotes_balanced(text: str, place: Place) -> str:
    """Closing brackets and quotes that stand behind the cursor already, and all others that the document has no partner
    for (`fitting_brackets.py`)."""
    return keep_balance(text, place)


def drop_trailing_space(text: str, place: Place) -> str:
    """White space at the end of an offer, and of its lines, is invisible and unwanted, but for one space that parts it
    from a word."""
    kept = text.rstrip()
    return kept + " " if kept and kept != text and _WORD.match(place.around.after) else kept


def drop_lone_closing_punctuation(text: str, place: Place) -> str:
    """Closers that close nothing, and a lone comma or semicolon, are not worth a key."""
    return "" if only_closes(text) and not closes_something(text, place) else text


def drop_what_repeats_the_lines_above(text: str, place: Place) -> str:
    """An offer that is the line above over again helps nobody; small models fall into such loops."""
    return "" if repeats_lines_above(text, place) else text


def drop_what_repeats_the_line_below(text: str, place: Place) -> str:
    """A line that is what the next line is."""
    return "" if repeats_line_below(text, place) else text


def drop_secrets(text: str, place: Place) -> str:
    """A key or a password in an offer is somebody's, or nobody's."""
    return "" if contains_secret(place.around.before + text) else text


def use_the_documents_line_breaks(text: str, place: Place) -> str:
    """CRLF stays CRLF."""
    return LINE_BREAK.sub(lambda _: place.line_break, text)


RULES: tuple[Callable[[str, Place], str], ...] = (
    drop_broken_characters,
    drop_markers,
    end_where_the_offer_ends,
    use_the_indentation_that_is_there,
    use_the_documents_indentation,
    drop_the_rest_of_the_line,
    drop_lines_that_follow,
    keep_brackets_and_quotes_balanced,
    drop_trailing_space,
    drop_lone_closing_punctuation,
    drop_what_repeats_the_lines_above,
    drop_what_repeats_the_line_below,
    drop_secrets,
    use_the_documents_line_breaks,
)
