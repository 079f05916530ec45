"""Mixes what the text around the cursor did before into what a small model expects next.

A copy distribution over the tokens that followed the longest earlier occurrence of the last tokens is mixed into the
model's own: p = (1 - w) p_model + w p_copy (the pointer mixture of Merity et al. 2016; the continuous cache of Grave et
al. 2016, with exact matches for a distance). The weight w is a logistic function of how long the match is, how far its
followers agree, and what the model thinks of the favourite, so that neither a chance match nor a sure model is
overruled. Its six numbers belong to a model: they are in its folder's aix.json, fitted by `benchmarks/copy_prior.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aix_lsp.engine.checkpoint import read_noted
from aix_lsp.engine.signatures import Signatures
from aix_lsp.engine.token_index import BORDER, TokenIndex, reading_order

if TYPE_CHECKING:
    import torch

LONGEST: Final = 16
"""Matches longer than this count as this long."""

_MANY: Final = 50
"""Occurrences of a token that are looked at one by one."""

_LEAST: Final = 1e-6  # of a probability, before its logarithm is taken


@dataclass(frozen=True, slots=True)
class CopyWeights:
    """The numbers of the logistic function that gives the copy distribution's share.

    `length` weighs the natural logarithm of the match's length in tokens, `agreement` the share of its places that the
    most frequent follower has, `model` the logarithm of the model's probability of that follower, `healing` whether an
    unfinished word is spelled out anew, `lone` whether the match has one place only. `base` is always added.
    """

    base: float
    length: float
    agreement: float
    model: float
    healing: float
    lone: float

    def share(self, match: Match, probability: float, *, healing: bool) -> float:
        """The weight of the copy distribution, from 0 to 1. `probability` is the model's, of the match's favourite."""
        score = (
            self.base
            + self.length * math.log(match.length)
            + self.agreement * match.agreement
            + self.model * math.log(max(probability, _LEAST))
            + self.healing * healing
            + self.lone * (match.places == 1)
        )
        # the same for scores of any size, where exp alone would overflow
        return (1 + math.tanh(score / 2)) / 2


@dataclass(frozen=True, slots=True)
class Match:
    """How long the longest match is, and how often each token followed it; the most frequent come first."""

    length: int
    followers: tuple[tuple[int, int], ...]

    @property
    def places(self) -> int:
        return sum(count for _, count in self.followers)

    @property
    def agreement(self) -> float:
        """Share of the places that have the most frequent follower."""
        return self.followers[0][1] / self.places


def read_copy_weights(folder: Path) -> CopyWeights | None:
    """What a model's `aix.json` has under `copy`; None where there is nothing. Raises ModelError."""
    return read_noted(folder, "copy", _checked)


def _checked(found: object) -> CopyWeights:
    """Raises ValueError with one line."""
    names = [field.name for field in fields(CopyWeights)]
    if not isinstance(found, dict) or set(found) != set(names):
        raise ValueError(f"copy wants the numbers {', '.join(names)}, and nothing else")
    for name, value in found.items():
        # true is a number to Python, and NaN is one to json
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1000:
            raise ValueError(f"copy.{name} is {value!r}, not a number from -1000 to 1000")
    return CopyWeights(**{name: float(found[name]) for name in names})


