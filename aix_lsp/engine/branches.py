"""Several continuations of one prompt, which share its keys and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.sampling import Sampler

if TYPE_CHECKING:
    from torch import Tensor

Drawing = tuple[float, float, int | None]
"""Temperature, top-p, seed."""


class Branches:
    """The continuations beside the plain answer, as far as they have grown.

    `logits`, shape (vocabulary,), are those behind the prompt. Greedy branches begin with the likeliest tokens that
    the answer does not begin with, and go on greedily; drawn ones use a seed each.
    """

    def __init__(
        self,
        answer: list[int],
        logits: Tensor,
        count: int,
        words: Vocabulary | None,
        required: str,
        stop_ids: frozenset[int],
        drawing: Drawing,
    ) -> None:
        self._answer = answer
        self._words = words
        self._stop_ids = stop_ids
        temperature, top_p, seed = drawing
        if temperature == 0:
            starts = self._starts(logits, count - 1, required)
            self._samplers = [Sampler() for _ in starts]
        else:
            seeds = [None if seed is None else seed + number for number in range(1, count)]
            self._samplers = [Sampler(temperature, top_p, each) for each in seeds]
            allowed = self._allowed(required)
            starts = [sampler.pick(logits, allowed) for sampler in self._samplers]
        self._tokens: list[list[int]] = []
        self._latest = list(starts)
        self._done = [False] * len(starts)
        self._required = [required] * len(starts)
        for number, token in enumerate(starts):
            self._tokens.append([])
            self._add(number, token)

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def latest(self) -> list[int]:
        """The last token of each branch, those that have ended too."""
        return self._latest

    def tokens(self, number: int) -> list[int]:
        """What one branch has so far."""
        return self._tokens[number]

    def open(self, limit: int, stop: Callable[[int, Sequence[int]], bool] | None, number: int | None = None) -> bool:
        """Whether a branch (or the one of that number) goes on. `stop` counts the plain answer as 0."""
        chosen = range(len(self)) if number is None else (number,)
        for each in chosen:
            if not self._done[each]:
                tokens = self._tokens[each]
                self._done[each] = len(tokens) >= limit or (stop is not None and stop(each + 1, tokens))
        return not all(self._done[each] for each in chosen)

    def take(self, rows: Tensor, number: int | None = None) -> None:
        """Pick the next token of every branch from its row of logits, or of the one with that number."""
        for row, each in enumerate(range(len(self)) if number is None else (number,)):
            if not self._done[each]:
                self._add(each, self._samplers[each].pick(rows[row], self._allowed(self._required[each])))

    def distinct(self) -> list[list[int]]:
        """The answer and the branches that differ from it and from one another."""
        found = [self._answer]
        for tokens in self._tokens:
            if tokens and tokens not in found:
                found.append(tokens)
        return found

    def _add(self, number: int, token: int) -> None:
        if token in self._stop_ids:
            self._done[number] = True
            return
        if self._words is not None and self._allowed(self._required[number]):
            self._required[number] = self._words.rest(token, self._required[number])
        else:
            self._required[number] = ""
        self._tokens[number].append(token)
        self._latest[number] = token

    def _allowed(self, required: str) -> Sequence[int]:
        return self._words.beginnings(required) if self._words is not None and required else ()

    def _starts(self, logits: Tensor, count: int, required: str) -> list[int]:
        taken = {*self._stop_ids, *self._answer[:1]}
        allowed = self._allowed(required)
        ordered = logits.argsort(descending=True).tolist() if not allowed else None
        if ordered is None:
            values = logits.tolist()
            ordered = sorted(allowed, key=lambda token: values[token], reverse=True)
        return [token for token in ordered if token not in taken][:count]
