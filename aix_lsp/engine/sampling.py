"""From logits to the next token: the likeliest, or drawn with a temperature and a top-p limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_COLDEST = 1e-30
"""Scores divided by less are no numbers in float32 any more; the likeliest token is certain long before."""


class Sampler:
    """Picks one token per call.

    `temperature` 0 is greedy and ignores the rest. `top_p` keeps the smallest set of likeliest tokens whose
    probabilities add up to at least that share (nucleus sampling, Holtzman et al. 2020). Drawing happens on
    the processor, so that a `seed` gives the same tokens on every device; None draws a fresh seed.
    """

    def __init__(self, temperature: float = 0.0, top_p: float = 1.0, seed: int | None = None) -> None:
        import torch

        if temperature < 0:
            raise ValueError(f"temperature must not be negative, got {temperature}")
        if not 0 < top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {top_p}")
        self._temperature = max(temperature, _COLDEST) if temperature else 0.0
        self._top_p = top_p
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self._temperature == 0

    def pick(self, logits: torch.Tensor, allowed: Sequence[int] = ()) -> int:
        """The next token; one of `allowed` where that is not empty. `logits` has the shape (vocabulary,)."""
        import torch

        if allowed:
            indices = torch.tensor(allowed, device=logits.device)
            return int(indices[self.pick(logits[indices])])
        if self._temperature == 0:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.float().cpu() / self._temperature, dim=-1)
        ordered, tokens = probabilities.sort(descending=True)
        if self._top_p < 1:
            # A token stays while those before it do not yet make up the share; the likeliest always stays, also where
            # float32 takes the share for 0.
            ordered[1:][(ordered.cumsum(dim=-1) - ordered)[1:] >= self._top_p] = 0
        drawn = torch.multinomial(ordered, 1, generator=self._generator)
        return int(tokens[drawn])
