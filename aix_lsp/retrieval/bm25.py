"""An incremental BM25 index whose scores are those of rank_bm25's BM25Okapi over the same chunks at every moment.

The index is a row of immutable packed segments with tombstones, and exact statistics over all living chunks. A
writer makes a new state and swaps one reference; a reader takes the reference once and waits for nobody. A change
appends a small segment; small ones are merged as they pile up (as in a log-structured merge tree), and `pack`
merges all, on whatever thread calls it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np

from aix_lsp.retrieval.scoring import Integers, Matches, Postings, average_idf, best_matches, inverse_frequencies
from aix_lsp.retrieval.segment import ChunkTerms, Hashes, PackedSegment, merge
from aix_lsp.retrieval.tokens import term_hash
from aix_lsp.retrieval.view import View

__all__ = ["Bm25Index", "ChunkTerms", "Hit", "PackedSegment"]

_MERGE_RATIO = 4
_MERGE_LIMIT = 512  # chunks: some two milliseconds; larger merges are left to `pack`
_DUE_VIEWS = 12
_REMEMBERED_CHANGES = 1 << 14  # files: more than change while a folder is indexed; more at once are indexed anew


class Hit(NamedTuple):
    """A chunk that matches. `terms` are the query's terms in it with their shares of the score (sum 1), largest
    first."""

    path: str
    start_line: int
    end_line: int
    score: float
    terms: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What a query reads. `histogram[d]` counts the terms that occur in d living chunks."""

    views: tuple[View, ...] = ()
    histogram: Integers = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    chunks: int = 0
    tokens: int = 0
    average_idf: float = 0.0

    def frequencies_of(self, hashes: Hashes) -> Integers:
        total = np.zeros(len(hashes), dtype=np.int64)
        for view in self.views:
            total += view.frequencies_of(hashes)
        return total


