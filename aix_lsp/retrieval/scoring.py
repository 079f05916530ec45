"""BM25 as rank_bm25's BM25Okapi defines it, over the postings of one view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aix_lsp.retrieval.segment import Bools, Numbers, PackedSegment
from aix_lsp.retrieval.view import K1, B, Impacts, View

EPSILON = 0.25
_ZERO = 1e-12  # an average of zero may come out a little above it
_TIE = 1e-9
_ROUGH = 1e-4  # more than what single precision loses
_USUAL_DRIFT = 1.1  # impacts of another average length serve up to here
_BLOCK = 64
_FREQUENT_SHARE = 0.03
_MOST_CANDIDATES = 1_024

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def average_idf(histogram: Integers, chunks: int) -> float:
    """BM25Okapi's mean IDF over the vocabulary. `histogram[d]` counts the terms that occur in d chunks."""
    frequencies = np.flatnonzero(histogram[1:]) + 1
    if not len(frequencies):
        return 0.0
    terms = histogram[frequencies]
    return float(terms @ _plain_idf(frequencies, chunks) / terms.sum())


def _plain_idf(frequencies: Integers, chunks: int) -> Floats:
    idf: Floats = np.log(chunks - frequencies + 0.5) - np.log(frequencies + 0.5)
    return idf


def inverse_frequencies(frequencies: Integers, chunks: int, average: float) -> Floats:
    """BM25Okapi's IDF: a negative one becomes a quarter of the average.

    Where the average itself is not positive, as with two or three chunks, that ranks backwards; then
    log(1 + (N - n + 0.5) / (n + 0.5)) serves for all terms.
    """
    if average <= _ZERO:
        idf: Floats = np.log1p((chunks - frequencies + 0.5) / (frequencies + 0.5))
        return idf
    plain = _plain_idf(frequencies, chunks)
    return np.where(plain < 0, EPSILON * average, plain)


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Chunks with their last lines and exact scores, and what each matching term gives: `terms` are positions in
    the query, `owners` positions in `chunks`, ascending."""

    chunks: Integers
    end_lines: NDArray[np.uint32]
    scores: Floats
    owners: Integers
    terms: Integers
    shares: Floats

    def above(self, floor: float) -> Matches:
        """Those with at least this score."""
        kept = self.scores >= floor
        return self if kept.all() else self._kept(kept)

    def only(self, places: Sequence[int]) -> Matches:
        """Those at these positions, ascending."""
        kept = np.zeros(len(self.chunks), dtype=np.bool_)
        kept[places] = True
        return self if len(places) == len(kept) else self._kept(kept)

    def _kept(self, kept: Bools) -> Matches:
        here = kept[self.owners]
        owners = (np.cumsum(kept) - 1)[self.owners[here]]
        chunks, ends, scores = self.chunks[kept], self.end_lines[kept], self.scores[kept]
        return Matches(chunks, ends, scores, owners, self.terms[here], self.shares[here])


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """A view and what it knows of a query: `terms` are positions in the query, `places` those terms' positions in
    the view's vocabulary, ascending. `excluded` are ranges of its chunks that do not count."""

    view: View
    terms: Integers
    places: Integers
    excluded: list[tuple[int, int]]


def best_matches(parts: Sequence[Postings], weights: Floats, *, average_length: float, limit: int) -> list[Matches]:
    """The best `limit` living chunks of all views with a positive score, more where the last ones tie.

    `weights` are query weight times IDF of each term, not negative. The answer has one entry for each of `parts`.

    Frequent terms weigh little and have most of the postings. Their postings are not read: as in MaxScore (Turtle
    and Flood, 1995), a chunk counts only if what the other terms give it, and the most that the frequent ones
    could add, reach the last of the best. The few that do are scored exactly.
    """
    sizes = np.zeros(len(weights), dtype=np.int64)
    for part in parts:
        starts = part.view.segment.term_starts
        sizes[part.terms] += starts[part.places + 1] - starts[part.places]
    rare = _rare(weights, sizes)
    scores = _rough_scores(parts, weights, rare, average_length)
    most = (K1 + 1) * float(weights[~rare].sum())
    tolerance, lost = _roughness(parts, weights, average_length)
    candidates = _reaching(scores, limit, most + lost, tolerance)
    if not limit <= len(candidates) <= _MOST_CANDIDATES:
        scores += _rough_scores(parts, weights, ~rare, average_length)
        candidates = _reaching(scores, limit, lost, tolerance)
        if len(candidates) < limit:
            candidates = np.flatnonzero(scores > 0)
    found: list[Matches] = []
    first = 0
    for part in parts:
        end = first + len(part.view.segment)
        here = candidates[np.searchsorted(candidates, first) : np.searchsorted(candidates, end)] - first
        found.append(_exact(part, here, weights, average_length))
        first = end
    return _best_of(found, limit)


def _rare(weights: Floats, sizes: Integers) -> Bools:
    """Which terms to read: all but those that together weigh little for their many postings."""
    order = np.argsort(weights / np.maximum(sizes, 1))
    frequent = order[np.cumsum(weights[order]) <= _FREQUENT_SHARE * weights.sum()]
    rare = np.ones(len(weights), dtype=np.bool_)
    rare[frequent] = False
    return rare


def _roughness(parts: Sequence[Postings], weights: Floats, average_length: float) -> tuple[float, float]:
    """How far rough scores may be off: a share of the score, and an amount."""
    used = [impacts for part in parts if (impacts := _impacts(part.view, average_length)) is not None]
    ratios = [average_length / impacts.average_length for impacts in used]
    drift = max((max(ratio, 1 / ratio) for ratio in ratios), default=1.0)
    return 1 - (1 - _ROUGH) / drift, (K1 + 1) * float(weights.sum()) / 0xFFFF if ratios else 0.0


