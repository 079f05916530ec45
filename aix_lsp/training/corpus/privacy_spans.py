"""What the rules of `privacy` share: a replacement, edges that keep escapes whole, where comments and strings lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from aix_lsp import syntax, syntax_queries
from aix_lsp.languages import language_of

if TYPE_CHECKING:
    from tree_sitter import Tree


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is to become `replacement`; `kind` is what the report counts."""

    start: int
    end: int
    replacement: str
    kind: str


def words(*lines: str) -> frozenset[str]:
    """The words of these lines."""
    return frozenset(" ".join(lines).split())


_INSIDE: Final = syntax_queries.COMMENTS | syntax_queries.STRINGS | {"jsx_text", "preproc_arg", "preproc_directive"}
_ESCAPE_LENGTHS: Final = {"x": 3, "u": 5, "U": 9}
_LONGEST_ESCAPE: Final = 9
_OCTAL: Final = re.compile(r"[0-7]{1,3}")


def after_escape(text: str, start: int, end: int) -> int:
    """`start`, or the place after an escape that `start` would cut in two: in `\\nann@…` the name is `ann`.

    A backslash with an even number of others before it begins an escape; what follows is one character, or the digits
    of `\\x41`, `\\u00e9`, `\\U0001f600` and `\\101`.
    """
    place = text.rfind("\\", max(0, start - _LONGEST_ESCAPE), start)
    if place < 0:
        return start
    first = place
    while first > 0 and text[first - 1] == "\\":
        first -= 1
    if (place - first) % 2:
        return start
    octal = _OCTAL.match(text, place + 1)
    after = octal.end() if octal else place + 1 + _ESCAPE_LENGTHS.get(text[place + 1 : place + 2], 1)
    return min(end, max(start, after))


_JOINED: Final = re.compile(r"[\w\-]")


def begins_word(text: str, start: int) -> bool:
    """Whether nothing that belongs to a word stands in front of `start`; the letter of an escape (`\\n`) does not.

    In code rather than as the beginning of a pattern, because a pattern that begins with plain text or a class is
    searched for several times as fast.
    """
    if start == 0 or not _JOINED.match(text, start - 1):
        return True
    return text[start - 1] in "nrt" and after_escape(text, start - 1, start) == start


class Places:
    """Tells code from comments and strings. The text is parsed when first asked; without a grammar all is prose."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._known = (0, 0)

    @cached_property
    def _tree(self) -> Tree | None:
        grammar = language_of(self._path).grammar if self._path else None
        return syntax.parse(self._text, grammar) if grammar else None

    def is_prose(self, start: int, end: int) -> bool:
        """Whether `text[start:end]` lies in one comment, string, or text between tags."""
        if self._tree is None:
            return True
        node = self._tree.root_node.descendant_for_byte_range(self._byte(start), self._byte(end))
        while node is not None:
            if node.type in syntax_queries.INTERPOLATIONS:
                return False
            if node.type in _INSIDE:
                return True
            node = node.parent
        return False

    def _byte(self, place: int) -> int:
        """Counts on from the last place asked for, because questions come in order more often than not."""
        characters, counted = self._known
        if place < characters:
            characters, counted = 0, 0
        counted += len(self._text[characters:place].encode("utf-8", "replace"))
        self._known = (place, counted)
        return counted
