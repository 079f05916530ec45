"""The chunks of one workspace folder, and the snippets that fit a place in a document.

The index holds hashed terms, paths and line ranges, never text: what is quoted is read when it is needed, and
looked at again before it is shown, because a file may have changed since it was indexed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from aix_lsp.languages import language_of
from aix_lsp.retrieval.bm25 import Bm25Index, Hit
from aix_lsp.retrieval.build import ChunkBuilder
from aix_lsp.retrieval.chunks import lines_between, with_line_feeds
from aix_lsp.retrieval.crosscodeeval import MORE_HITS, flat_terms, followers
from aix_lsp.retrieval.definitions import DefinitionIndex
from aix_lsp.retrieval.names import NameRanking, expected, names_around, with_similar
from aix_lsp.retrieval.query import SUFFIX_LINES, query_terms, surroundings
from aix_lsp.retrieval.ranking import RECENT_FACTOR, SECONDARY_FACTOR, is_secondary, take_best_beside
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.slot import definition_snippets, repeats
from aix_lsp.retrieval.tokens import expand, path_tokens, tokenize
from aix_lsp.types import DocumentSnapshot, Snippet

_SAME = 0.9
_STILL_THERE = 0.5
_SHOWN_TERMS = 8
_MORE_HITS = 24
_EDITED_FILES = 16
_READ_ON = 24  # lines in which those further on are looked for
_AHEAD = 2  # lines; where nothing stands below the cursor, what follows the lines that match counts most
# Names that the missing line may use join the query, each as if it stood in the line thrice as often as is likely
# (measured; docs/log.md).
_EXPECTED_NAMES = 8
_EXPECTED_WEIGHT = 3.0


class RetrievalIndex:
    """Files of one folder by their paths from it, with forward slashes. `chunk_lines` counts lines with text.

    Whoever owns it tells it of changes, and calls `pack` off the main thread when `packing_due`.
    """

    def __init__(self, *, chunk_lines: int = 10, definitions: DefinitionIndex | None = None) -> None:
        """`definitions` may be taken over from an index that this one replaces."""
        self._bm25 = Bm25Index()
        self._chunk_lines = chunk_lines
        self._builder = ChunkBuilder(chunk_lines, files=_EDITED_FILES)
        self.definitions = definitions or DefinitionIndex()

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self._bm25)

    @property
    def nbytes(self) -> int:
        """Memory of the packed arrays."""
        return self._bm25.nbytes + self.definitions.nbytes

    @property
    def packing_due(self) -> bool:
        """Whether `pack` is worth its time."""
        return self._bm25.packing_due or self.definitions.packing_due or self.definitions.waiting

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
        """This is the text of a file from now on. What a long one defines is read by the next `pack`."""
        self._bm25.replace(path, self._builder.chunks(path, text, language_id))
        self.definitions.update_soon(path, text, language_id)

    def remove(self, path: str) -> None:
        """The file is gone."""
        self._bm25.remove(path)
        self.definitions.remove(path)

    def remove_many(self, paths: Iterable[str]) -> None:
        """These files are gone: as fast as one."""
        paths = list(paths)
        self._bm25.remove_many(paths)
        self.definitions.remove_many(paths)

    def remove_chunks(self, paths: Iterable[str]) -> None:
        """The chunks of these files are gone; their definitions are left to the caller. On any thread."""
        self._bm25.remove_many(paths)

    def pack(self) -> None:
        """Read what long files define that changed, then merge what is worth it, or all if nothing was to do; may
        take some tenths of a second, and holds up nobody."""
        waiting = self.definitions.waiting
        self.definitions.read_waiting()
        if self._bm25.packing_due or not (waiting or self.definitions.packing_due):
            self._bm25.pack()
        if self.definitions.packing_due:
            self.definitions.pack()

    def query(
        self,
        document: DocumentSnapshot,
        offset: int,
        *,
        limit: int = 3,
        query_lines: int = 10,
        suffix_lines: int = SUFFIX_LINES,
        scheme: Literal["aix", "crosscodeeval"] = "aix",
        definitions: bool = True,
        exclude: Collection[str] | None = None,
        recent: Collection[str] = (),
        read: Callable[[str], str | None],
    ) -> list[Snippet]:
        """Up to `limit` chunks of other files for a place, best first, then with `definitions` what names around the
        place mean; nothing when nothing matches.

        `exclude` are files that do not count: the document's own name unless given; `recent` are files that were
        edited lately, which count a little more. `read` gives a file's text as it is now, or None. Left out are
        chunks that nearly repeat a better one or the document itself, and those whose lines no longer hold what made
        them match; a term counts half for each chunk quoted already. The scheme `crosscodeeval` quotes as that
        benchmark does, without any of this.
        """
        if limit <= 0 or not len(self._bm25):
            return []
        excluded = {document.name} if exclude is None else set(exclude)
        if scheme == "crosscodeeval":
            flat = flat_terms(surroundings(document, offset)[0], query_lines, lower=True)
            hits = self._bm25.query(flat, limit=limit + MORE_HITS, exclude_paths=excluded)
            return followers(hits, self._chunk_lines, read, limit)
        language = language_of(document.name, document.language_id)
        weights = query_terms(document, offset, language, query_lines, suffix_lines)
        names = names_around(document, offset, language, suffix=suffix_lines > 0)

        ranking = NameRanking(self.definitions, document.name, language, weights, excluded)
        more = dict(weights)
        for name, share in expected(ranking.order(names), _EXPECTED_NAMES).items():
            for term in expand(name, language.keywords):
                more[term] = more.get(term, 0.0) + _EXPECTED_WEIGHT * share
        hits = self._bm25.query(more, limit=2 * limit + _MORE_HITS, exclude_paths=excluded)
        secondary = is_secondary(document.name)
        hits = _by_file(hits, secondary=secondary, recent=recent)
        quoted = _Quoted(document, offset, read)
        snippets: list[Snippet] = []
        ahead = 0 if suffix_lines > 0 and surroundings(document, offset)[1].strip() else _AHEAD
        quoted_terms: Counter[str] = Counter()
        while hits and len(snippets) < limit:
            hit = take_best_beside(hits, quoted_terms)
            snippet = quoted.quote(hit, ahead)
            if snippet is not None:
                quoted_terms.update([term for term, _ in hit.terms])
                snippets.append(_noted(snippet, secondary=secondary, recent=recent))
        snippets.sort(key=lambda snippet: -snippet.score)
        if definitions:
            snippets += definition_snippets(
                ranking.order(with_similar(names, snippets)),
                lines_of=quoted.lines,
                fits=lambda path, first, lines: quoted.is_new(snippets, path, first, lines),
            )
        return snippets


def _by_file(hits: list[Hit], *, secondary: bool, recent: Collection[str]) -> list[Hit]:
    """Best first, those of recently edited files counted more, and those of tests and vendored files less unless it
    is for one of them."""
    counted = []
    for hit in hits:
        factor = RECENT_FACTOR if hit.path in recent else 1.0
        factor *= SECONDARY_FACTOR if not secondary and is_secondary(hit.path) else 1.0
        counted.append(hit if factor == 1.0 else hit._replace(score=hit.score * factor))
    counted.sort(key=lambda hit: -hit.score)  # stable: equal ones keep their order
    return counted


def _noted(snippet: Snippet, *, secondary: bool, recent: Collection[str]) -> Snippet:
    """The snippet with what `_by_file` has counted, in words."""
    notes = []
    if snippet.path in recent:
        notes.append("edited or opened lately")
    if not secondary and is_secondary(snippet.path):
        notes.append("of a test or of others' code")
    return replace(snippet, notes=tuple(notes)) if notes else snippet


class _Quoted:
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
