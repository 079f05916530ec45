"""From rows of logits to the tokens that come next, guesses verified on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.plugs import Prior
from aix_lsp.engine.sampling import Sampler

if TYPE_CHECKING:
    from torch import Tensor


class Picker:
    """Picks a token for each row, as long as the guesses hold."""

    def __init__(self, sampler: Sampler, words: Vocabulary | None, required: str, prior: Prior | None) -> None:
        self.required = required if words is not None else ""
        self._sampler = sampler
        self._words = words
        self._prior = prior

    def pick(self, rows: Tensor, guesses: Sequence[int], stop_ids: frozenset[int]) -> tuple[list[int], int]:
        """Tokens that follow, and how many of the guesses they confirm. Row number i was computed behind the first i
        guesses, so it counts only while these are right: there is one token more than there are right guesses, or as
        many where a stop token ended it."""
        tokens: list[int] = []
        plain = self._sampler.greedy and self._prior is None and not self.required
        likeliest = rows.argmax(dim=1).tolist() if plain else None
        for number in range(len(guesses) + 1):
            token = likeliest[number] if likeliest is not None else self._one(rows[number])
            if token in stop_ids:
                return tokens, len(tokens)
            tokens.append(token)
            if self._prior is not None:
                self._prior.push(token)
            if number == len(guesses) or token != guesses[number]:
                break
        return tokens, len(tokens) - 1

    def _one(self, logits: Tensor) -> int:
        allowed = self._words.beginnings(self.required) if self._words is not None and self.required else ()
        if self._prior is not None:
            logits = self._prior.mix(logits, allowed)
        token = self._sampler.pick(logits, allowed)
        self.required = self._words.rest(token, self.required) if self._words is not None and allowed else ""
        return token
