"""The search of the CrossCodeEval benchmark (Ding et al., 2023), for comparison: the last ten lines as they are,
every word alike, and of a chunk that is found the one that follows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from aix_lsp.retrieval.bm25 import Hit
from aix_lsp.retrieval.chunks import chunk_lines, split_lines
from aix_lsp.types import Snippet

_WORD = re.compile(r"\w+")


def flat_terms(before: str, count: int = 10) -> dict[str, float]:
    """Word -> how often it stands in the last `count` lines before a place, blank ones counted."""
    lines = split_lines(before)[-count:]
    return dict(Counter(word for line in lines for word in _WORD.findall(line)))


def followers(hits: Sequence[Hit], non_blank: int, read: Callable[[str], str | None]) -> list[Snippet]:
    """For each hit the chunk behind it in its file; the hit itself where it is the last."""
    found = []
    for hit in hits:
        lines = split_lines(read(hit.path) or "")
        pieces = chunk_lines(lines, non_blank)
        quoted = next((piece for piece in pieces if piece.start_line > hit.end_line), None)
        quoted = quoted or (pieces[-1] if pieces else None)
        if quoted is not None:
            text = "\n".join(lines[quoted.start_line - 1 : quoted.end_line])
            place = (hit.path, quoted.start_line, quoted.end_line)
            found.append(Snippet(*place, hit.score, "similar", text, hit.terms))
    return found
