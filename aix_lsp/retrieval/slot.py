"""The definition slot: what a name near the cursor means, quoted from the file that defines it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aix_lsp.retrieval.chunks import split_lines
from aix_lsp.retrieval.names import Candidate
from aix_lsp.types import Snippet

LINES = 9
"""Most lines of a definition that are quoted."""


def definition_snippet(
    candidates: Iterable[Candidate],
    *,
    read: Callable[[str], str | None],
    fits: Callable[[str, int, Sequence[str]], bool],
) -> Snippet | None:
    """The first lines of the likeliest definition that may be quoted, if there is one.

    `fits(path, start_line, lines)` says whether lines may be quoted; `read` gives a file's text as it is now, or None.
    """
    for candidate in candidates:
        place = candidate.place
        text = read(place.path)
        if text is None:
            continue
        lines = split_lines(text)[place.start_line - 1 : min(place.end_line, place.start_line + LINES - 1)]
        while lines and not lines[-1].strip():
            lines.pop()
        held = any(candidate.name in line for line in lines)  # else the file changed since it was read
        if not held or not fits(place.path, place.start_line, lines):
            continue
        end = place.start_line + len(lines) - 1
        named = ((candidate.name, 1.0),)
        return Snippet(place.path, place.start_line, end, candidate.score, "definition", "\n".join(lines), named)
    return None
