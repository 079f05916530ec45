"""The chunks of one workspace folder, and the snippets that fit a place in a document.

The index holds hashed terms, paths and line ranges, never text: what is quoted is read when it is needed, and
looked at again before it is shown, because a file may have changed since it was indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from aix_lsp.languages import language_of
from aix_lsp.retrieval.bm25 import Bm25Index, Hit
from aix_lsp.retrieval.build import ChunkBuilder
from aix_lsp.retrieval.chunks import split_lines
from aix_lsp.retrieval.query import query_terms, surroundings
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.tokens import path_tokens, tokenize
from aix_lsp.types import DocumentSnapshot, Snippet

_SAME = 0.9
_STILL_THERE = 0.5
_SHOWN_TERMS = 8
_MORE_HITS = 12
_EDITED_FILES = 16


class RetrievalIndex:
    """Files of one folder by their paths from it, with forward slashes. `chunk_lines` counts lines with text.

    Whoever owns it tells it of changes, and calls `pack` off the main thread when `packing_due`.
    """

    def __init__(self, *, chunk_lines: int = 10) -> None:
        self._bm25 = Bm25Index()
        self._builder = ChunkBuilder(chunk_lines, files=_EDITED_FILES)

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self._bm25)

    @property
    def nbytes(self) -> int:
        """Memory of the packed arrays."""
        return self._bm25.nbytes

    @property
    def packing_due(self) -> bool:
        """Whether `pack` is worth its time."""
        return self._bm25.packing_due

    def paths(self) -> set[str]:
        """The files in the index that have any text."""
        return self._bm25.paths()

    def mark(self) -> int:
        """The present moment, for `load`: take it before a build in another process begins."""
        return self._bm25.mark()

    def load(self, segment: PackedSegment, since: int | None = None) -> None:
        """Take in files that were packed elsewhere, in place of what is known of them. Those that changed here
        after the mark `since` stay as they are."""
        self._bm25.load(segment, since)

    def update(self, path: str, text: str, language_id: str = "") -> None:
        """This is the text of a file from now on."""
        self._bm25.replace(path, self._builder.chunks(path, text, language_id))

    def remove(self, path: str) -> None:
        """The file is gone."""
        self._bm25.remove(path)

    def remove_many(self, paths: Iterable[str]) -> None:
        """These files are gone: as fast as one."""
        self._bm25.remove_many(paths)

    def pack(self) -> None:
        """Merge all segments; may take some tenths of a second, and holds up nobody."""
        self._bm25.pack()

    def query(
        self,
        document: DocumentSnapshot,
        offset: int,
        *,
        limit: int = 3,
        query_lines: int = 10,
        exclude: Collection[str] | None = None,
        read: Callable[[str], str | None],
    ) -> list[Snippet]:
        """Up to `limit` chunks of other files for a place, best first; none when nothing matches.

        `exclude` are files that do not count: the document's own name unless given. `read` gives a file's text as
        it is now, or None. Left out are chunks that nearly repeat a better one or the document itself, and those
        whose lines no longer hold what made them match.
        """
        if limit <= 0 or not len(self._bm25):
            return []
        language = language_of(document.name, document.language_id)
        weights = query_terms(document, offset, language, query_lines)
        excluded = {document.name} if exclude is None else set(exclude)
        hits = self._bm25.query(weights, limit=2 * limit + _MORE_HITS, exclude_paths=excluded)
        quoted = _Quoted(document, offset, read)
        snippets: list[Snippet] = []
        for hit in hits:
            text = quoted.text_of(hit)
            if text is not None:
                terms = hit.terms[:_SHOWN_TERMS]
                snippets.append(Snippet(hit.path, hit.start_line, hit.end_line, hit.score, "similar", text, terms))
                if len(snippets) == limit:
                    break
        return snippets


class _Quoted:
    """Reads hits in order of rank and says which are worth quoting."""

    def __init__(self, document: DocumentSnapshot, offset: int, read: Callable[[str], str | None]) -> None:
        self._shown = "".join(surroundings(document, offset))
        self._read = read
        self._files: dict[str, Sequence[str]] = {}
        self._taken: list[set[str]] = []

    def text_of(self, hit: Hit) -> str | None:
        """The lines of a hit, or None when they should not be quoted."""
        lines = self._lines(hit.path)[hit.start_line - 1 : hit.end_line]
        if len(lines) < hit.end_line - hit.start_line + 1:
            return None
        text = "\n".join(lines)
        terms = set(tokenize(text, language_of(hit.path).keywords))
        known = terms.union(path_tokens(hit.path))
        if not terms or sum(share for term, share in hit.terms if term in known) < _STILL_THERE:
            return None
        if any(_nearly_same(terms, others) for others in self._taken) or self._holds(lines):
            return None
        self._taken.append(terms)
        return text

    def _lines(self, path: str) -> Sequence[str]:
        lines = self._files.get(path)
        if lines is None:
            text = self._read(path)
            lines = self._files[path] = [] if text is None else split_lines(text)
        return lines

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


def _nearly_same(terms: set[str], others: set[str]) -> bool:
    return len(terms & others) >= _SAME * max(len(terms), len(others))
