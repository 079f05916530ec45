"""Guesses the next tokens from the text itself, so that the model verifies several in one pass.

What followed the longest earlier occurrence of the last tokens is guessed to follow again: prompt lookup decoding
(Saxena 2023) and LLMA (Yang et al. 2023, Inference with reference), here over the prompt and the latest answers. A
wrong guess never changes the answer, it only costs time, so how many tokens are guessed follows from what guesses have
been worth so far and from what a longer pass costs (as in the analysis of Leviathan et al. 2023).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from statistics import median
from typing import Final

from aix_lsp.engine.token_index import TokenIndex, reading_order

_LONGEST: Final = 12
_REMEMBERED: Final = 8  # answers
_FORGET_EVERY: Final = 16  # requests
_LEAD: Final = 12  # tokens in front of a remembered answer, by which its place is known again


class Acceptance:
    """How often a guess is right, by the length of the match that it follows from.

    Beta-binomial means that begin at `_EXPECTED` with the weight of a few observations, and forget: what counted
    `_HALF_LIFE` observations ago weighs half.
    """

    _EXPECTED: Final = {1: 0.25, 2: 0.4, 3: 0.55, 4: 0.65, 6: 0.75, 8: 0.85}
    _WEIGHT: Final = 8.0
    _HALF_LIFE: Final = 200

    def __init__(self) -> None:
        self._steps = tuple(self._EXPECTED)
        self._right = {step: self._WEIGHT * share for step, share in self._EXPECTED.items()}
        self._seen = dict.fromkeys(self._EXPECTED, self._WEIGHT)

    def rate(self, length: int) -> float:
        """The estimated chance that what follows a match of `length` tokens follows again."""
        step = self._step(length)
        return self._right[step] / self._seen[step]

    def observe(self, length: int, *, right: bool) -> None:
        """A guess from a match of `length` tokens was right or wrong."""
        step = self._step(length)
        kept = 0.5 ** (1 / self._HALF_LIFE)
        self._right[step] = self._right[step] * kept + right
        self._seen[step] = self._seen[step] * kept + 1

    def _step(self, length: int) -> int:
        return max((step for step in self._steps if step <= length), default=self._steps[0])


class PassTimes:
    """What a pass over several tokens costs, in passes over one.

    It begins at 1 and a given share for each token more, and becomes the median of what was measured lately, since
    another program may have the processor in the middle of a pass. Passes over two tokens are told from those over
    more, because the step to several often costs more than each token after it.
    """

    _SINGLE: Final = 31
    _SEVERAL: Final = 11
    _GIVEN: Final = 3  # measurements that what was given counts as, at first
    _SIZES: Final = (1, 2, 4, 8)

    def __init__(self, cost: float) -> None:
        self._given = cost
        self._single: deque[float] = deque(maxlen=self._SINGLE)
        self._shares = {size: deque([cost] * self._GIVEN, maxlen=self._SEVERAL) for size in self._SIZES}
        self._costs = dict.fromkeys(self._SIZES, cost)

    def cost(self, guesses: int) -> float:
        """Time of a pass over one token and so many guesses, in passes over one token."""
        return 1 + self._costs[self._size(guesses)] * guesses

    def observe(self, guesses: int, seconds: float) -> None:
        """A pass over one token and `guesses` guesses took so long."""
        if not guesses:
            self._single.append(seconds)
            return
        single = median(self._single) if self._single else 0.0
        # a clock may be too coarse to see a pass
        if single > 0:
            self._learn(self._size(guesses), max(seconds / single - 1, 0.0) / guesses)

    def forget(self) -> None:
        """Trust what was measured a little less. Where passes over several were dear, they are tried again in time."""
        for size in self._SIZES:
            self._learn(size, self._given)

    def _learn(self, size: int, share: float) -> None:
        self._shares[size].append(share)
        self._costs[size] = median(self._shares[size])

    def _size(self, guesses: int) -> int:
        return max((size for size in self._SIZES if size <= guesses), default=1)


class NgramProposer:
    """A `Proposer` that looks tokens up in the prompt and in the latest answers, and guesses as many as pay.

    `markers` are the ids that cut a prompt into segments. `cost` is the time that one more token takes in a pass, as a
    share of a pass over one; it is measured from then on. With `always` it guesses as many as it is asked for. Belongs
    to the model thread.
    """

    def __init__(
        self,
        markers: Collection[int],
        *,
        cost: float = 0.15,
        always: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._markers = markers
        self._always = always
        self._clock = clock
        self._acceptance = Acceptance()
        self._times = PassTimes(cost)
        self._elsewhere: Sequence[Sequence[int]] = ()
        self._answers: deque[list[int]] = deque(maxlen=_REMEMBERED)
        self._lead: list[int] = []
        self._answer: list[int] = []
        self._index = TokenIndex()
        self._asked: float | None = None
        self._requests = 0

    def know(self, elsewhere: Sequence[Sequence[int]]) -> None:
        """Segments to look up in besides the next prompts, such as the rest of the document."""
        self._elsewhere = elsewhere

    def begin(self, prompt: Sequence[int]) -> None:
        """A request starts with these tokens; the answer before it joins what is looked up in."""
        if len(self._answer) > 1:
            self._answers.append([*self._lead, *self._answer])
        segments, text = reading_order(prompt, self._markers)
        self._lead, self._answer = text[-_LEAD:], []
        self._index = TokenIndex([*self._elsewhere, *segments, *self._answers], text, longest=_LONGEST)
        self._asked = None
        self._requests += 1
        if self._requests % _FORGET_EVERY == 0:
            self._times.forget()

    def propose(self, limit: int) -> list[int]:
        """At most `limit` tokens that followed the longest match, the latest of equally long ones; as many as pay."""
        place, length = self._index.longest()
        guesses = self._index.following(place, limit) if length else []
        guesses = guesses[: len(guesses) if self._always else self._paying(length, len(guesses))]
        self._asked = self._clock()
        return guesses

    def accept(self, tokens: Sequence[int], proposed: int, right: int) -> None:
        """`tokens` were generated next; `right` of `proposed` guesses were among them."""
        if self._asked is not None and tokens:
            self._times.observe(proposed, self._clock() - self._asked)
        self._asked = None
        place, length = self._index.longest()
        # what was not guessed is judged too: whether guessing would pay is learned for nothing
        expected = self._index.following(place, max(proposed, len(tokens))) if length else []
        for number, (guess, token) in enumerate(zip(expected, tokens, strict=False)):
            self._acceptance.observe(length + number, right=guess == token)
            if guess != token:
                break
        for token in tokens:
            self._index.push(token)
            self._answer.append(token)

    def _paying(self, length: int, available: int) -> int:
        """How many guesses give most tokens for the time, none when a single step gives as many.

        With guesses right with the chances p1, p2, ... a pass gives 1 + p1 + p1 p2 + ... tokens.
        """
        best, most = 0, 1.0
        tokens = chance = 1.0
        for count in range(1, available + 1):
            chance *= self._acceptance.rate(length + count - 1)
            tokens += chance
            worth = tokens / self._times.cost(count)
            if worth > most:
                best, most = count, worth
        return best
