"""The chunks of one workspace folder, and the snippets that fit a place in a document.

The index holds hashed terms, paths and line ranges, never text: what is quoted is read when it is needed, and
looked at again before it is shown, because a file may have changed since it was indexed.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypedDict, Unpack

from aix_lsp.languages import language_of
from aix_lsp.retrieval.bm25 import Bm25Index, Hit
from aix_lsp.retrieval.build import ChunkBuilder
from aix_lsp.retrieval.crosscodeeval import MORE_HITS, flat_terms, followers
from aix_lsp.retrieval.definitions import DefinitionIndex
from aix_lsp.retrieval.names import Candidate, NameRanking, expected, names_around, with_similar
from aix_lsp.retrieval.query import SUFFIX_LINES, query_terms, surroundings
from aix_lsp.retrieval.quoting import Quoted
from aix_lsp.retrieval.ranking import RECENT_FACTOR, SECONDARY_FACTOR, is_secondary, take_best_beside
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.slot import definition_snippets
from aix_lsp.retrieval.tokens import expand
from aix_lsp.types import DocumentSnapshot, Snippet

_MORE_HITS = 24
_EDITED_FILES = 16
_EDITED_WORDS = 1 << 13
_AHEAD = 2  # lines; where nothing stands below the cursor, what follows the lines that match counts most
# Names that the missing line may use join the query, each as if it stood in the line thrice as often as is likely
# (measured; docs/log.md).
_EXPECTED_NAMES = 8
_EXPECTED_WEIGHT = 3.0

_SERIALS = itertools.count(1)


class Options(TypedDict, total=False):
    """What `RetrievalIndex.search` may be told besides the place."""

    limit: int
    query_lines: int
    suffix_lines: int
    scheme: Literal["aix", "crosscodeeval"]
    definitions: bool
    exclude: Collection[str] | None
    recent: Collection[str]


class Search(NamedTuple):
    """An answer, and for each snippet of an earlier one how it fits now (None: not any more)."""

    snippets: list[Snippet]
    before: list[Snippet | None]


class RetrievalIndex:
    """Files of one folder by their paths from it, with forward slashes. `chunk_lines` counts lines with text.

    Whoever owns it tells it of changes, and calls `pack` off the main thread when `packing_due`.
    """

    def __init__(self, *, chunk_lines: int = 10, definitions: DefinitionIndex | None = None) -> None:
        """`definitions` may be taken over from an index that this one replaces."""
        self.serial = next(_SERIALS)
        """Of this index alone, also after it is gone."""
        self._bm25 = Bm25Index()
        self._chunk_lines = chunk_lines
        self._builder = ChunkBuilder(chunk_lines, words=_EDITED_WORDS, files=_EDITED_FILES)
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

    def changed_besides(self, path: str | None) -> int:
        """The moment of the latest change to another file than this one."""
        return self._bm25.changed_besides(path)

    def changed_since(self, path: str, mark: int) -> bool:
        """Whether a file changed after the moment `mark`."""
        return self._bm25.changed_since(path, mark)

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
        self, document: DocumentSnapshot, offset: int, *, read: Callable[[str], str | None], **options: Unpack[Options]
    ) -> list[Snippet]:
        """The snippets of `search`."""
        return self.search(document, offset, read=read, **options).snippets

    def search(
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
        before: Sequence[Snippet] = (),
        read: Callable[[str], str | None],
    ) -> Search:
        """Up to `limit` chunks of other files for a place, best first, then with `definitions` what names around the
        place mean; nothing when nothing matches.

        `exclude` are files that do not count: the document's own name unless given; `recent` are files that were
        edited lately, which count a little more. `read` gives a file's text as it is now, or None. Left out are
        chunks that nearly repeat a better one or the document itself, and those whose lines no longer hold what made
        them match; a term counts half for each chunk quoted already. The scheme `crosscodeeval` quotes as that
        benchmark does, without any of this. `before` are snippets of an earlier answer, to be judged again.
        """
        if limit <= 0 or not len(self._bm25):
            return Search([], [None] * len(before))
        excluded = {document.name} if exclude is None else set(exclude)
        if scheme == "crosscodeeval":
            flat = flat_terms(surroundings(document, offset)[0], query_lines, lower=True)
            hits = self._bm25.query(flat, limit=limit + MORE_HITS, exclude_paths=excluded)
            return Search(followers(hits, self._chunk_lines, read, limit), [None] * len(before))
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
        ranked = tuple(hits)
        quoted = Quoted(document, offset, read)
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
        candidates: list[Candidate] = []
        if definitions:
            candidates = ranking.order(with_similar(names, snippets))
            snippets += definition_snippets(
                candidates,
                lines_of=quoted.lines,
                fits=lambda path, first, lines: quoted.is_new(snippets, path, first, lines),
            )
        return Search(snippets, [_again(item, ranked, candidates, quoted) for item in before])


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


def _again(snippet: Snippet, hits: Sequence[Hit], candidates: Sequence[Candidate], quoted: Quoted) -> Snippet | None:
    """A snippet of an earlier answer with its score of now; None when it is no longer among those that matter, or its
    lines are no longer what they were."""
    scores: Iterable[float]
    if snippet.kind == "similar":  # what was quoted may lie some lines further on than its chunk
        first, last = snippet.start_line, snippet.end_line
        scores = (
            hit.score for hit in hits if hit.path == snippet.path and hit.start_line <= last and hit.end_line >= first
        )
    else:
        here = snippet.path, snippet.start_line
        scores = (item.score for item in candidates if (item.place.path, item.place.start_line) == here)
    score = max(scores, default=None)
    return None if score is None or not quoted.is_as_it_was(snippet) else replace(snippet, score=score)


def _noted(snippet: Snippet, *, secondary: bool, recent: Collection[str]) -> Snippet:
    """The snippet with what `_by_file` has counted, in words."""
    notes = []
    if snippet.path in recent:
        notes.append("edited or opened lately")
    if not secondary and is_secondary(snippet.path):
        notes.append("of a test or of others' code")
    return replace(snippet, notes=tuple(notes)) if notes else snippet
