"""Is an accepted text still there after 30 and 120 seconds?

An offer that was accepted and deleted a moment later was no help; what survives the next minutes was. So an accepted
text is followed through the edits of its document: those before it move it, those inside change it. At each of the two
times it counts as kept if at least 80 % of its characters are left in order (longest common subsequence, white space
apart, so that a formatter costs nothing). The text is in memory only, and no longer than the two minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

LOOKS = (30, 120)
"""Seconds after the acceptance."""

KEPT_SHARE = 0.8
_MOST_FOLLOWED = 64
_MOST_COMPARED = 20_000
"""Characters, so that a comparison takes milliseconds at most."""
_ROOM = 10
"""A text more than so many times as long, as where a program has written the whole file anew, is compared by lines."""


class Handle(Protocol):
    """A call to come."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What is needed of an asyncio event loop, so that tests can give the time."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Handle: ...


@dataclass(slots=True)
class _Followed:
    """An accepted text, and what stands in its place now, from `start` on."""

    uri: str
    language: str
    accepted: str
    start: int
    text: str
    since: float
    looks: list[int] = field(default_factory=lambda: list(LOOKS))


class KeptLog:
    """Follows the latest accepted texts. `on_look(language, seconds, kept)` is called at each of the two times; at most
    one timer runs, and none while nothing is followed."""

    def __init__(self, clock: Clock, on_look: Callable[[str, int, bool], None]) -> None:
        self._clock = clock
        self._on_look = on_look
        self._followed: list[_Followed] = []
        self._timer: Handle | None = None

    def follows(self, uri: str) -> bool:
        """Whether edits of this document matter."""
        return any(item.uri == uri for item in self._followed)

    def follow(self, uri: str, language: str, start: int, text: str) -> None:
        """`text` was accepted and stands at `start` (code points) now."""
        if not _dense(text):
            return
        self._followed.append(_Followed(uri, language, text, start, text, self._clock.time()))
        del self._followed[:-_MOST_FOLLOWED]
        self._set_timer()

    def edited(self, uri: str, start: int, end: int, text: str) -> None:
        """An edit replaced [start, end) of a document by `text`."""
        for item in self._followed:
            if item.uri == uri:
                _apply(item, start, end, text)

    def closed(self, uri: str | None = None) -> None:
        """A document was closed (None: all are): what is there now counts for the times to come."""
        for item in self._followed:
            if uri is None or item.uri == uri:
                for seconds in item.looks:
                    self._look(item, seconds)
                item.looks.clear()
        self._forget()

    def clear(self) -> None:
        """Follow nothing any more, and count nothing of it."""
        self._followed.clear()
        self._forget()

    def _look(self, item: _Followed, seconds: int) -> None:
        self._on_look(item.language, seconds, share_left(item.accepted, item.text) >= KEPT_SHARE)

    def _time_has_come(self) -> None:
        self._timer = None
        now = self._clock.time()
        for item in self._followed:
            while item.looks and item.since + item.looks[0] <= now:
                self._look(item, item.looks.pop(0))
        self._forget()

    def _forget(self) -> None:
        self._followed = [item for item in self._followed if item.looks]
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._followed:
            next_look = min(item.since + item.looks[0] for item in self._followed)
            self._timer = self._clock.call_later(max(next_look - self._clock.time(), 0.0), self._time_has_come)


def _apply(item: _Followed, start: int, end: int, text: str) -> None:
    first, last = item.start, item.start + len(item.text)
    if not item.text and start == end == first:
        # what was deleted is put back, by redo or by a formatter that takes two steps
        item.text = text
    elif start >= last:
        return
    elif end <= first:
        # what is inserted right before it does not belong to it
        item.start += len(text) - (end - start)
    elif start <= first and end >= last and item.text and (at := text.find(item.text)) >= 0:
        # a program wrote the whole place anew, and it is there again
        item.start = start + at
    else:
        item.text = item.text[: max(start - first, 0)] + text + item.text[max(end - first, 0) :]
        item.start = min(start, first)


def share_left(before: str, now: str) -> float:
    """Share of the characters of `before` that are in `now` in the same order; white space does not count. Longest
    common subsequence by bit-parallel addition (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"); of texts
    over 20,000 characters the beginning is compared."""
    if len(now) > _ROOM * len(before):
        # a few characters are somewhere in any long text: look at the lines that both have
        lines = {line.strip() for line in before.splitlines()}
        now = "\n".join(line for line in now.splitlines() if line.strip() in lines)
    old, new = _dense(before)[:_MOST_COMPARED], _dense(now)[:_MOST_COMPARED]
    if not old or old == new:
        return 1.0
    where: dict[str, int] = {}
    for number, character in enumerate(old):
        where[character] = where.get(character, 0) | 1 << number
    everywhere = (1 << len(old)) - 1
    unmatched = everywhere
    for character in new:
        hits = unmatched & where.get(character, 0)
        unmatched = ((unmatched + hits) | (unmatched - hits)) & everywhere
    return 1 - unmatched.bit_count() / len(old)


def _dense(text: str) -> str:
    return "".join(text.split())
