"""Where a text was generated, and whether another place was reached from there by typing, so that the text still holds.

What stood right before and behind the cursor must still be there, but for what editors do while somebody types: they
close brackets and quotes by themselves, and let a typed bracket pass over one that they have closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aix_lsp.text import with_line_feeds
from aix_lsp.types import DocumentSnapshot

TAIL = 1000
"""Characters before the place that must be as they were: some 25 lines, more than retrieval's query and what a model
goes by chiefly. An edit further up (an import that the editor adds) leaves an offer alone."""

HEAD = 500
"""Characters behind it: the lines that retrieval looks at, and most of what an offer must not repeat."""

_MOST_ADDED = 40
_ADDED = re.compile(r"[\s)\]}>\"'`;,]*")
_MOST_REMOVED = 8
_CLOSERS = frozenset(")]}>\"'`;,")


@dataclass(frozen=True, slots=True)
class Reached:
    """A place that was reached by typing: where the origin lies in the document of now, what was typed since, what the
    editor put behind the cursor meanwhile, and how many characters behind it were typed over."""

    start: int
    typed: str
    added: str = ""
    removed: int = 0

    @property
    def is_the_origin(self) -> bool:
        """Whether nothing was typed, nor changed behind the cursor."""
        return not (self.typed or self.added or self.removed)


@dataclass(frozen=True, slots=True)
class Origin:
    """One place in one document, by what stands around it. `tail` and `head` are shorter than they could be where the
    document begins or ends; `around` are the nearest characters of a notebook's other cells."""

    uri: str
    name: str
    language_id: str
    offset: int
    tail: str
    head: str
    around: tuple[str, str]

    @classmethod
    def at(cls, document: DocumentSnapshot, offset: int) -> Origin:
        """The place at an offset."""
        text = document.text
        return cls(
            document.uri,
            document.name,
            document.language_id,
            offset,
            text[max(offset - TAIL, 0) : offset],
            text[offset : offset + HEAD],
            _cells(document),
        )

    def reached(self, document: DocumentSnapshot, offset: int, longest: int) -> Reached | None:
        """How an offset of a document was reached from here by typing at most `longest` characters; None if it was
        not. Undo and deleting lead back to a place that was reached before, and no further than to the origin."""
        if (document.uri, document.name, document.language_id) != (self.uri, self.name, self.language_id):
            return None
        start = self._start(document.text, offset, longest)
        if start is None or _cells(document) != self.around:
            return None
        return self._behind(document.text, start, offset)

    def _start(self, text: str, offset: int, longest: int) -> int | None:
        """Where the origin lies now: where it was, or nearby behind the same characters."""
        if 0 <= offset - self.offset <= longest and text.startswith(self.tail, self.offset - len(self.tail)):
            return self.offset
        if len(self.tail) < TAIL:
            return None
        found = text.rfind(self.tail, max(offset - longest - TAIL, 0), offset)
        return found + TAIL if found >= 0 else None

    def _behind(self, text: str, start: int, offset: int) -> Reached | None:
        typed = text[start:offset]
        if (added := self._place_of(self.head, text, offset)) is not None:
            between = text[offset : offset + added]
            return Reached(start, typed, between) if _ADDED.fullmatch(between) else None
        for removed in range(1, _MOST_REMOVED + 1):
            over = self.head[:removed]
            if len(over) < removed or over[-1] not in _CLOSERS:
                break
            if self._place_of(self.head[removed:], text, offset) == 0:
                passed = all(typed.count(closer) >= over.count(closer) for closer in over)
                return Reached(start, typed, removed=removed) if passed else None
        return None

    def _place_of(self, head: str, text: str, offset: int) -> int | None:
        """How far behind the offset the characters of before begin. Where they reached to the document's end, they must
        do so now."""
        if len(self.head) < HEAD:
            place = len(text) - len(head) - offset
            return place if 0 <= place <= _MOST_ADDED and text.endswith(head) else None
        found = text.find(head, offset, offset + len(head) + _MOST_ADDED)
        return found - offset if found >= 0 else None


def _cells(document: DocumentSnapshot) -> tuple[str, str]:
    return document.before[-TAIL:], document.after[:HEAD]


def left_of(text: str, typed: str, line_break: str = "\n") -> str | None:
    """What is left of a text once its beginning is typed; None when something else was typed. Line breaks are all the
    same, whichever the editor makes; what is left has the document's."""
    if text.startswith(typed):
        return text[len(typed) :]
    if "\r" not in text and "\r" not in typed:
        return None
    text, typed = with_line_feeds(text), with_line_feeds(typed)
    return text[len(typed) :].replace("\n", line_break) if text.startswith(typed) else None
