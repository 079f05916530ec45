"""Plugs into a decoder what looks tokens up in the text: the copy prior and speculation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from aix_lsp.engine.copying import CopyPrior, read_copy_weights
from aix_lsp.engine.speculation import NgramProposer
from aix_lsp.engine.tokenizer import stop_ids
from aix_lsp.settings import ModelSettings
from aix_lsp.types import Tokenizer

if TYPE_CHECKING:
    from aix_lsp.engine.decode import Decoder

_REMEMBERED_TEXTS = 1 << 12
"""Tokens. A vocabulary may have 150,000; the prompts of an hour have some thousands."""


class Lookup:
    """What the settings and a model's folder say is looked up for a decoder. Belongs to the model thread."""

    def __init__(self, decoder: Decoder, folder: Path, tokenizer: Tokenizer, settings: ModelSettings) -> None:
        """Raises ModelError when the folder's `aix.json` has numbers for copying that cannot be meant."""
        markers = stop_ids(tokenizer)
        self._vocabulary = decoder.vocabulary
        weights = read_copy_weights(folder)
        self._weights = weights if settings.copy_prior == "auto" else None
        self._markers = markers
        self._text_of = lru_cache(maxsize=_REMEMBERED_TEXTS)(lambda token: tokenizer.decode([token]))
        self._prior = self.new_prior(())
        self._proposer = (
            NgramProposer(markers, cost=decoder.guess_cost, always=settings.speculation == "on")
            if settings.speculation != "off"
            else None
        )
        decoder.prior, decoder.proposer = self._prior, self._proposer

    @property
    def active(self) -> bool:
        """Whether anything is looked up, so that prompts should say what they had no room for."""
        return self._prior is not None or self._proposer is not None

    def know(self, elsewhere: Sequence[Sequence[int]]) -> None:
        """What the next prompt had no room for. Tokens that the model does not know are left out."""
        known = self._known(elsewhere)
        for plug in (self._prior, self._proposer):
            if plug is not None:
                plug.know(known)

    def new_prior(self, elsewhere: Sequence[Sequence[int]]) -> CopyPrior | None:
        """A prior of its own for one prompt, with what that had no room for; None where there is none to be used."""
        if self._weights is None:
            return None
        prior = CopyPrior(self._weights, self._markers, self._text_of)
        prior.know(self._known(elsewhere))
        return prior

    def _known(self, elsewhere: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        return [part for segment in elsewhere for part in _known(segment, self._vocabulary)]


def _known(segment: Sequence[int], vocabulary: int) -> list[Sequence[int]]:
    """The stretches of a segment between tokens that are none of the model's: to look one up would break the model."""
    if not segment or 0 <= min(segment) <= max(segment) < vocabulary:
        return [segment]
    parts: list[list[int]] = [[]]
    for token in segment:
        if 0 <= token < vocabulary:
            parts[-1].append(token)
        else:
            parts.append([])
    return [part for part in parts if part]
