"""Snippets that stay while they are good enough: each other set throws away what the model has computed of its prompt.

After a key the best snippets are often nearly those of before, one of them replaced by another that fits as well, or
in another order. Then the set of before is kept as it was, with its order, as long as somebody types on at the same
place, its lines still stand in their files, and the best set of now does not fit clearly better. What was written
meanwhile in another file is seen at once, if it is among the best.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aix_lsp.completion.several_roots import Found
from aix_lsp.types import Snippet

KEPT = "kept from the last request"
"""What is noted at such a snippet."""

CLEARLY_BETTER = 1.3
"""Similar lines of so many times the score are taken in place of those that are there (measured; docs/log.md)."""

CLEARLY_LIKELIER = 3.0
"""Definitions that are so many times as likely to be wanted are."""

_NEAR = 200
"""Characters that one step of typing may add or take away before the cursor, an accepted offer among them."""

_BEHIND = 40
"""Characters behind the cursor that may come or go with it: brackets and quotes that editors close, indentation."""

_DOCUMENTS = 16


@dataclass(frozen=True, slots=True)
class Chosen:
    """A set, and the marks of the indexes (by their numbers) when it was chosen."""

    snippets: tuple[Found, ...]
    marks: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Last:
    """The last request of a document. `key` stands for all else that the snippets depend on."""

    text: str
    offset: int
    key: object
    chosen: Chosen


class SnippetSets:
    """The sets that were quoted last, by document. The texts of a few documents are remembered with them."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, _Last] = OrderedDict()

    def before(self, uri: str, text: str, offset: int, key: object) -> Chosen:
        """The set that may be kept at this place; empty when there is none."""
        last = self._last.get(uri)
        if last is None or last.key != key or not typed_on(last.text, last.offset, text, offset):
            return Chosen((), {})
        return last.chosen

    def note(self, uri: str, text: str, offset: int, key: object, chosen: Chosen) -> None:
        """These snippets are quoted now."""
        self._last[uri] = _Last(text, offset, key, chosen)
        self._last.move_to_end(uri)
        if len(self._last) > _DOCUMENTS:
            self._last.popitem(last=False)


def typed_on(before: str, cursor_before: int, now: str, cursor: int) -> bool:
    """Whether a text with its cursor can have come from another by typing or deleting a little where the cursor was."""
    shorter, longer = sorted((before[:cursor_before], now[:cursor]), key=len)
    if len(longer) - len(shorter) > _NEAR or not longer.startswith(shorter[: max(len(shorter) - _NEAR, 0)]):
        return False
    shorter, longer = sorted((before[cursor_before:], now[cursor:]), key=len)
    return len(longer) - len(shorter) <= _BEHIND and longer.endswith(shorter[_BEHIND:])


def still_good(best: Sequence[Found], before: Sequence[Found | None]) -> bool:
    """Whether the set of before, with its scores of now, need not make room for the best set.

    None stands for a snippet that no longer fits at all.
    """
    kept = [item for item in before if item is not None]
    if len(kept) < len(before) or not kept:
        return False
    for kind, worth, ratio in (("similar", _score, CLEARLY_BETTER), ("definition", _likelihood, CLEARLY_LIKELIER)):
        ours = [worth(item) for item in kept if item.snippet.kind == kind]
        theirs = [worth(item) for item in best if item.snippet.kind == kind]
        if len(ours) < len(theirs) or sum(ours) * ratio < sum(theirs):
            return False
    return True


def marked(snippet: Snippet) -> Snippet:
    """The snippet, noted as kept."""
    return replace(snippet, notes=(*snippet.notes, KEPT))


def _score(item: Found) -> float:
    return item.snippet.score * item.weight


def _likelihood(item: Found) -> float:
    """Definitions have the scores of a log-linear model."""
    return math.exp(item.snippet.score) * item.weight
