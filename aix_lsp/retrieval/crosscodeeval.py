"""The search of the CrossCodeEval benchmark (Ding et al., 2023), for comparison: the last ten lines with text, every
word alike, and of a chunk that is found the one that follows it. As its published code has it, words keep their case
and no chunk is quoted twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from aix_lsp.retrieval.bm25 import Hit
from aix_lsp.retrieval.chunks import chunk_lines, split_lines
from aix_lsp.types import Snippet

_WORD = re.compile(r"\w+")


MORE_HITS = 12
"""How many hits to ask for beyond the chunks wanted: two hits may lead to the same text."""


def flat_terms(before: str, count: int = 10, *, lower: bool = False) -> dict[str, float]:
    """Word -> how often it stands in the last `count` lines with text before a place; in lower case for an index
    whose terms are."""
    lines = [line for line in split_lines(before) if line.strip()][-count:]
    text = "\n".join(lines)
    return dict(Counter(_WORD.findall(text.lower() if lower else text)))


def followers(
    hits: Sequence[Hit], non_blank: int, read: Callable[[str], str | None], limit: int | None = None
) -> list[Snippet]:
    """For each hit the chunk behind it in its file, the hit itself where it is the last; up to `limit` whose texts
    differ."""
    found: dict[str, Snippet] = {}
    for hit in hits:
        if limit is not None and len(found) >= limit:
            break
        lines = split_lines(read(hit.path) or "")
        pieces = chunk_lines(lines, non_blank)
        quoted = next((piece for piece in pieces if piece.start_line > hit.end_line), None)
        quoted = quoted or (pieces[-1] if pieces else None)
        if quoted is not None:
            text = "\n".join(lines[quoted.start_line - 1 : quoted.end_line])
            place = (hit.path, quoted.start_line, quoted.end_line)
            found.setdefault(text, Snippet(*place, hit.score, "similar", text, hit.terms))
    return list(found.values())
