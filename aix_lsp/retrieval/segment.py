"""An immutable packed inverted index over the chunks of some files.

Postings are kept in both directions as compressed sparse rows (numpy arrays): by term, to score a query, and by
chunk, to take a file's terms away again and to look at few chunks exactly. 12 bytes per posting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aix_lsp.retrieval.tokens import hash_terms

Hashes = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.uint16]
Numbers = NDArray[np.uint32]
Offsets = NDArray[np.int64]

_NUMBER_BITS, _COUNT_BITS = 24, 16  # of a posting while it is sorted: term, chunk, count
_MOST = 1 << _NUMBER_BITS
_BATCH_TOKENS = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ChunkTerms:
    """Lines of a file, 1-based and inclusive, and the hashes of their terms with repeats, in any order."""

    start_line: int
    end_line: int
    terms: Hashes

    @classmethod
    def of(cls, start_line: int, end_line: int, tokens: Iterable[str]) -> ChunkTerms:
        """A chunk with these tokens."""
        return cls(start_line, end_line, np.frombuffer(hash_terms(tokens), dtype=np.uint64))


@dataclass(frozen=True, eq=False)
class PackedSegment:
    """Chunks of files, ordered by file.

    `files` [files + 1] is where each file's chunks begin; `start_lines`, `end_lines` and `lengths` (tokens)
    [chunks] describe them. `vocabulary` [terms] holds the sorted hashes. By chunk: `chunk_starts` [chunks + 1] into
    `chunk_terms` (positions in the vocabulary) and `chunk_counts` [postings]. By term: `term_starts` [terms + 1]
    into `term_chunks` and `term_counts` [postings]. A count above 65,535 is kept as that.
    """

    paths: tuple[str, ...]
    files: Offsets
    start_lines: Numbers
    end_lines: Numbers
    lengths: Numbers
    vocabulary: Hashes
    chunk_starts: Offsets
    chunk_terms: Numbers
    chunk_counts: Counts
    term_starts: Offsets
    term_chunks: Numbers
    term_counts: Counts

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self.lengths)

    @cached_property
    def file_numbers(self) -> dict[str, int]:
        """Path -> number of its file."""
        return {path: number for number, path in enumerate(self.paths)}

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def document_frequencies(self) -> NDArray[np.int32]:
        """In how many chunks each term occurs."""
        return np.diff(self.term_starts).astype(np.int32)

    @classmethod
    def build(cls, files: Iterable[tuple[str, Sequence[ChunkTerms]]]) -> PackedSegment:
        """Pack files, also those without chunks. Raises ValueError when a path comes twice."""
        parts: list[PackedSegment] = []
        batch: list[tuple[str, Sequence[ChunkTerms]]] = []
        empty: list[str] = []
        tokens = 0
        for path, chunks in files:
            if not chunks:
                empty.append(path)
                continue
            batch.append((path, chunks))
            tokens += sum(len(chunk.terms) for chunk in chunks)
            if tokens >= _BATCH_TOKENS:
                parts.append(_pack(batch))
                batch, tokens = [], 0
        if batch or not parts:
            parts.append(_pack(batch))
        packed = parts[0] if len(parts) == 1 else merge([(part, np.ones(len(part), dtype=np.bool_)) for part in parts])
        ends = np.full(len(empty), len(packed), dtype=np.int64)
        packed = replace(packed, paths=(*packed.paths, *empty), files=np.append(packed.files, ends))
        if len(packed.file_numbers) != len(packed.paths):
            raise ValueError("a path comes twice among the files to pack")
        return packed

    def to_bytes(self) -> bytes:
        """For another process or a file; see `segment_bytes`."""
        from aix_lsp.retrieval.segment_bytes import to_bytes

        return to_bytes(self)

    @staticmethod
    def from_bytes(data: bytes) -> PackedSegment:
        """The segment again. Raises ValueError in one line when the bytes are damaged or of another version."""
        from aix_lsp.retrieval.segment_bytes import from_bytes

        return from_bytes(data)


def _starts(sizes: NDArray[np.integer]) -> Offsets:
    starts = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def _distinct(hashes: Hashes) -> Hashes:
    """Each once, in order. Half the time of np.unique, which hashes before it sorts."""
    ordered = np.sort(hashes)
    return ordered[np.diff(ordered, prepend=~ordered[:1]) != 0] if len(ordered) else ordered


def _pack(files: Sequence[tuple[str, Sequence[ChunkTerms]]]) -> PackedSegment:
    chunks = [chunk for _, listed in files for chunk in listed]
    lengths = np.fromiter((len(chunk.terms) for chunk in chunks), dtype=np.uint32, count=len(chunks))
    hashes = np.concatenate([chunk.terms for chunk in chunks]) if chunks else np.zeros(0, dtype=np.uint64)
    vocabulary = _distinct(hashes)
    # One sort groups equal terms of a chunk: (chunk, term) in one number.
    key = np.repeat(np.arange(len(chunks), dtype=np.uint64), lengths) << np.uint64(32)
    key |= np.searchsorted(vocabulary, hashes).astype(np.uint64)
    key.sort()
    firsts = np.flatnonzero(np.diff(key, prepend=~key[:1])) if len(key) else np.zeros(0, dtype=np.int64)
    counts = np.diff(firsts, append=len(key))
    key = key[firsts]
    per_chunk = np.bincount((key >> np.uint64(32)).astype(np.int64), minlength=len(chunks))
    return _assemble(
        paths=tuple(path for path, _ in files),
        files=_starts(np.fromiter((len(listed) for _, listed in files), dtype=np.int64, count=len(files))),
        start_lines=np.fromiter((chunk.start_line for chunk in chunks), dtype=np.uint32, count=len(chunks)),
        end_lines=np.fromiter((chunk.end_line for chunk in chunks), dtype=np.uint32, count=len(chunks)),
        lengths=lengths,
        vocabulary=vocabulary,
        chunk_starts=_starts(per_chunk),
        chunk_terms=key.astype(np.uint32),
        chunk_counts=np.minimum(counts, 0xFFFF).astype(np.uint16),
    )


def _assemble(
    *,
    paths: tuple[str, ...],
    files: Offsets,
    start_lines: Numbers,
    end_lines: Numbers,
    lengths: Numbers,
    vocabulary: Hashes,
    chunk_starts: Offsets,
    chunk_terms: Numbers,
    chunk_counts: Counts,
) -> PackedSegment:
    """A segment from its postings by chunk: those by term come from one sort of (term, chunk, count)."""
    if len(lengths) >= _MOST or len(vocabulary) >= _MOST:
        raise ValueError(f"more than {_MOST:,} chunks or terms in one index")
    shift = np.uint64(_NUMBER_BITS + _COUNT_BITS)
    key = chunk_terms.astype(np.uint64) << shift
    owner = np.repeat(np.arange(len(lengths), dtype=np.uint64), np.diff(chunk_starts))
    key |= owner << np.uint64(_COUNT_BITS)
    key |= chunk_counts
    key.sort()
    term_counts = key.astype(np.uint16)
    key >>= np.uint64(_COUNT_BITS)
    return PackedSegment(
        paths=paths,
        files=files,
        start_lines=start_lines,
        end_lines=end_lines,
        lengths=lengths,
        vocabulary=vocabulary,
        chunk_starts=chunk_starts,
        chunk_terms=chunk_terms,
        chunk_counts=chunk_counts,
        term_starts=_starts(np.bincount(chunk_terms, minlength=len(vocabulary))),
        term_chunks=(key & np.uint64(_MOST - 1)).astype(np.uint32),
        term_counts=term_counts,
    )


def merge(parts: Sequence[tuple[PackedSegment, Bools]]) -> PackedSegment:
    """One segment with the chunks of several that are alive, files in order.

    A mask [chunks] of the living goes with each segment; a file lives or dies as a whole.
    """
    parts = [(segment, alive) for segment, alive in parts if alive.any()]
    if not parts:
        return _pack([])
    kept = [_living_postings(segment, alive) for segment, alive in parts]
    vocabulary = _distinct(np.concatenate([terms for _, terms, _ in kept]))
    paths: list[str] = []
    sizes: list[int] = []
    terms: list[Numbers] = []
    counts: list[Counts] = []
    for (segment, alive), (postings, _, _) in zip(parts, kept, strict=True):
        for number, (first, end) in enumerate(pairwise(segment.files.tolist())):
            if first < end and alive[first]:
                paths.append(segment.paths[number])
                sizes.append(end - first)
        position = np.searchsorted(vocabulary, segment.vocabulary).astype(np.uint32)
        terms.append(position[segment.chunk_terms[postings]])
        counts.append(segment.chunk_counts[postings])
    return _assemble(
        paths=tuple(paths),
        files=_starts(np.array(sizes, dtype=np.int64)),
        start_lines=np.concatenate([segment.start_lines[alive] for segment, alive in parts]),
        end_lines=np.concatenate([segment.end_lines[alive] for segment, alive in parts]),
        lengths=np.concatenate([segment.lengths[alive] for segment, alive in parts]),
        vocabulary=vocabulary,
        chunk_starts=_starts(np.concatenate([sizes_of for _, _, sizes_of in kept])),
        chunk_terms=np.concatenate(terms),
        chunk_counts=np.concatenate(counts),
    )


def _living_postings(segment: PackedSegment, alive: Bools) -> tuple[Bools | slice, Hashes, Offsets]:
    """Which postings by chunk live on, their terms each once, and how many each living chunk has."""
    sizes = np.diff(segment.chunk_starts)
    if alive.all():
        return slice(None), segment.vocabulary, sizes
    postings = np.repeat(alive, sizes)
    used = np.zeros(len(segment.vocabulary), dtype=np.bool_)
    used[segment.chunk_terms[postings]] = True
    return postings, segment.vocabulary[used], sizes[alive]
