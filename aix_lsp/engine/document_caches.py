"""Key-value caches of several documents, so that two files do not evict one another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aix_lsp.engine.prefix_cache import PrefixCache, common_prefix
from aix_lsp.engine.runners import Runner

MOST_DOCUMENTS = 16
"""Documents whose keys and values are kept. One types in a few files at a time; those of every file that was ever typed
in would take up to the budget, for weeks."""

WORTH_COPYING = 64
"""Tokens that a new document must share with another for its keys and values to be copied."""


@dataclass(slots=True)
class Slot:
    """A document's cache and the account of what it holds."""

    cache: Any
    prefix: PrefixCache = field(default_factory=PrefixCache)


class DocumentCaches:
    """Slots by document, at most `documents`. Together they take at most `budget` bytes, or what the latest one takes
    alone: those that were not used for longest go first."""

    def __init__(self, runner: Runner, budget: int, documents: int = MOST_DOCUMENTS) -> None:
        self._runner = runner
        self.budget = budget
        self._most = documents
        self._slots: OrderedDict[str, Slot] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Memory that all caches take now."""
        return sum(self._runner.bytes(slot.cache) for slot in self._slots.values())

    def __contains__(self, document: str) -> bool:
        return document in self._slots

    def held(self, document: str) -> tuple[int, ...]:
        """Tokens whose keys and values are kept for a document."""
        slot = self._slots.get(document)
        return slot.prefix.held if slot is not None else ()

    def length(self, document: str) -> int:
        """How many tokens are held for a document."""
        slot = self._slots.get(document)
        return len(slot.prefix) if slot is not None else 0

    def latest(self, document: str) -> Slot:
        """The slot of a document as it is, or an empty one."""
        slot = self._slots.get(document)
        return slot if slot is not None else self.renewed(document)

    def crop(self, document: str, surplus: int) -> None:
        """Take tokens off the end of a document's cache."""
        slot = self._slots[document]
        length = len(slot.prefix) - surplus
        self._runner.crop(slot.cache, length)
        slot.prefix.crop(length)

    def slot(self, document: str, ids: Sequence[int]) -> Slot:
        """The slot of a document, cropped to what `ids` share with it; a new one begins with a copy of what another
        document's has in common with it, where that is long."""
        slot = self._slots.pop(document, None)
        slot = slot if slot is not None else self._begun(ids)
        shared = slot.prefix.reusable(ids, croppable=self._runner.croppable)
        if shared == 0 and len(slot.prefix):
            slot = Slot(self._runner.new_cache())
        elif shared < len(slot.prefix):
            self._runner.crop(slot.cache, shared)
            slot.prefix.crop(shared)
        self._slots[document] = slot
        self.shrink()
        return slot

    def renewed(self, document: str) -> Slot:
        """An empty slot for a document, in place of what it has."""
        slot = self._slots[document] = Slot(self._runner.new_cache())
        self._slots.move_to_end(document)
        return slot

    def shrink(self) -> None:
        """Drop the caches used longest ago until the rest keeps to number and budget; never the latest."""
        while len(self._slots) > 1 and (len(self._slots) > self._most or self.bytes > self.budget):
            self._slots.popitem(last=False)

    def drop(self, document: str | None = None) -> None:
        """Drop one document's cache, or all."""
        if document is None:
            self._slots.clear()
        else:
            self._slots.pop(document, None)

    def _begun(self, ids: Sequence[int]) -> Slot:
        best, longest = None, WORTH_COPYING - 1
        for slot in self._slots.values():
            shared = min(common_prefix(slot.prefix.held, ids), len(ids) - 1)
            if shared > longest:
                best, longest = slot, shared
        cache = None if best is None else self._runner.copy(best.cache, longest)
        if cache is None:
            return Slot(self._runner.new_cache())
        begun = Slot(cache)
        begun.prefix.extend(ids[:longest])
        return begun
