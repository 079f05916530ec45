"""Packing many files at once: a pure function, for a process that does nothing else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

import numpy as np

from aix_lsp.languages import language_of
from aix_lsp.retrieval.chunks import chunk_lines, split_lines
from aix_lsp.retrieval.segment import ChunkTerms, Hashes, PackedSegment
from aix_lsp.retrieval.tokens import TermHasher, hash_terms, path_tokens

_REMEMBERED_WORDS = 1 << 17


class ChunkBuilder:
    """Cuts files into chunks and hashes their terms.

    Remembers the terms of `words` identifiers per set of keywords, and of the chunks of the last `files` files: of
    a file that is being edited, most chunks come again.
    """

    def __init__(self, non_blank: int = 10, *, words: int = 1 << 15, files: int = 0) -> None:
        self._non_blank = non_blank
        self._words = words
        self._files = files
        self._hashers: dict[frozenset[str], TermHasher] = {}
        self._recent: OrderedDict[tuple[str, str], dict[tuple[int, int], Hashes]] = OrderedDict()

    def chunks(self, path: str, text: str, language_id: str = "") -> list[ChunkTerms]:
        """The chunks of one file; the terms of its path belong to each."""
        keywords = language_of(path, language_id).keywords
        hasher = self._hashers.get(keywords)
        if hasher is None:
            hasher = self._hashers.setdefault(keywords, TermHasher(keywords, self._words))
        shared = hash_terms(path_tokens(path))
        known = self._recent.pop((path, language_id), {})
        seen: dict[tuple[int, int], Hashes] = {}
        found = []
        lines = split_lines(text)
        for piece in chunk_lines(lines, self._non_blank):
            quoted = "\n".join(lines[piece.start_line - 1 : piece.end_line])
            key = (hash(quoted), len(quoted))
            terms = known.get(key)
            if terms is None:
                terms = np.frombuffer(hasher.terms(quoted) + shared, dtype=np.uint64)
            seen[key] = terms
            found.append(ChunkTerms(piece.start_line, piece.end_line, terms))
        self._recent[path, language_id] = seen
        while len(self._recent) > self._files:
            self._recent.popitem(last=False)
        return found


def build_segment(files: Iterable[tuple[str, str]], *, chunk_lines: int = 10) -> PackedSegment:
    """Pack files given as (path, text). `chunk_lines` counts the lines of a chunk that are not blank."""
    builder = ChunkBuilder(chunk_lines, words=_REMEMBERED_WORDS)

    def built() -> Iterator[tuple[str, list[ChunkTerms]]]:
        for path, text in files:
            yield path, builder.chunks(path, text)

    return PackedSegment.build(built())