class CopyPrior:
    """A `Prior` that copies from the prompt and from `elsewhere`. Belongs to the model thread.

    `markers` are the ids that cut a prompt into segments; they are never copied. `text_of` gives the text of a token:
    what only a definition's signature has is not copied to places that are in none.
    """

    def __init__(self, weights: CopyWeights, markers: Collection[int], text_of: Callable[[int], str]) -> None:
        self._weights = weights
        self._markers = markers
        self._signatures = Signatures(text_of)
        self._not_in_calls: Collection[int] = ()
        self._elsewhere: Sequence[Sequence[int]] = ()
        self._index = TokenIndex()

    def know(self, elsewhere: Sequence[Sequence[int]]) -> None:
        """Segments to copy from besides the next prompts, such as the rest of the document."""
        self._elsewhere = elsewhere

    def begin(self, prompt: Sequence[int]) -> None:
        """A request starts with these tokens."""
        segments, text = reading_order(prompt, self._markers)
        self._index = TokenIndex([*self._elsewhere, *segments], text, longest=LONGEST)
        self._not_in_calls = self._signatures.not_in_calls(self._index)

    def push(self, token: int) -> None:
        """This token was generated."""
        self._index.push(token)
        self._signatures.text(token)

    def match(self, allowed: Collection[int] = (), required: str = "") -> Match | None:
        """The longest match that one of the `allowed` tokens follows, any token where that is empty.

        While an unfinished word or number is spelled anew (`required` is what is left of it) a follower counts only
        where the text goes on to spell all of it, and what it spells belongs to the match: the word that stands
        elsewhere is found whatever stands before it.
        """
        without = () if self._signatures.is_open(self._index) else self._not_in_calls
        if any(map(str.isalnum, required)):
            return self._spelling(allowed, required, without)
        length, followers = self._index.followers(allowed, without)
        return Match(length, tuple(followers.most_common())) if followers else None

    def _spelling(self, allowed: Collection[int], required: str, without: Collection[int]) -> Match | None:
        before = self._index.matches
        longest, followers = 0, Counter[int]()
        for token in allowed:
            for place, spelled in self._spelled(token, required):
                length = min(before.get(place - 1, 0) + spelled, LONGEST)
                if length < longest or place in without:
                    continue
                if length > longest:
                    longest, followers = length, Counter()
                followers[token] += 1
        return Match(longest, tuple(followers.most_common())) if followers else None

    def _spelled(self, token: int, required: str) -> Iterator[tuple[int, int]]:
        """Where what is required is spelled from this token on, and with how many tokens."""
        index = self._index
        rest = required[len(self._signatures.text(token)) :]
        places = index.positions(token)
        if not rest:
            yield from ((place, 1) for place in places)
            return
        ids, texts = index.ids, self._signatures.texts
        if len(places) > _MANY:
            # most occurrences of a short token go on with something else: one look at the next one leaves them out
            following = {each for each in index.known if rest.startswith(texts[each]) or texts[each].startswith(rest)}
            places = [place for place in places if place + 1 < len(ids) and ids[place + 1] in following]
        for place in places:
            spelled = self._spells(ids, place, required)
            if spelled:
                yield place, spelled

    def _spells(self, ids: Sequence[int], place: int, required: str) -> int:
        """How many tokens from a position on spell out what is required; 0 where they say something else."""
        spelled = ""
        for number, token in enumerate(ids[place : place + len(required)], 1):
            if token == BORDER:
                return 0
            spelled += self._signatures.text(token)
            if spelled.startswith(required):
                return number
            if not required.startswith(spelled):
                return 0
        return 0

    def mix(self, logits: torch.Tensor, allowed: Sequence[int] = (), required: str = "") -> torch.Tensor:
        """Logarithms of the mixed probabilities, shape (vocabulary,), from the model's logits of the same shape.

        Where only some tokens are allowed (token healing, of what is `required` still), both distributions are those
        over them; all others come back as minus infinity.
        """
        import torch

        match = self.match(allowed, required) if required else self.match(frozenset(allowed))
        if match is None:
            return logits
        if allowed:
            only = torch.full_like(logits, -math.inf)
            indices = torch.tensor(allowed, device=logits.device)
            only[indices] = logits[indices]
            logits = only
        expected = logits.log_softmax(-1)
        tokens = torch.tensor([token for token, _ in match.followers], device=logits.device)
        counts = torch.tensor([count for _, count in match.followers], dtype=expected.dtype, device=logits.device)
        favourites = [number for number, (_, count) in enumerate(match.followers) if count == match.followers[0][1]]
        probability = math.exp(float(expected[tokens[favourites]].max()))
        weight = self._weights.share(match, probability, healing=bool(allowed))
        mixed = expected + math.log1p(-weight) if weight < 1 else torch.full_like(expected, -math.inf)
        copied = (counts / match.places).log() + math.log(weight) if weight > 0 else torch.full_like(counts, -math.inf)
        mixed[tokens] = torch.logaddexp(mixed[tokens], copied)
        return mixed
