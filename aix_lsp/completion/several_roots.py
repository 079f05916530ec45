"""Choosing among what the indexes of several folders found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aix_lsp.retrieval.slot import QUOTED
from aix_lsp.types import Snippet

_SAME = 0.9
OTHER_FOLDER_WEIGHT = 0.8
"""What a hit of another folder counts beside one of the document's own: scores of two indexes compare only roughly."""


@dataclass(frozen=True, slots=True)
class Found:
    """A snippet with the number of the index that found it, and what its score counts there."""

    root: int
    weight: float
    snippet: Snippet


def best_of_all(found: Iterable[Found], limit: int) -> list[Found]:
    """Up to `limit` similar snippets, then definitions, best first; those of a higher weight where they are equal.

    Each index leaves out what repeats something of its own. What lies in two folders, as in two checkouts of a project,
    is left out here.
    """
    ranked = sorted(found, key=_rank)
    chosen: list[tuple[Found, frozenset[str]]] = []
    for kind, room in (("similar", limit), ("definition", QUOTED)):
        for item in ranked:
            if room <= 0:
                break
            if item.snippet.kind != kind:
                continue
            lines = _lines(item.snippet)
            if not any(other.root != item.root and _repeats(lines, held, kind) for other, held in chosen):
                chosen.append((item, lines))
                room -= 1
    return [item for item, _ in chosen]


def _rank(item: Found) -> tuple[float, float, str, int]:
    return -item.snippet.score * item.weight, -item.weight, item.snippet.path, item.snippet.start_line


def _lines(snippet: Snippet) -> frozenset[str]:
    return frozenset(stripped for line in snippet.text.split("\n") if (stripped := line.strip()))


def _repeats(lines: frozenset[str], held: frozenset[str], kind: str) -> bool:
    """Whether a snippet nearly is another one; a definition also when the other holds it."""
    return len(lines & held) >= _SAME * (len(lines) if kind == "definition" else max(len(lines), len(held)))
