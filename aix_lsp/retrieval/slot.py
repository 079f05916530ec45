"""The definition slot: what names near the cursor mean, quoted from the files that define them.

Two short quotes found more than one of the same length together: the likeliest name is often not the one that comes
(docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aix_lsp.retrieval.names import Candidate
from aix_lsp.types import Snippet

QUOTED = 2
"""Most definitions in the slot."""

LINES = 5
"""Most lines of each that are quoted."""


def repeats(lines: Sequence[str], text: str) -> bool:
    """Whether a quote has nothing that another does not have: copies of a file say the same in different places."""
    held = {line.strip() for line in text.split("\n")}
    return all(line.strip() in held for line in lines)


def definition_snippets(
    candidates: Iterable[Candidate],
    *,
    lines_of: Callable[[str, int, int], Sequence[str]],
    fits: Callable[[str, int, Sequence[str]], bool],
) -> list[Snippet]:
    """The first lines of the likeliest definitions that may be quoted, best first.

    `fits(path, start_line, lines)` says whether lines may be quoted; `lines_of(path, first, last)` gives lines of a
    file as it is now, as far as there are any, and none when it cannot be read.
    """
    found: list[Snippet] = []
    for candidate in candidates:
        place = candidate.place
        lines = list(lines_of(place.path, place.start_line, min(place.end_line, place.start_line + LINES - 1)))
        while lines and not lines[-1].strip():
            lines.pop()
        held = any(candidate.name in line for line in lines)  # else the file changed since it was read
        end = place.start_line + len(lines) - 1
        again = any(
            (item.path == place.path and item.start_line <= end and place.start_line <= item.end_line)
            or repeats(lines, item.text)
            for item in found
        )
        if not held or again or not fits(place.path, place.start_line, lines):
            continue
        named = ((candidate.name, 1.0),)
        quoted = "\n".join(lines)
        found.append(Snippet(place.path, place.start_line, end, candidate.score, "definition", quoted, named))
        if len(found) >= QUOTED:
            break
    return found
