"""Terms of source text: identifiers whole and in parts, in lower case, without the language's keywords.

`parseHTTPHeader2` gives parsehttpheader2, parse, http, header. Single ASCII letters and numbers say too little to be
terms. In the index a term is a 64-bit hash that is the same in every process.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

_WORD = re.compile(r"\w+")
_BLANKED = bytes(code if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128)).ljust(256)
_ASCII_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SEPARATORS = re.compile(r"[_\d]+")
_EXTENSION = re.compile(r"(?<=[^/\\.])\.\w+$")


def _parts(word: str) -> list[str]:
    if word.isascii():
        return _ASCII_PARTS.findall(word)
    parts: list[str] = []
    for run in _SEPARATORS.split(word):
        start = 0
        for i in range(1, len(run)):
            if run[i].isupper() and not run[i - 1].isupper():
                parts.append(run[start:i])
                start = i
        parts.append(run[start:])
    return parts


def _words(text: str) -> list[str]:
    if text.isascii():  # the same as the pattern, faster
        return text.encode().translate(_BLANKED).decode().split()
    return _WORD.findall(text)


def _expanded(word: str, keywords: frozenset[str]) -> tuple[str, ...]:
    if word.isascii() and word.isalpha() and word.islower():  # most words have no parts
        return () if word in keywords or len(word) == 1 else (word,)
    if not (word[0].isalpha() or word[0] == "_"):
        return ()
    if word.isascii() and word.islower():
        parts = [part for part in _ASCII_PARTS.findall(word) if len(part) > 1 and part != word and part not in keywords]
        return (*parts,) if word in keywords or len(word) == 1 else (word, *parts)
    whole = word.lower()
    found = [] if whole in keywords or (len(whole) == 1 and whole.isascii()) else [whole]
    for part in _parts(word):
        lower = part.lower()
        if lower == whole or lower in keywords or len(lower) < 2:
            continue
        found.append(lower)
    return tuple(found)


@lru_cache(maxsize=1 << 13)
def expand(word: str, keywords: frozenset[str]) -> tuple[str, ...]:
    """The terms of one identifier: itself, then its parts where there are several. A number has none."""
    return _expanded(word, keywords)


def tokenize(text: str, keywords: frozenset[str]) -> list[str]:
    """The terms of `text` in order, repeats included. `keywords` (lower case) are left out, also as parts."""
    terms: list[str] = []
    for word in _words(text):
        terms += expand(word, keywords)
    return terms


def path_tokens(path: str) -> list[str]:
    """The terms of a path without its last extension, folders first."""
    return tokenize(_EXTENSION.sub("", path), frozenset())


@lru_cache(maxsize=1 << 14)
def _digest(term: str) -> bytes:
    return blake2b(term.encode("utf-8", "replace"), digest_size=8).digest()


@lru_cache(maxsize=1 << 13)
def term_hash(term: str) -> int:
    """The 64-bit number of a term, from BLAKE2b: stable over processes, machines and versions."""
    return int.from_bytes(_digest(term), "little")


def hash_terms(terms: Iterable[str]) -> bytes:
    """The numbers of terms, in order: 8 bytes each in the machine's order."""
    numbers = b"".join(map(_digest, terms))
    if sys.byteorder == "big":
        swapped = array("Q", numbers)
        swapped.byteswap()
        return swapped.tobytes()
    return numbers


class TermHasher(dict[str, bytes]):
    """Identifier -> numbers of its terms, remembered up to `limit` identifiers, for one set of keywords.

    Numbers are kept as their bytes in the machine's order: joining those is several times faster than collecting
    integers. Threads may share one: what is forgotten meanwhile is computed again.
    """

    def __init__(self, keywords: frozenset[str], limit: int = 1 << 14) -> None:
        super().__init__()
        self._keywords = keywords
        self._limit = limit

    def __missing__(self, word: str) -> bytes:
        if len(self) >= self._limit:
            self.clear()
        numbers = self[word] = hash_terms(_expanded(word, self._keywords))
        return numbers

    def terms(self, text: str) -> bytes:
        """The numbers of the terms of `text`, in order, repeats included: 8 bytes each."""
        return b"".join(map(self.__getitem__, _words(text)))
