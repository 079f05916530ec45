"""BM25 as rank_bm25's BM25Okapi defines it, over the postings of one view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aix_lsp.retrieval.segment import Bools, PackedSegment
from aix_lsp.retrieval.view import View

K1, B, EPSILON = 1.5, 0.75, 0.25
_ZERO = 1e-12  # an average of zero may come out a little above it
_TIE = 1e-9
_BLOCK = 64

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
    the query, `owners` positions in `chunks`."""

    chunks: Integers
    end_lines: NDArray[np.uint32]
    scores: Floats
    owners: Integers
    terms: Integers
    shares: Floats


def best_matches(
    view: View, places: Integers, weights: Floats, *, average_length: float, limit: int, excluded: list[tuple[int, int]]
) -> Matches:
    """The best `limit` living chunks with a positive score, more where the last ones tie.

    `places` are positions in the vocabulary, ascending, at least one; `weights` are query weight times IDF,
    positive.
    `excluded` are ranges of chunks that do not count.
    """
    segment = view.segment
    norms: Floats = K1 * (1 - B + B * (segment.lengths / np.float64(average_length)))
    scores = _all_scores(segment, places, weights, norms)
    scores *= view.alive
    for first, end in excluded:
        scores[first:end] = 0.0
    chunks = _highest(scores, limit)
    return _exact(segment, chunks, places, weights, norms)


def _highest(scores: Floats, limit: int) -> Integers:
    """Positions of the `limit` highest positive scores, and of what equals the last of them."""
    blocks = len(scores) // _BLOCK
    if blocks > limit:
        # As many blocks have a maximum that high, so at least as many scores are: few are left to look at.
        highest = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        floor = np.partition(highest, blocks - limit)[blocks - limit] * (1 - _TIE)
        candidates = np.flatnonzero((scores >= floor) & (scores > 0))
    else:
        candidates = np.flatnonzero(scores > 0)
    if limit < len(candidates):
        found = scores[candidates]
        floor = np.partition(found, len(found) - limit)[len(found) - limit]
        candidates = candidates[found >= floor * (1 - _TIE)]
    return candidates


def _all_scores(segment: PackedSegment, places: Integers, weights: Floats, norms: Floats) -> Floats:
    starts, ends = segment.term_starts[places], segment.term_starts[places + 1]
    slices = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    chunks = np.concatenate([segment.term_chunks[part] for part in slices])
    counts = np.concatenate([segment.term_counts[part] for part in slices]).astype(np.float64)
    values = norms[chunks]
    values += counts
    np.divide(counts, values, out=values)
    values *= np.repeat(weights * (K1 + 1), ends - starts)
    return _sums(chunks, values, len(segment))


def _exact(segment: PackedSegment, chunks: Integers, places: Integers, weights: Floats, norms: Floats) -> Matches:
    """Scores of few chunks from their own terms, in the order of the vocabulary: equal chunks score equally."""
    starts = segment.chunk_starts[chunks]
    sizes = segment.chunk_starts[chunks + 1] - starts
    ends = np.cumsum(sizes)
    postings = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
    found = np.minimum(np.searchsorted(places, segment.chunk_terms[postings]), len(places) - 1)
    known: Bools = places[found] == segment.chunk_terms[postings]
    owners = np.repeat(np.arange(len(chunks)), sizes)[known]
    terms = found[known]
    counts = segment.chunk_counts[postings[known]].astype(np.float64)
    shares = weights[terms] * counts * (K1 + 1) / (counts + norms[chunks[owners]])
    scores = _sums(owners, shares, len(chunks))
    return Matches(chunks, segment.end_lines[chunks], scores, owners, terms, shares)


def _sums(places: NDArray[np.integer], values: Floats, size: int) -> Floats:
    return np.bincount(places, values, minlength=size).astype(np.float64, copy=False)
