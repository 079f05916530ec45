"""From rows of logits to the tokens that come next, guesses verified on the way, and how likely each of them was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.plugs import Prior
from aix_lsp.engine.sampling import Sampler

if TYPE_CHECKING:
    from torch import Tensor


class Picker:
    """Picks a token for each row, as long as the guesses hold.

    What a token's probability was is worked out on the model's device before its number is fetched, and comes along
    with it: to wait for a GPU once more would cost more than the logarithm does.
    """

    def __init__(self, sampler: Sampler, words: Vocabulary | None, required: str, prior: Prior | None) -> None:
        self.required = required if words is not None else ""
        self._sampler = sampler
        self._words = words
        self._prior = prior
        self._told: list[float] = []
        self._untold: list[Tensor] = []

    @property
    def log_probabilities(self) -> Sequence[float]:
        """Natural logarithms of the probabilities of all tokens picked so far, at temperature 1 and with the prior
        mixed in; among the tokens that were allowed, where only some were."""
        self._fetch()
        return self._told

    def _fetch(self) -> None:
        if self._untold:
            import torch

            self._told += torch.stack(self._untold).tolist()
            self._untold.clear()

    def pick(self, rows: Tensor, guesses: Sequence[int], stop_ids: frozenset[int]) -> tuple[list[int], int]:
        """Tokens that follow, and how many of the guesses they confirm. Row number i was computed behind the first i
        guesses, so it counts only while these are right: there is one token more than there are right guesses, or as
        many where a stop token ended it."""
        tokens: list[int] = []
        plain = self._sampler.greedy and self._prior is None and not self.required
        likeliest, scores = _likeliest(rows) if plain else ([], [])
        for number in range(len(guesses) + 1):
            token, score = (likeliest[number], None) if plain else self._one(rows[number])
            if token in stop_ids:
                return tokens, len(tokens)
            tokens.append(token)
            if score is not None:
                self._untold.append(score)
            else:
                self._fetch()  # those of a word that was spelled out come first
                self._told.append(scores[number])
            if self._prior is not None:
                self._prior.push(token)
            if number == len(guesses) or token != guesses[number]:
                break
        return tokens, len(tokens) - 1

    def _one(self, logits: Tensor) -> tuple[int, Tensor]:
        """The next token, and the logarithm of its probability where it was computed."""
        allowed = self._words.beginnings(self.required) if self._words is not None and self.required else ()
        if self._prior is not None:
            logits = self._prior.mix(logits, allowed, self.required if allowed else "")
        token = self._sampler.pick(logits, allowed)
        score = _log_probability(logits, token, allowed)
        self.required = self._words.rest(token, self.required) if self._words is not None and allowed else ""
        return token, score


def _likeliest(rows: Tensor) -> tuple[list[int], list[float]]:
    """The likeliest token of each row and the logarithm of its probability."""
    tokens = rows.argmax(dim=1, keepdim=True)
    # one kernel for the whole vocabulary; logsumexp is ten, and takes three times as long on a processor too
    scores = rows.log_softmax(dim=1).gather(1, tokens)
    if rows.device.type == "cpu":
        return tokens[:, 0].tolist(), scores[:, 0].tolist()
    return fetched_together(tokens, scores)


def fetched_together(tokens: Tensor, scores: Tensor) -> tuple[list[int], list[float]]:
    """Two columns of a device as lists, by one transfer."""
    import torch

    # a float32 holds whole numbers up to 16 million, more than any vocabulary has
    numbers, logarithms = torch.cat((tokens.to(scores.dtype), scores), dim=1).T.tolist()
    return [int(number) for number in numbers], logarithms


def _log_probability(logits: Tensor, token: int, allowed: Sequence[int]) -> Tensor:
    """That of one token, among those that may come; left on the device."""
    if not allowed:
        # a view would hold on to the whole vocabulary's
        return logits.log_softmax(-1)[token].clone()
    import torch

    return logits[token] - logits[torch.tensor(allowed, device=logits.device)].logsumexp(-1)
