"""Offers that were made, and what is left of them where somebody has typed into them.

An offer keeps the text as the model wrote it and is fitted to what stands around it now: as if what was typed were not
there yet, with what follows the cursor at this moment. So its end, its lines and its indentation are decided as they
were when it was made, and a bracket that the editor closed meanwhile is not doubled.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from aix_lsp.completion.origin import Origin, Reached, left_of
from aix_lsp.completion.place import Place, line_break_of, place_at
from aix_lsp.completion.postprocess import Fitted, drop_the_rest_of_the_line, fit
from aix_lsp.settings import Settings
from aix_lsp.types import Amount, CompletionResult, DocumentSnapshot, Snippet

_QUOTES = ('"', "'", "`")


@dataclass(frozen=True, slots=True)
class Offer:
    """One candidate: its id, the text before it was fitted, and as it was fitted at its own place. `unfinished` is that
    of `Place`."""

    id: str
    text: str
    fitted: str
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of an offer at some place: never empty."""

    id: str
    text: str


@dataclass(slots=True)
class Entry:
    """All that was made for one place. Without offers: the model had nothing to add there.

    `result` is the answer without its items; `snippets` is what retrieval found, and `stamp` the retriever's for them.
    `whole` says that all candidates were asked for, `prepared` that nobody has asked yet, `expires` when it is of no
    use any more.
    """

    origin: Origin
    amount: Amount
    max_lines: int
    settings: Settings
    offers: tuple[Offer, ...]
    result: CompletionResult
    snippets: tuple[Snippet, ...] = ()
    stamp: tuple[object, ...] = ()
    whole: bool = False
    prepared: bool = False
    expires: float | None = None
    _refitted: tuple[tuple[str, int], tuple[str, ...]] | None = field(default=None, repr=False)

    @property
    def characters(self) -> int:
        """What it takes in memory, by its texts."""
        texts = (*(offer.text + offer.fitted for offer in self.offers), *(snippet.text for snippet in self.snippets))
        return len(self.origin.tail) + len(self.origin.head) + len(self.result.raw) + sum(map(len, texts))

    def reached(self, document: DocumentSnapshot, offset: int) -> Reached | None:
        """How a place was reached from this entry's by typing; None if it was not."""
        longest = max((max(len(offer.text), len(offer.fitted)) for offer in self.offers), default=0)
        return self.origin.reached(document, offset, 2 * longest)  # line breaks may take two characters

    def left(self, document: DocumentSnapshot, offset: int, reached: Reached) -> list[Left]:
        """What is left of the offers that agree with what was typed, each text once."""
        found: dict[str, Left] = {}
        line_break = line_break_of(document.text)
        for offer, fitted in zip(self.offers, self._fitted(document, offset, reached), strict=True):
            rest = left_of(fitted, reached.typed, line_break)
            if rest and reached.added:
                rest = self._without_quote_behind(rest, document, offset)
            if rest and rest.strip():
                found.setdefault(rest, Left(offer.id, rest))
        return list(found.values())

    def _without_quote_behind(self, rest: str, document: DocumentSnapshot, offset: int) -> str:
        """Of three quotes that open, the editor closes the first by itself, and that one is of another kind."""
        if rest.rstrip()[-1:] not in _QUOTES or document.text[offset : offset + 1] != rest.rstrip()[-1:]:
            return rest
        return drop_the_rest_of_the_line(rest, place_at(document, offset, self.amount, self.max_lines))

    def _fitted(self, document: DocumentSnapshot, offset: int, reached: Reached) -> Sequence[str]:
        if not reached.added and not reached.removed:
            return [offer.fitted for offer in self.offers]
        key = reached.added, reached.removed
        if self._refitted is None or self._refitted[0] != key:
            untyped = replace(document, text=document.text[: reached.start] + document.text[offset:])
            place = place_at(untyped, reached.start, self.amount, self.max_lines)
            texts = (fit(offer.text, replace(place, unfinished=offer.unfinished)).text for offer in self.offers)
            self._refitted = key, tuple(texts)
        return self._refitted[1]


def offers_for(
    texts: Iterable[tuple[str, bool]], place: Place, *, known: Iterable[Left] = (), limit: int = 1
) -> tuple[tuple[Offer, ...], tuple[str, ...]]:
    """Up to `limit` offers for a place that differ once they are fitted, and the names of the rules that changed the
    first text. Those of `texts` (with whether they are unfinished) come after those that are `known` to be shown
    there already, which keep their ids."""
    found = {left.text: Offer(left.id, left.text, left.text) for left in known}
    first: Fitted | None = None
    for text, unfinished in texts:
        fitted = fit(text, replace(place, unfinished=unfinished))
        first = first or fitted
        if fitted.text.strip():
            found.setdefault(fitted.text, Offer(uuid.uuid4().hex[:16], text, fitted.text, unfinished))
    return tuple(found.values())[:limit], first.changes if first is not None else ()
