"""Offers that can be made again without asking anybody: typed into, at the same place, or worked out ahead.

An entry dies with the settings and the model that it was made with, when a file changes that it quotes or could quote,
and when there are too many; that there is nothing to add at a place is remembered for a short while only.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aix_lsp.completion.offer import Entry, Left
from aix_lsp.completion.origin import Reached
from aix_lsp.completion.retriever import Retriever
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Source

ENTRIES_OF_A_DOCUMENT = 32
DOCUMENTS = 16
CHARACTERS = 1_000_000
"""Of all entries together."""

NOTHING_SECONDS = 20.0
"""How long it holds that there is nothing to add: long enough to undo and redo, and no longer, because what was
written elsewhere meanwhile may give the model an idea."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that holds at a place, how the place was reached, and what is left there."""

    entry: Entry
    reached: Reached
    left: tuple[Left, ...]

    @property
    def source(self) -> Source:
        """What to call it."""
        if self.entry.prepared:
            return "prepared"
        return "typed-through" if self.reached.typed else "cached"

    @property
    def is_whole(self) -> bool:
        """Whether an explicit request need not look further: all candidates for this very place are there."""
        return self.entry.whole and self.reached.is_the_origin and bool(self.left)


class OfferCache:
    """Entries by document, the latest used last. Lives on the event loop."""

    def __init__(self, retriever: Retriever, now: Callable[[], float] = time.monotonic) -> None:
        self._retriever = retriever
        self._now = now
        self._entries: OrderedDict[str, list[Entry]] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        """All entries."""
        return sum(map(len, self._entries.values()))

    @property
    def characters(self) -> int:
        """What they take."""
        return self._characters

    def put(self, entry: Entry) -> None:
        """Keep an entry, in place of one for the very same place. That there is nothing to add is kept for a while."""
        if not entry.offers:
            entry.expires = self._now() + NOTHING_SECONDS
        own = self._entries.setdefault(entry.origin.uri, [])
        self._entries.move_to_end(entry.origin.uri)
        for older in [item for item in own if item.origin == entry.origin]:
            self._drop(older)
        own.append(entry)
        self._characters += entry.characters
        while len(own) > ENTRIES_OF_A_DOCUMENT:
            self._drop(own[0])
        while len(self._entries) > DOCUMENTS or self._characters > CHARACTERS:
            oldest = next(iter(self._entries.values()))
            if not oldest:
                self._entries.popitem(last=False)
            elif oldest is own and len(own) == 1:
                break
            else:
                self._drop(oldest[0])

    def find(self, document: DocumentSnapshot, offset: int, settings: Settings, model: str) -> Hit | None:
        """What holds at a place: what is left of the offer used last, else that there is nothing to add."""
        nothing: Hit | None = None
        for entry in reversed(self._entries.get(document.uri, ())):
            reached = entry.reached(document, offset)
            if reached is None:
                continue
            left = entry.left(document, offset, reached)
            if not left and (entry.offers or not reached.is_the_origin):
                continue  # typed otherwise, or to its end
            if not self._is_alive(entry, document, settings, model):
                self._drop(entry)
                continue
            hit = Hit(entry, reached, tuple(left))
            if left:
                self._use(entry)
                return hit
            nothing = nothing or hit
        return nothing

    def forget(self, uri: str) -> None:
        """Forget a document."""
        self._characters -= sum(entry.characters for entry in self._entries.pop(uri, ()))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._characters = 0

    def _is_alive(self, entry: Entry, document: DocumentSnapshot, settings: Settings, model: str) -> bool:
        if entry.settings != settings or entry.result.model != model:
            return False
        if entry.expires is not None and self._now() >= entry.expires:
            return False
        return self._retriever.stamp(document, entry.snippets) == entry.stamp

    def _use(self, entry: Entry) -> None:
        own = self._entries[entry.origin.uri]
        own.append(own.pop(_place_in(own, entry)))
        self._entries.move_to_end(entry.origin.uri)

    def _drop(self, entry: Entry) -> None:
        own = self._entries[entry.origin.uri]
        del own[_place_in(own, entry)]
        self._characters -= entry.characters


def _place_in(entries: list[Entry], entry: Entry) -> int:
    return next(place for place, item in enumerate(entries) if item is entry)
