"""What became of offers: shown, accepted, accepted in part, typed through, dismissed; and is what was accepted kept?

An offer is accepted when the editor runs the item's command, or when an edit inserts what is offered in one
go. Typing (or accepting word by word) through an offer is inferred from the edits. Counts go to `statistics.py`; the
texts are in memory only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from aix_lsp.alike import common_end, common_start
from aix_lsp.completion.kept import Clock, KeptLog
from aix_lsp.completion.statistics import Statistics
from aix_lsp.text import with_line_feeds

Outcome = Literal["shown", "accepted", "partly accepted", "typed through", "dismissed"]

_KEPT_OFFERS = 64
_PAIRS = ("()", "[]", "{}", "<>", '""', "''", "``")
"""What editors insert at once when its first half is typed."""


@dataclass(slots=True)
class _Offer:
    """One item. `offset` is where `rest`, which is not inserted yet, goes; `request` numbers the request that it
    answers. Line breaks in `rest` are line feeds, whatever the document has."""

    id: str
    uri: str
    language: str
    offset: int
    rest: str
    request: int
    live: bool = True
    told: Outcome = "shown"
    inserting: bool = False
    """Accepted by the command, while the edit that inserts it is still to come."""


class AcceptanceLog:
    """Follows the latest offers. Lives on the event loop.

    `on_outcome(item id, outcome)` is called as it becomes known; an outcome may follow another ("partly accepted",
    then "accepted"). "dismissed" comes after "shown" alone; an item that is shown again can still be accepted.
    """

    def __init__(
        self,
        statistics: Statistics,
        clock: Clock,
        text_of: Callable[[str], str | None] = lambda uri: None,
        on_outcome: Callable[[str, str], None] | None = None,
    ) -> None:
        """`text_of` gives the text of an open document as it is now."""
        self.on_outcome = on_outcome
        self._statistics = statistics
        self._text_of = text_of
        self._kept = KeptLog(clock, self._looked)
        self._offers: dict[str, _Offer] = {}
        self._request = 0
        self._counted = 0
        self._shown_in = ""

    def asked(self) -> None:
        """A request begins; what is offered from now on belongs to it, and counts as one offer in all."""
        self._request += 1

    def offered(self, item_id: str, uri: str, language: str, offset: int, text: str) -> None:
        """An item was sent to the client, to be inserted at `offset` (`text` without what stands there already). The
        same item again, as what is left of it or at the same place, moves it."""
        text = with_line_feeds(text)
        self._end(item for item in self._live(uri) if item.id != item_id and item.request != self._request)
        is_first = not self._request or self._counted != self._request
        self._counted = self._request
        known = self._offers.pop(item_id, None)
        if known is not None:
            known.uri, known.offset, known.rest = uri, offset, text
            known.request, known.live = self._request, True
            self._offers[item_id] = known  # now the youngest
            return
        if len(self._offers) >= _KEPT_OFFERS:
            oldest = next(iter(self._offers.values()))
            self._end([oldest])
            del self._offers[oldest.id]
        offer = self._offers[item_id] = _Offer(item_id, uri, language, offset, text, self._request)
        if is_first:
            self._statistics.count(language, "offered")
        self._tell(offer, "shown")

    def accepted(self, item_id: str) -> bool:
        """The client says that it inserted this item. False for an item that is not known (any more)."""
        offer = self._offers.get(item_id)
        if offer is None:
            return False
        if offer.told != "accepted":
            if offer.told == "typed through":
                # it was one character long, and nobody can see that it was not typed
                self._statistics.count(offer.language, "typed_through", -1)
            self._accept(offer)
            if offer.rest:
                self._statistics.count(offer.language, "accepted_characters", len(offer.rest))
                self._find(offer)
        return True

    def edited(self, uri: str, start: int, end: int, text: str) -> None:
        """An edit replaced [start, end) of a document by `text` (code points)."""
        self._kept.edited(uri, start, end, text)
        matching = []
        for offer in self._live(uri):
            if (inserted := _inserted(offer, start, end, text)) is None:
                self._end([offer])
            else:
                matching.append((offer, inserted))
        # of several candidates that begin alike one counts: the one that is whole now, or the first
        matching.sort(key=lambda pair: pair[0].rest != pair[1])
        for number, (offer, inserted) in enumerate(matching):
            self._advance(offer, start + len(text), inserted, text[end - start :], counts=number == 0)

    def replaced(self, uri: str, before: str, after: str) -> None:
        """The client sent a whole document anew: what differs is taken for the edit."""
        if not self.follows(uri):
            return
        start = common_start(before, after)
        tail = common_end(before, after, start)
        self.edited(uri, start, len(before) - tail, after[start : len(after) - tail])

    def closed(self, uri: str | None = None) -> None:
        """A document was closed (None: all are, the server ends)."""
        self._end(offer for offer in self._offers.values() if offer.live and uri in (None, offer.uri))
        self._kept.closed(uri)

    def forget(self) -> None:
        """Nothing is to be kept any more (statistics.enabled): let go of the accepted texts."""
        self._kept.clear()

    def follows(self, uri: str) -> bool:
        """Whether edits of this document matter."""
        return self._kept.follows(uri) or bool(self._live(uri))

    def _live(self, uri: str) -> list[_Offer]:
        return [offer for offer in self._offers.values() if offer.live and offer.uri == uri]

    def _advance(self, offer: _Offer, offset: int, inserted: str, text: str, *, counts: bool) -> None:
        """`inserted`, the beginning of what was left of an offer, is in the document now, before `offset` and with the
        document's line breaks: `text`."""
        at_once = len(inserted) > 1 and inserted not in _PAIRS
        offer.offset, offer.rest = offset, offer.rest[len(inserted) :]
        offer.live = bool(offer.rest)
        if offer.inserting:
            offer.inserting = False
            self._follow(offer, offset, text)
            return
        if at_once and counts and offer.told != "accepted":
            self._statistics.count(offer.language, "accepted_characters", len(inserted))
        if offer.told != "shown" or (offer.rest and not at_once):
            return
        if offer.rest:
            if counts:
                self._statistics.count(offer.language, "partly_accepted")
            self._tell(offer, "partly accepted")
        elif at_once:
            self._accept(offer)
            self._follow(offer, offset, text)
        else:
            self._statistics.count(offer.language, "typed_through")
            self._tell(offer, "typed through")

    def _accept(self, offer: _Offer) -> None:
        self._statistics.count(offer.language, "accepted")
        self._tell(offer, "accepted")

    def _find(self, offer: _Offer) -> None:
        """After the command for an item whose insertion was not seen: it was an edit of another form and the text is
        there, or the edit is still to come."""
        text = self._text_of(offer.uri)
        piece = "" if text is None else text[offer.offset : offer.offset + len(offer.rest) + offer.rest.count("\n")]
        if with_line_feeds(piece).startswith(offer.rest):
            length = len(offer.rest) + piece.count("\r\n")
            self._follow(offer, offer.offset + length, piece[:length])
            offer.live = False
        else:
            offer.inserting = offer.live = True

    def _follow(self, offer: _Offer, end: int, text: str) -> None:
        if self._statistics.kept:
            self._kept.follow(offer.uri, offer.language, end - len(text), text)

    def _looked(self, language: str, seconds: int, kept: bool) -> None:
        self._statistics.count(language, f"looked_{seconds}")
        if kept:
            self._statistics.count(language, f"kept_{seconds}")

    def _end(self, offers: Iterable[_Offer]) -> None:
        """These are shown no more."""
        for offer in list(offers):
            if offer.live and offer.told == "shown":
                self._tell(offer, "dismissed")
            offer.live = offer.inserting = False

    def _tell(self, offer: _Offer, outcome: Outcome) -> None:
        if outcome != "dismissed":
            offer.told = outcome
        if self.on_outcome is not None:
            self.on_outcome(offer.id, outcome)


def _inserted(offer: _Offer, start: int, end: int, text: str) -> str | None:
    """The beginning of what is left of an offer that an edit inserts; None when it does something else. An edit may
    write what stands before the place once more."""
    if not text or end != offer.offset:
        return None
    new = with_line_feeds(text)
    if start < end:
        # a replaced range that ends at the place: what was there, and then the rest in one go
        again = end - start
        return offer.rest if len(new) - again == len(offer.rest) and new.endswith(offer.rest) else None
    return new if offer.rest.startswith(new) else None
