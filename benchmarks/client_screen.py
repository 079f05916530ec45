"""What an editor shows of the answers it gets: one offer at most, as long as it agrees with what is typed.

An offer replaces the text from its start to the cursor. It stays while that text is a beginning of it (VS Code and
Neovim both keep it then), goes at the first key that disagrees, and is replaced by the next answer, be it empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from typist import Event

from aix_lsp.text import Encoding, TextBuffer

Verdict = Literal["shown", "same", "continued", "flicker", "empty", "vanished", "stale", "late"]
"""What an answer did: `shown` where nothing was, `same` text or more of it (`continued`), another text although the one
before agreed with all that was typed (`flicker`), nothing (`empty`), nothing although an offer that agreed was there
(`vanished`); it does not fit the document as it is (`stale`); came after the next key and is passed over (`late`)."""


@dataclass(frozen=True, slots=True)
class Item:
    """An answer's item: (line, character) of its range, its text with `\\n`, the argument of its command."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str
    name: str = ""


@dataclass(slots=True)
class _Offer:
    name: str
    start: int
    text: str
    since: float
    over: str = ""


class Screen:
    """One document in an editor. `moment` counts keys: an answer says at which one it was asked."""

    def __init__(self, text: str, *, drops_late: bool = True, encoding: Encoding = "utf-16") -> None:
        """`drops_late`: answers that come after another key are passed over, as VS Code does."""
        self.buffer = TextBuffer(text)
        self.cursor = 0
        self.moment = 0
        self._drops_late = drops_late
        self._encoding = encoding
        self._offer: _Offer | None = None

    @property
    def rest(self) -> str:
        """What is shown behind the cursor; empty when nothing is."""
        offer = self._offer
        return "" if offer is None else offer.text[self.cursor - offer.start :]

    @property
    def on_screen(self) -> str:
        """What is shown, and what behind the cursor it takes the place of."""
        return self.rest + (f" (in the place of {self.over})" if self.over else "")

    @property
    def over(self) -> str:
        """What behind the cursor the offer takes the place of: brackets closed by the editor since it was shown."""
        return self._offer.over if self._offer is not None else ""

    @property
    def since(self) -> float:
        """When the offer appeared."""
        return self._offer.since if self._offer is not None else 0.0

    @property
    def name(self) -> str:
        """The argument of the offer's command."""
        return self._offer.name if self._offer is not None else ""

    @property
    def eligible(self) -> bool:
        """Whether the cursor is where an editor's automatic request is meant to be answered: at the end of a line or
        before closing punctuation only."""
        line, _ = self.buffer.position(self.cursor, "utf-32")
        after = self.buffer.text[self.cursor : self.buffer.line_end(line)].strip()
        if after[-1:] and after[-1] in ":;,{":
            after = after[:-1].rstrip()
        return not after.strip(")]}>\"'`")

    def position(self, offset: int) -> tuple[int, int]:
        """An offset as the server counts it."""
        return self.buffer.position(offset, self._encoding)

    def press(self, event: Event) -> None:
        """A key was pressed."""
        self.moment += 1
        self.cursor = event.cursor
        if event.edits:
            self.buffer = self.buffer.replace(event.start, event.end, event.text)
        offer = self._offer
        if offer is None:
            return
        behind = event.start + len(event.text) - event.cursor
        if event.kind in ("type", "enter") and behind:
            offer.over = event.text[len(event.text) - behind :] + offer.over
        elif event.kind == "over" and offer.over.startswith(event.text):
            offer.over = offer.over[len(event.text) :]
        elif event.kind == "delete":
            offer.over = ""
        if event.kind in ("accept", "jump", "move", "undo") or not self._agrees(offer):
            self._offer = None

    def hide(self) -> None:
        """Another file comes to the front."""
        self._offer = None

    def answer(self, moment: int, items: Sequence[Item], now: float) -> Verdict:
        """An answer came to the request made at `moment`; only its first item is looked at."""
        late = moment != self.moment
        if late and (self._drops_late or not items):
            return "late"
        before = self.rest
        if not items:
            self._offer = None
            return "vanished" if before else "empty"
        offer = self._fitting(items[0], late, now)
        if offer is None:
            self._offer = None
            return "stale"
        rest = offer.text[self.cursor - offer.start :]
        # what was to replace a bracket that the editor closed may leave that bracket in its place now
        line = rest + self.over
        if before and line.startswith(before):
            offer.since = self.since
            self._offer = offer
            return "same" if line == before else "continued"
        self._offer = offer if rest else None
        if not rest:
            return "vanished" if before else "empty"
        return "flicker" if before else "shown"

    def _fitting(self, item: Item, late: bool, now: float) -> _Offer | None:
        """The item as an offer. None if it does not fit: its range is not in the document or (unless keys were pressed
        since it was asked for) does not end at the cursor, or its text does not begin as the document does there."""
        start, end = (self.buffer.offset(*place, self._encoding) for place in (item.start, item.end))
        if (self.position(start), self.position(end)) != (item.start, item.end):
            return None
        if not start <= end <= self.cursor or (end != self.cursor and not late):
            return None
        offer = _Offer(item.name, start, item.text, now)
        return offer if item.text.startswith(self.buffer.text[start : self.cursor]) else None

    def _agrees(self, offer: _Offer) -> bool:
        if not offer.start <= self.cursor <= offer.start + len(offer.text):
            return False
        typed = self.buffer.text[offer.start : self.cursor]
        if not offer.text.startswith(typed) or len(typed) == len(offer.text):
            return False
        rest = iter(offer.text[len(typed) :])
        return all(character in rest for character in offer.over)
