"""A packed segment with what has been deleted from it since."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aix_lsp.retrieval.segment import Bools, Hashes, PackedSegment

K1, B = 1.5, 0.75
"""BM25Okapi's parameters."""
_WITH_IMPACTS = 4_096  # chunks
_IMPACT_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Impacts:
    """What BM25 makes of the counts of a segment's postings by term, count / (count + norm), in units of 1 / 65,535
    [postings], for one average length of chunks. For r times that length they are right within a factor r."""

    average_length: float
    values: NDArray[np.uint16]

    @classmethod
    def of(cls, segment: PackedSegment) -> Impacts | None:
        """For the segment's own average length; None for a small one, where it is not worth the memory."""
        if len(segment) < _WITH_IMPACTS:
            return None
        average_length = float(segment.lengths.mean(dtype=np.float64)) or 1.0
        norms = (K1 * (1 - B + B * segment.lengths / average_length)).astype(np.float32)
        values = np.empty(len(segment.term_chunks), dtype=np.uint16)
        for first in range(0, len(values), _IMPACT_BLOCK):
            block = slice(first, first + _IMPACT_BLOCK)
            counts = segment.term_counts[block].astype(np.float32)
            shares = counts / (counts + norms[segment.term_chunks[block]])
            values[block] = np.maximum(np.rint(shares * np.float32(0xFFFF)), 1)  # what matches stays above 0
        return cls(average_length, values)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Immutable. `alive` [chunks] and `frequencies` [terms] (in how many living chunks a term occurs) go with the
    segment; `tokens` is the length of all living chunks together."""

    segment: PackedSegment
    alive: Bools
    frequencies: NDArray[np.int32]
    chunks: int
    tokens: int
    impacts: Impacts | None

    @classmethod
    def of(cls, segment: PackedSegment) -> View:
        """A view with everything alive."""
        alive = np.ones(len(segment), dtype=np.bool_)
        tokens = int(segment.lengths.sum(dtype=np.int64))
        return cls(segment, alive, segment.document_frequencies(), len(segment), tokens, Impacts.of(segment))

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        impacts = self.impacts.values.nbytes if self.impacts is not None else 0
        return self.segment.nbytes + self.alive.nbytes + self.frequencies.nbytes + impacts

    def ranges(self, paths: Collection[str]) -> list[tuple[int, int]]:
        """Where the living chunks of these files lie."""
        numbers, files = self.segment.file_numbers, self.segment.files
        known = (numbers.get(path) for path in set(paths))
        found = ((int(files[number]), int(files[number + 1])) for number in known if number is not None)
        return [(first, end) for first, end in found if first < end and self.alive[first]]

    def paths(self) -> list[str]:
        """The files that have living chunks."""
        segment = self.segment
        filled = np.flatnonzero(np.diff(segment.files))
        return [segment.paths[number] for number in filled[self.alive[segment.files[filled]]].tolist()]

    def without(self, paths: Collection[str]) -> tuple[View, list[NDArray[np.uint32]]]:
        """The view with these files deleted, and the terms (positions in the vocabulary, with repeats) they took."""
        ranges = self.ranges(paths)
        if not ranges:
            return self, []
        segment = self.segment
        alive, frequencies = self.alive.copy(), self.frequencies.copy()
        taken: list[NDArray[np.uint32]] = []
        tokens = chunks = 0
        for first, end in ranges:
            alive[first:end] = False
            chunks += end - first
            tokens += int(segment.lengths[first:end].sum(dtype=np.int64))
            taken.append(segment.chunk_terms[segment.chunk_starts[first] : segment.chunk_starts[end]])
        np.subtract.at(frequencies, np.concatenate(taken), 1)
        return View(segment, alive, frequencies, self.chunks - chunks, self.tokens - tokens, self.impacts), taken

    def positions(self, hashes: Hashes) -> tuple[NDArray[np.int64], Bools]:
        """Where these hashes stand in the vocabulary, and whether they do."""
        vocabulary = self.segment.vocabulary
        if not len(vocabulary):
            return np.zeros(len(hashes), dtype=np.int64), np.zeros(len(hashes), dtype=np.bool_)
        places = np.minimum(np.searchsorted(vocabulary, hashes), len(vocabulary) - 1)
        return places, vocabulary[places] == hashes

    def frequencies_of(self, hashes: Hashes) -> NDArray[np.int64]:
        """In how many living chunks each of these terms occurs."""
        places, known = self.positions(hashes)
        found = np.zeros(len(hashes), dtype=np.int64)
        found[known] = self.frequencies[places[known]]
        return found
