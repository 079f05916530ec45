"""What may be quoted of the hits: lines that still hold what made them match, and that say something new."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aix_lsp.languages import language_of
from aix_lsp.retrieval.bm25 import Hit
from aix_lsp.retrieval.chunks import lines_between
from aix_lsp.retrieval.query import surroundings
from aix_lsp.retrieval.slot import repeats
from aix_lsp.retrieval.tokens import path_tokens, tokenize
from aix_lsp.text import with_line_feeds
from aix_lsp.types import DocumentSnapshot, Snippet

_SAME = 0.9
_STILL_THERE = 0.5
_SHOWN_TERMS = 8
_READ_ON = 24  # lines in which those further on are looked for


class Quoted:
    """Reads hits in order of rank and says which are worth quoting."""

    def __init__(self, document: DocumentSnapshot, offset: int, read: Callable[[str], str | None]) -> None:
        self._shown = "".join(surroundings(document, offset))
        self._read = read
        self._texts: dict[str, str | None] = {}
        self._taken: list[set[str]] = []

    def quote(self, hit: Hit, ahead: int = 0) -> Snippet | None:
        """What to quote of a hit, `ahead` lines with text further on where there are as many; None when it should not
        be quoted."""
        count = hit.end_line - hit.start_line + 1
        lines = self.lines(hit.path, hit.start_line, hit.end_line + (_READ_ON if ahead else 0))
        matching = lines[:count]
        if len(matching) < count:
            return None
        keywords = language_of(hit.path).keywords
        terms = set(tokenize("\n".join(matching), keywords))
        known = terms.union(path_tokens(hit.path))
        if not terms or sum([share for term, share in hit.terms if term in known]) < _STILL_THERE:
            return None
        chosen = range(count)
        if ahead:  # but the line that matches best stays
            strongest = hit.terms[0][0]
            matching_at = (number for number in chosen if strongest in tokenize(lines[number], keywords))
            chosen = _further(lines, count, ahead, next(matching_at, 0))
        quoted = lines[chosen.start : chosen.stop]
        text = "\n".join(quoted)
        if ahead:
            terms = set(tokenize(text, keywords))
        if any(_nearly_same(terms, others) for others in self._taken) or self._holds(quoted):
            return None
        self._taken.append(terms)
        first = hit.start_line + chosen.start
        shown = hit.terms[:_SHOWN_TERMS]
        return Snippet(hit.path, first, first + len(chosen) - 1, hit.score, "similar", text, shown)

    def is_new(self, quoted: Sequence[Snippet], path: str, start_line: int, lines: Sequence[str]) -> bool:
        """Whether these lines are neither in a snippet that is quoted already nor in the document itself."""
        last = start_line + min(len(lines), 3) - 1
        for snippet in quoted:
            if snippet.path == path and snippet.start_line <= start_line and last <= snippet.end_line:
                return False
            if repeats(lines, snippet.text):
                return False
        return not self._holds(lines)

    def is_as_it_was(self, snippet: Snippet) -> bool:
        """Whether the file still has these lines, and the document does not have them meanwhile."""
        lines = self.lines(snippet.path, snippet.start_line, snippet.end_line)
        return "\n".join(lines) == snippet.text and not self._holds(lines)

    def lines(self, path: str, first: int, last: int) -> list[str]:
        """Lines of a file by their numbers, 1-based and inclusive, as far as there are any. The file is read once."""
        if path not in self._texts:
            text = self._read(path)
            self._texts[path] = None if text is None else with_line_feeds(text)
        text = self._texts[path]
        return [] if text is None else lines_between(text, first, last)

    def _holds(self, lines: Sequence[str]) -> bool:
        """Whether the document itself has these lines, but for one in ten."""
        filled = [stripped for line in lines if (stripped := line.strip())]
        allowed = int(len(filled) * (1 - _SAME) + 1e-9)
        for line in filled:
            if line not in self._shown:
                allowed -= 1
                if allowed < 0:
                    return False
        return True


def _further(lines: Sequence[str], count: int, ahead: int, strongest: int) -> range:
    """Which of these lines (from 0) to quote in place of the first `count`: so many with text further on, as far as
    there are any, and no further than from the line `strongest`."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    spare = [number for number in filled if number < strongest]
    added = [number for number in filled if number >= count][: min(ahead, len(spare))]
    if not added:
        return range(count)
    start = next(number for number in filled if number > spare[len(added) - 1])
    return range(start, added[-1] + 1)


def _nearly_same(terms: set[str], others: set[str]) -> bool:
    return len(terms & others) >= _SAME * max(len(terms), len(others))
