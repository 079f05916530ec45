"""Where the signatures of definitions stand in a run of tokens, so that none is copied into a call.

A function's name is often followed, in the lines that define it, by what no call of it has: `self`, annotations, the
result's type. To continue a call by them is always wrong, though the names of the parameters are often right. Known for
Python, which the embedded model writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from aix_lsp.engine.token_index import TokenIndex

_KEYWORDS: Final = frozenset({"def", "class"})
_RECEIVERS: Final = frozenset({"self", "cls"})
_LONGEST: Final = 400
"""Tokens after which a signature that has not ended is taken for something else."""


class Signatures:
    """Finds signatures in tokens. `text_of` gives a token's text, and is asked once for each."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        self._text_of = text_of
        self.texts: dict[int, str] = {}
        """Of every token seen so far."""
        self._keywords: set[int] = set()

    def not_in_calls(self, index: TokenIndex) -> set[int]:
        """Positions of tokens inside signatures that no call has."""
        ids = index.ids
        found: set[int] = set()
        for token in filter(self._is_keyword, index.known):
            for start in index.positions(token):
                found.update(
                    place for place, closed in self._signature(ids, start) if closed or self._is_annotation(ids[place])
                )
        return found

    def is_open(self, index: TokenIndex) -> bool:
        """Whether the token after the last one would stand in a signature."""
        starts = [places[-1] for token in self._keywords if (places := index.positions(token))]
        start = max(starts, default=-1)
        ids = index.ids
        if start < max(len(ids) - _LONGEST, 0):
            return False
        depth, inside = 0, False
        for place in range(start + 1, len(ids)):
            depth, inside, ended = self._step(ids[place], depth, inside)
            if ended:
                return False
        return inside

    def _is_keyword(self, token: int) -> bool:
        if token not in self.texts:
            self.text(token)
        return token in self._keywords

    def _signature(self, ids: Sequence[int], start: int) -> Iterator[tuple[int, bool]]:
        """The positions behind the opening bracket of the definition whose keyword stands at `start`, each with whether
        the bracket is closed by then."""
        depth, inside = 0, False
        for place in range(start + 1, min(start + _LONGEST, len(ids))):
            if inside:
                yield place, depth <= 0
            depth, inside, ended = self._step(ids[place], depth, inside)
            if ended:
                return

    def _step(self, token: int, depth: int, inside: bool) -> tuple[int, bool, bool]:
        """Open brackets, whether the first has been opened, and whether the signature's last line has ended."""
        text = self.text(token)
        depth += text.count("(") - text.count(")")
        return depth, inside or "(" in text, token < 0 or (depth <= 0 and "\n" in text)

    def _is_annotation(self, token: int) -> bool:
        text = self.text(token)
        return ":" in text or "->" in text or text.strip() in _RECEIVERS

    def text(self, token: int) -> str:
        """The text of a token; empty for a negative id."""
        text = self.texts.get(token)
        if text is None:
            text = self.texts[token] = self._text_of(token) if token >= 0 else ""
            if text.strip() in _KEYWORDS:
                self._keywords.add(token)
        return text
