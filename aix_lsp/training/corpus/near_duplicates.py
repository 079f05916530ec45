"""Near duplicates of files: MinHash signatures over runs of words, found again by locality-sensitive hashing.

MinHash is Broder 1997 (On the resemblance and containment of documents); bands of signatures are chapter 3 of Mining of
Massive Datasets; words of five for code are those of The Stack (Kocetkov et al. 2022, section 3). What differs here:
candidates of the bands are held against the whole signature before anything is dropped, and a comment at the head of a
file does not count, or else all small files under one licence notice were alike.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from aix_lsp.training.corpus.records import SourceFile

if TYPE_CHECKING:
    import numpy

_WORD: Final = re.compile(r"\w+")
_HEAD: Final = re.compile(
    # Blank lines and comments, but neither C's directives nor Rust's attributes. Nothing is tried twice.
    r"(?:\s++|#(?!\s*+(?:include|define|if|ifdef|ifndef|pragma|undef|import|error|line|nullable|region)\b|!?\[)[^\r\n]*+"
    r"|//[^\r\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+"
)
_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_PIECE: Final = 2048
"""Shingles that are permuted at a time: the table of a piece then stays in a processor's cache."""

_FALSE_POSITIVE_WEIGHT: Final = 0.2
"""What a needless candidate counts beside a missed one: comparing two signatures takes a microsecond or two."""


@lru_cache(maxsize=8)
def _shape(threshold: float, permutations: int) -> tuple[int, int]:
    """Number of bands and values in a band; datasketch finds them by integration, which takes half a second."""
    from datasketch import MinHashLSH

    weights = (_FALSE_POSITIVE_WEIGHT, 1 - _FALSE_POSITIVE_WEIGHT)
    bands = MinHashLSH(threshold=threshold, num_perm=permutations, weights=weights)
    return bands.b, bands.r


def head_end(text: str) -> int:
    """Where the comments and blank lines at the head of a file end."""
    match = _HEAD.match(text)
    return match.end() if match else 0


class NearDuplicates:
    """Remembers files and finds the earlier one that a file nearly repeats.

    `threshold` is the Jaccard similarity of two files' sets of shingles (`shingle` words in a row) from which they
    count as the same; it is estimated from `permutations` hash values with a standard error of at most
    0.5 / sqrt(permutations), 0.044 for 128. A file takes about 4 kB of memory.

    The answers depend on nothing but the arguments and the files given so far, in their order: hashes are the same in
    every process, so a run that was cut off is continued by giving the files anew.
    """

    def __init__(self, threshold: float = 0.7, permutations: int = 128, seed: int = 1, shingle: int = 5) -> None:
        from datasketch import MinHash, MinHashLSH

        if not 0 < threshold <= 1:
            raise ValueError(f"the threshold of near duplicates must lie between 0 and 1, not at {threshold}")
        if shingle < 1:
            raise ValueError(f"a shingle has at least one word, not {shingle}")
        self.threshold = threshold
        self._shingle = shingle
        self._empty: Any = MinHash(num_perm=permutations, seed=seed, hashfunc=_as_it_is)
        self._bands: Any = MinHashLSH(num_perm=permutations, params=_shape(threshold, permutations))
        self._paths: list[str] = []
        self._signatures: list[numpy.ndarray] = []
        self._exact: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many files are remembered, near duplicates apart."""
        return len(self._paths)

    def earlier(self, file: SourceFile) -> str | None:
        """`project/path` of the first file given before that this one repeats, or None.

        A file with None is remembered. One that repeats another is not, exact copies of it apart: every file that is
        dropped then resembles one that was kept, and not merely another that was dropped.
        """
        digest = hashlib.blake2b("".join(file.text.split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._exact.get(digest)
        if known is None:
            sketch = self._sketch(file.text)
            known = self._like(sketch)
            if known is None:
                known = len(self._paths)
                self._paths.append(f"{file.project}/{file.path}")
                self._signatures.append(sketch.hashvalues)
                self._bands.insert(known, sketch, check_duplication=False)
                self._exact[digest] = known
                return None
            self._exact[digest] = known
        return self._paths[known]

    def _like(self, sketch: Any) -> int | None:
        least = self.threshold * len(sketch)
        for known in sorted(self._bands.query(sketch)):
            if int((self._signatures[known] == sketch.hashvalues).sum()) >= least:
                return int(known)
        return None

    def _sketch(self, text: str) -> Any:
        sketch = self._empty.copy()
        hashes = shingle_hashes(text, self._shingle)
        for start in range(0, len(hashes), _PIECE):
            sketch.update_batch(hashes[start : start + _PIECE].tolist())
        return sketch


def shingle_hashes(text: str, shingle: int) -> numpy.ndarray:
    """The set of hashes (32 bits, in order) of all runs of `shingle` words in `text` behind the comment at its head.

    A text with fewer words has one run of all of them; one of comments only is taken whole.
    """
    import numpy as np

    words = _WORD.findall(text, head_end(text)) or _WORD.findall(text) or [text]
    known = {word: crc32(word.encode("utf-8", "surrogatepass")) for word in dict.fromkeys(words)}
    values = np.fromiter(map(known.__getitem__, words), dtype=np.uint64, count=len(words))
    size = min(shingle, len(words))
    runs = len(words) - size + 1
    hashes = np.zeros(runs, dtype=np.uint64)
    multiplier = np.uint64(_MULTIPLIER)
    for place in range(size):
        # Mixed after every word, so that words in another order are another run.
        hashes = (hashes ^ values[place : place + runs]) * multiplier
        hashes ^= hashes >> np.uint64(29)
    return np.unique((hashes >> np.uint64(32)).astype(np.uint32))


def _as_it_is(value: int) -> int:
    return value
