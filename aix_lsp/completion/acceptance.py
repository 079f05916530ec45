"""What became of offers: shown, accepted, accepted in part. Counts only, kept on this machine only.

An offer is accepted when the editor runs the item's command, or when an edit inserts the offered text in one
go. Typing (or accepting word by word) through an offer is inferred from the edits.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

logger = logging.getLogger(__name__)

COUNTS = ("offered", "accepted", "partly_accepted", "typed_through", "accepted_characters")
_KEPT_OFFERS = 64


@dataclass(slots=True)
class _Offer:
    uri: str
    language: str
    offset: int
    rest: str
    length: int
    accepted: bool = False
    partial: bool = False
    live: bool = True


def statistics_file() -> Path:
    """Where the counts are kept: one JSON object a line, readable and deletable by the user alone."""
    return platformdirs.user_state_path("aix-lsp", appauthor=False) / "statistics.jsonl"


class AcceptanceLog:
    """Follows the latest offers and counts per day and language. Lives on the event loop."""

    def __init__(self, path: Path | None, today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d")) -> None:
        """`path` None counts in memory alone."""
        self._path = path
        self._today = today
        self._offers: dict[str, _Offer] = {}
        self._unsaved: Counter[tuple[str, str, str]] = Counter()
        self.totals: Counter[str] = Counter()

    def keep_in(self, path: Path | None) -> None:
        """From now on keep the counts there, or (None) nowhere: then what is not saved yet never will be."""
        self._path = path
        if path is None:
            self._unsaved.clear()

    def offered(self, item_id: str, uri: str, language: str, offset: int, text: str) -> None:
        """An item was sent to the client, to be inserted at `offset` (`text` without what stands there already)."""
        for other in self._offers.values():
            if other.uri == uri:
                other.live = False
        self._offers[item_id] = _Offer(uri, language, offset, text, len(text))
        while len(self._offers) > _KEPT_OFFERS:
            del self._offers[next(iter(self._offers))]
        self._count(language, "offered")

    def accepted(self, item_id: str) -> bool:
        """The client says that it inserted this item. False for an item that is not known (any more)."""
        offer = self._offers.get(item_id)
        if offer is None:
            return False
        self._accept(offer)
        return True

    def edited(self, uri: str, start: int, end: int, text: str) -> None:
        """An edit replaced [start, end) of a document by `text` (code points)."""
        offer = next((item for item in self._offers.values() if item.uri == uri and item.live), None)
        if offer is None:
            return
        if start != offer.offset or end != start or not text or not offer.rest.startswith(text):
            offer.live = False
            return
        offer.offset += len(text)
        offer.rest = offer.rest[len(text) :]
        if not offer.rest:
            if len(text) == offer.length and len(text) > 1:
                self._accept(offer)
            elif not offer.accepted:
                self._count(offer.language, "typed_through")
            offer.live = False
        elif len(text) > 1 and not offer.partial:
            offer.partial = True
            self._count(offer.language, "partly_accepted")

    def _accept(self, offer: _Offer) -> None:
        if not offer.accepted:
            offer.accepted = True
            self._count(offer.language, "accepted")
            self._count(offer.language, "accepted_characters", offer.length)

    def _count(self, language: str, what: str, by: int = 1) -> None:
        self.totals[what] += by
        self._unsaved[(self._today(), language, what)] += by

    def save(self) -> None:
        """Append what was counted since the last time; see `take_unsaved` for doing it in another thread."""
        self.write(self.take_unsaved())

    def take_unsaved(self) -> Counter[tuple[str, str, str]]:
        """What was counted since the last time; it counts as saved from now on."""
        unsaved, self._unsaved = self._unsaved, Counter()
        return unsaved

    def write(self, counts: Counter[tuple[str, str, str]]) -> None:
        """Append counts to the file; touches nothing else, so any thread may do it. Appending short lines keeps several
        servers from harming one another's counts; a disk that refuses costs the counts, never the server."""
        if self._path is None or not counts:
            return
        rows: dict[tuple[str, str], dict[str, int]] = {}
        for (day, language, what), number in counts.items():
            rows.setdefault((day, language), {})[what] = number
        lines = "".join(
            json.dumps({"day": day, "language": language, **row}) + "\n" for (day, language), row in rows.items()
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            logger.warning("statistics could not be saved: %s", error.strerror)


def read_totals(path: Path) -> dict[str, int]:
    """Sum of all counts in a statistics file; lines that are damaged are passed over."""
    totals: Counter[str] = Counter()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            totals.update({name: row[name] for name in COUNTS if isinstance(row.get(name), int)})
    return dict(totals)
