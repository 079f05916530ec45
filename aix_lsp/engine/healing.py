"""The engine's half of token healing: which tokens may come while a required text is not spelled out yet."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

from aix_lsp.types import Tokenizer

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Vocabulary:
    """The texts of all tokens, in an order that finds those with a common beginning.

    Tokens that stand for no text (special ones) or for half a character are left out. Building it decodes every
    token once: 26 ms for 8,192 of them (docs/log.md).
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        texts = {token: tokenizer.decode([token]) for token in range(tokenizer.vocabulary_size)}
        self._texts = {token: text for token, text in texts.items() if text and _REPLACEMENT not in text}
        self._sorted = sorted((text, token) for token, text in self._texts.items())
        self._keys = [text for text, _ in self._sorted]
        # a method of one object, so that the cache goes with it
        self.beginnings = lru_cache(maxsize=256)(self._beginnings)

    def _beginnings(self, required: str) -> tuple[int, ...]:
        """Tokens whose text begins with `required`, or is the beginning of it. Empty when none can spell it."""
        found: list[int] = []
        position = bisect_left(self._keys, required)
        while position < len(self._keys) and self._keys[position].startswith(required):
            found.append(self._sorted[position][1])
            position += 1
        for length in range(1, len(required)):
            position = bisect_left(self._keys, required[:length])
            while position < len(self._keys) and self._keys[position] == required[:length]:
                found.append(self._sorted[position][1])
                position += 1
        return tuple(found)

    def rest(self, token: int, required: str) -> str:
        """What of `required` is left to be spelled after this token."""
        return required[len(self._texts[token]) :]