def _impacts(view: View, average_length: float) -> Impacts | None:
    """A view's impacts, if they serve for this average length."""
    impacts = view.impacts
    if impacts is None or not 1 / _USUAL_DRIFT < average_length / impacts.average_length < _USUAL_DRIFT:
        return None
    return impacts


def _reaching(scores: Floats, limit: int, most: float, tolerance: float) -> Integers:
    """Chunks with a positive score that can be among the best `limit` when each may still gain `most` and be off by
    a share of `tolerance`; too few (less than `limit`) when that rules nothing out."""
    highest = _block_maxima(scores)
    floor = _last_of_best(highest, limit)
    best = _at_least(scores, highest, floor) if floor > 0 else np.flatnonzero(scores > 0)
    floor = _last_of_best(scores[best], limit) * (1 - tolerance) - most
    if floor > 0:
        return _at_least(scores, highest, floor)
    return best[:0]


def _block_maxima(scores: Floats) -> Floats:
    """The highest score of each run of chunks; the last run is filled up with zeros."""
    whole = len(scores) // _BLOCK * _BLOCK
    highest: Floats = scores[:whole].reshape(-1, _BLOCK).max(axis=1)
    return np.append(highest, scores[whole:].max()) if whole < len(scores) else highest


def _last_of_best(scores: Floats, limit: int) -> float:
    """The score that `limit` of these reach; 0 when there are fewer."""
    if len(scores) < limit:
        return 0.0
    return float(np.partition(scores, len(scores) - limit)[len(scores) - limit])


def _at_least(scores: Floats, highest: Floats, floor: float) -> Integers:
    """Positions of the scores that reach a floor above 0, ascending; only blocks that do are looked at."""
    blocks = np.flatnonzero(highest >= floor)
    positions = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
    positions = positions[: np.searchsorted(positions, len(scores))]
    found: Integers = positions[scores[positions] >= floor]
    return found


def _best_of(found: list[Matches], limit: int) -> list[Matches]:
    """Only the best of the exactly scored, over all views."""
    scores = np.concatenate([matches.scores for matches in found])
    if len(scores) > limit:
        floor = np.partition(scores, len(scores) - limit)[len(scores) - limit] * (1 - _TIE)
        return [matches.above(max(float(floor), 0.0)) for matches in found]
    return found


def _rough_scores(parts: Sequence[Postings], weights: Floats, chosen: Bools, average_length: float) -> Floats:
    """Scores of all chunks, one view after the other, for some of the terms, to single precision."""
    slope, base = np.float32(K1 * B / average_length), np.float32(K1 * (1 - B))
    scores: list[Floats] = []
    for part in parts:
        segment, view = part.view.segment, part.view
        used = chosen[part.terms]
        places = part.places[used]
        if not len(places):
            scores.append(np.zeros(len(segment)))
            continue
        starts, ends = segment.term_starts[places], segment.term_starts[places + 1]
        slices = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        chunks = np.concatenate([segment.term_chunks[piece] for piece in slices])
        factors = (weights[part.terms[used]] * (K1 + 1)).astype(np.float32)
        impacts = _impacts(view, average_length)
        if impacts is not None:
            values = np.concatenate([impacts.values[piece] for piece in slices]).astype(np.float32)
            factors /= np.float32(0xFFFF)
        else:
            values = _values(segment, chunks, slices, slope, base)
        values *= np.repeat(factors, ends - starts)
        found = _sums(chunks, values, len(segment))
        if view.chunks < len(segment):
            found *= view.alive
        for first, end in part.excluded:
            found[first:end] = 0.0
        scores.append(found)
    return scores[0] if len(scores) == 1 else np.concatenate(scores)


def _values(
    segment: PackedSegment, chunks: Numbers, slices: list[slice], slope: np.float32, base: np.float32
) -> NDArray[np.float32]:
    """count / (count + norm) of some postings, those of `slices` by term."""
    counts = np.concatenate([segment.term_counts[piece] for piece in slices]).astype(np.float32)
    values = segment.lengths[chunks].astype(np.float32)
    values *= slope
    values += base
    values += counts
    return np.divide(counts, values, out=values)


def _exact(part: Postings, chunks: Integers, weights: Floats, average_length: float) -> Matches:
    """Scores of few chunks from their own terms, in the order of the vocabulary: equal chunks score equally."""
    segment, places = part.view.segment, part.places
    norms: Floats = K1 * (1 - B + B * (segment.lengths[chunks] / np.float64(average_length)))
    starts = segment.chunk_starts[chunks]
    sizes = segment.chunk_starts[chunks + 1] - starts
    ends = np.cumsum(sizes)
    postings = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
    # A table over the vocabulary, of which only the pages that are asked for are ever touched.
    table = np.zeros(len(segment.vocabulary), dtype=np.uint32)
    table[places] = np.arange(1, len(places) + 1)
    found = table[segment.chunk_terms[postings]]
    known = np.flatnonzero(found)
    owners = np.repeat(np.arange(len(chunks)), sizes)[known]
    terms = part.terms[found[known] - 1]
    counts = segment.chunk_counts[postings[known]].astype(np.float64)
    shares = weights[terms] * counts * (K1 + 1) / (counts + norms[owners])
    scores = _sums(owners, shares, len(chunks))
    return Matches(chunks, segment.end_lines[chunks], scores, owners, terms, shares)


def _sums(places: NDArray[np.integer], values: NDArray[np.floating], size: int) -> Floats:
    return np.bincount(places, values, minlength=size).astype(np.float64, copy=False)