class Bm25Index:
    """Chunks of files by path. Writers take turns; any number of threads may query meanwhile."""

    def __init__(self) -> None:
        self._state = _State()
        self._writing = threading.Lock()
        self._clock = 0
        self._changed: dict[str, int] = {}  # the latest last
        self._forgotten = 0
        # the latest change to any chunks, which file's it was if one's alone, and the latest of all others before
        self._last_change = 0
        self._last_path: str | None = None
        self._others_changed = 0

    def __len__(self) -> int:
        """Number of living chunks."""
        return self._state.chunks

    def paths(self) -> set[str]:
        """The files that have chunks."""
        return {path for view in self._state.views for path in view.paths()}

    @property
    def nbytes(self) -> int:
        """Memory of the packed arrays."""
        return sum(view.nbytes for view in self._state.views)

    @property
    def packing_due(self) -> bool:
        """Whether `pack` would make queries faster or free much memory."""
        views = self._state.views
        dead = sum(len(view.segment) - view.chunks for view in views)
        return len(views) > _DUE_VIEWS or dead > max(self._state.chunks // 4, _MERGE_LIMIT)

    def replace(self, path: str, chunks: Sequence[ChunkTerms]) -> None:
        """These are the chunks of a file from now on; none at all removes it."""
        self._apply([path], View.of(PackedSegment.build([(path, chunks)])))

    def remove(self, path: str) -> None:
        """Forget a file, if it is there."""
        self._apply([path], None)

    def remove_many(self, paths: Iterable[str]) -> None:
        """Forget many files at the price of one."""
        self._apply(list(paths), None)

    def mark(self) -> int:
        """The present moment, for `load`."""
        return self._clock

    def changed_besides(self, path: str | None) -> int:
        """The moment of the latest change to the chunks of another file than this one."""
        return self._others_changed if path is not None and path == self._last_path else self._last_change

    def changed_since(self, path: str, mark: int) -> bool:
        """Whether a file was put in, replaced or removed after the moment `mark`; True too where that was so many
        changes ago that nobody knows."""
        return self._changed.get(path, self._forgotten) > mark

    def load(self, segment: PackedSegment, since: int | None = None) -> None:
        """Take in a segment that was built elsewhere; its files replace what is known of them.

        With `since`, a `mark` taken before the build began, files that changed here after it stay as they are.
        """
        with self._writing:
            changed = self._changed if since is not None else {}
            newer = [path for path in segment.paths if changed.get(path, 0) > (since or 0)]
            view, _ = View.of(segment).without(newer)
            self._swap(set(segment.paths).difference(newer), view)

    def _apply(self, paths: Collection[str], added: View | None) -> None:
        with self._writing:
            self._swap(paths, added)

    def _swap(self, paths: Collection[str], added: View | None) -> None:
        """The new state without these files and with the chunks of `added`."""
        self._clock += 1
        self._note(paths)
        old = self._state
        views: list[View] = []
        gone: list[Hashes] = []
        for view in old.views:
            rest, taken = view.without(paths)
            views.append(rest)
            gone += [view.segment.vocabulary[terms] for terms in taken]
        if added is not None and added.chunks:
            views.append(added)
        elif not gone:
            return
        path = next(iter(paths)) if len(paths) == 1 else None
        if path is None or path != self._last_path:
            self._last_path, self._others_changed = path, self._last_change
        self._last_change = self._clock
        views = [view for view in views if view.chunks]
        chunks = sum(view.chunks for view in views)
        histogram = _moved(old, gone, added)
        self._state = _State(
            views=_tidied(views),
            histogram=histogram,
            chunks=chunks,
            tokens=sum(view.tokens for view in views),
            average_idf=average_idf(histogram, chunks),
        )

    def _note(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._changed.pop(path, None)
            self._changed[path] = self._clock
        # files that a build makes and removes would add up, each by a name of its own
        for path in list(islice(self._changed, max(len(self._changed) - _REMEMBERED_CHANGES, 0))):
            self._forgotten = self._changed.pop(path)

    def pack(self) -> None:
        """Merge all segments into one without the dead. Changes and queries go on meanwhile."""
        with self._writing:
            before, moment = self._state, self._clock
        merged = View.of(merge([(view.segment, view.alive) for view in before.views]))
        known = {id(view.segment) for view in before.views}
        with self._writing:
            newer = {path for path, clock in self._changed.items() if clock > moment}
            views = [merged.without(newer)[0]]
            # What is older than the merge is in it, also where a small merge has put it beside something newer.
            since = [view for view in self._state.views if id(view.segment) not in known]
            views.extend(view.without(set(view.segment.paths) - newer)[0] for view in since)
            self._state = replace(self._state, views=tuple(view for view in views if view.chunks))

    def query(self, weights: Mapping[str, float], *, limit: int, exclude_paths: Collection[str] = ()) -> list[Hit]:
        """The best chunks for a weighted sum of terms: score = sum of weight times BM25Okapi's score of the term.

        Only positive weights and scores count. Equal scores (to ten digits) are ordered by path and line.
        """
        state = self._state
        words = {term_hash(term): term for term, weight in weights.items() if weight > 0}
        if not words or not state.chunks or limit <= 0:
            return []
        hashes = np.sort(np.fromiter(words, dtype=np.uint64, count=len(words)))
        located = [view.positions(hashes) for view in state.views]
        frequencies = np.zeros(len(hashes), dtype=np.int64)
        for view, (places, known) in zip(state.views, located, strict=True):
            frequencies[known] += view.frequencies[places[known]]
        terms = [words[number] for number in hashes.tolist()]
        factors = np.array([weights[term] for term in terms], dtype=np.float64)
        factors *= inverse_frequencies(frequencies, state.chunks, state.average_idf)
        counted = (frequencies > 0) & (factors > 0)
        factors[~counted] = 0.0
        parts: list[Postings] = []
        for view, (places, known) in zip(state.views, located, strict=True):
            here = np.flatnonzero(known & counted)
            if len(here):
                parts.append(Postings(view, here, places[here], view.ranges(exclude_paths)))
        if not parts:
            return []
        found = best_matches(parts, factors, average_length=state.tokens / state.chunks, limit=limit)
        ranked: list[tuple[float, str, int, int, int]] = []
        for number, (part, matches) in enumerate(zip(parts, found, strict=True)):
            segment = part.view.segment
            files = np.searchsorted(segment.files, matches.chunks, side="right") - 1
            starts = segment.start_lines[matches.chunks]
            columns = zip(matches.scores.tolist(), files.tolist(), starts.tolist(), strict=True)
            for place, (score, file, start) in enumerate(columns):
                ranked.append((-float(f"{score:.10g}"), segment.paths[file], start, number, place))
        ranked.sort()
        del ranked[limit:]  # there may be many more that tie
        described: dict[tuple[int, int], tuple[tuple[str, float], ...]] = {}
        for number, matches in enumerate(found):
            chosen = sorted(place for *_, own, place in ranked if own == number)
            listed = _terms_of(matches.only(chosen), terms)
            described.update(zip(((number, place) for place in chosen), listed, strict=True))
        hits: list[Hit] = []
        for _, path, start, number, place in ranked:
            matches = found[number]
            score = float(matches.scores[place])
            hits.append(Hit(path, start, int(matches.end_lines[place]), score, described[number, place]))
        return hits


def _terms_of(matches: Matches, names: Sequence[str]) -> list[tuple[tuple[str, float], ...]]:
    """The terms of each match with their shares of its score, largest first."""
    shares = matches.shares / matches.scores[matches.owners]
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    order = np.lexsort((ranks[matches.terms], -shares, matches.owners))
    listed = list(zip([names[term] for term in matches.terms[order].tolist()], shares[order].tolist(), strict=True))
    ends = np.searchsorted(matches.owners, np.arange(len(matches.chunks) + 1)).tolist()
    return [tuple(listed[first:end]) for first, end in pairwise(ends)]


def _moved(old: _State, gone: Sequence[Hashes], added: View | None) -> Integers:
    """The histogram after the chunks with the terms `gone` (once per chunk) went, and those of `added` came."""
    vocabulary = added.segment.vocabulary if added is not None else np.zeros(0, dtype=np.uint64)
    gone_terms, gone_counts = np.unique(np.concatenate([*gone, vocabulary[:0]]), return_counts=True)
    terms = np.unique(np.concatenate([gone_terms, vocabulary]))
    before = old.frequencies_of(terms)
    after = before.copy()
    after[np.searchsorted(terms, gone_terms)] -= gone_counts
    if added is not None:
        after[np.searchsorted(terms, vocabulary)] += added.frequencies
    size = max(len(old.histogram), int(after.max(initial=0)) + 1)
    histogram = np.zeros(size, dtype=np.int64)
    histogram[: len(old.histogram)] = old.histogram
    np.subtract.at(histogram, before, 1)
    np.add.at(histogram, after, 1)
    return histogram


def _tidied(views: Sequence[View]) -> tuple[View, ...]:
    """Merge small segments at the end until each is several times as large as the next."""
    listed = list(views)
    while len(listed) > 1:
        earlier, last = listed[-2:]
        if earlier.chunks >= _MERGE_RATIO * last.chunks or earlier.chunks + last.chunks > _MERGE_LIMIT:
            break
        listed[-2:] = [View.of(merge([(earlier.segment, earlier.alive), (last.segment, last.alive)]))]
    return tuple(listed)
