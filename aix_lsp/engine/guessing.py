"""How many tokens are worth guessing ahead."""

from __future__ import annotations

_MEMORY = 0.9
_PAUSE = 12


class GuessLength:
    """Learns from every verified pass how often a guess is right, and says how many guesses to make next.

    `most` limits them; `cost` is the time of one more token in a pass, as a share of a pass over one. With a share `a`
    of right guesses a pass over k of them yields (1 + a + ... + a^k) tokens in a time of 1 + k x cost: the k with the
    best rate is taken. Where none pays, one guess is tried now and then, since texts change.
    """

    def __init__(self, most: int, cost: float) -> None:
        self._most = most
        self._cost = cost
        self._right = 3.0
        self._wrong = 1.0
        self._idle = 0

    def next(self) -> int:
        """Guesses to verify in the next pass; 0 for none."""
        share = self._right / (self._right + self._wrong)
        best, best_rate = 0, 1.0
        tokens = 1.0
        for count in range(1, self._most + 1):
            tokens += share**count
            rate = tokens / (1 + count * self._cost)
            if rate > best_rate:
                best, best_rate = count, rate
        if best or self._most < 1:
            return best
        self._idle += 1
        return 1 if self._idle % _PAUSE == 0 else 0

    def learn(self, proposed: int, right: int) -> None:
        """`right` of `proposed` guesses were: those before the first wrong one. Behind it nothing is known."""
        if proposed < 1:
            return
        self._right = self._right * _MEMORY + right
        self._wrong = self._wrong * _MEMORY + (1 if right < proposed else 0)
