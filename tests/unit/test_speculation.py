"""Guesses are what followed before, and there are as many as pay."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.copying import CopyPrior, CopyWeights
from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.plugs import Prior
from aix_lsp.engine.speculation import Acceptance, NgramProposer, PassTimes
from tests.unit.tiny_models import tiny_model

MARKERS = frozenset((1, 2, 4, 5, 6))
TOKENS = st.lists(st.integers(10, 13), max_size=16)


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def proposer(clock: Clock | None = None, *, always: bool = True) -> NgramProposer:
    return NgramProposer(MARKERS, always=always, clock=clock or Clock())


def followers_by_search(segments: Sequence[Sequence[int]], tail: Sequence[int]) -> list[list[int]]:
    """What follows the longest match of the end of `tail` in segments and in `tail`, at every place where it stands."""
    for size in range(min(len(tail), 12), 0, -1):
        found = [
            list(segment[start + size :])
            for segment in (*segments, tail)
            for start in range(len(segment) - size)
            if list(segment[start : start + size]) == list(tail[-size:])
        ]
        if found:
            return found
    return []


@given(TOKENS, TOKENS.filter(bool), TOKENS, st.integers(1, 6), st.booleans())
def test_guesses_are_what_followed_the_longest_match(
    prefix: list[int], suffix: list[int], answer: list[int], limit: int, spm: bool
) -> None:
    guesser = proposer()
    guesser.begin([1, 4, 5, *suffix, 6, *prefix] if spm else [1, 4, *prefix, 5, *suffix, 6])
    tail = list(prefix)
    for token in (None, *answer):
        if token is not None:
            guesser.accept([token], 0, 0)
            tail.append(token)
        guesses = guesser.propose(limit)
        expected = [rest[:limit] for rest in followers_by_search([suffix], tail)]
        assert guesses in expected if expected else not guesses


def test_an_answer_is_looked_up_in_when_the_user_has_typed_into_it() -> None:
    guesser = proposer()
    guesser.begin([1, 20, 21])
    for token in (30, 31, 32, 33):
        guesser.accept([token], 0, 0)
    guesser.begin([1, 20, 21, 30])
    assert guesser.propose(8) == [31, 32, 33]
    guesser.begin([1, 20, 21, 30])  # nothing was generated in between: what is known stays
    assert guesser.propose(2) == [31, 32]


def test_only_the_latest_answers_are_remembered() -> None:
    guesser = proposer()
    for first in range(100, 120):
        guesser.begin([1, first])
        guesser.accept([first + 100, first + 200], 0, 0)
    guesser.begin([1, 100])
    assert guesser.propose(4) == []
    guesser.begin([1, 119])
    assert guesser.propose(4) == [219, 319]


def test_no_guess_without_a_match_or_a_text() -> None:
    guesser = proposer()
    for prompt in ([], [1], [1, 20, 21]):
        guesser.begin(prompt)
        assert guesser.propose(4) == []


def run(guesser: NgramProposer, clock: Clock, *, right: bool, slope: float, passes: int) -> list[int]:
    """Numbers of guesses in passes of a text that repeats itself, all right or all wrong, at a price for each."""
    counts = []
    for number in range(passes):
        guesser.begin([1, *range(20, 60), 10, *range(20, 28)])
        guesses = guesser.propose(8)
        clock.now += 0.01 * (1 + slope * len(guesses))
        tokens = list(range(28, 29 + len(guesses))) if right else [1000 + number]
        guesser.accept(tokens, len(guesses), len(guesses) if right else 0)
        counts.append(len(guesses))
    return counts


def test_right_guesses_at_a_low_price_become_as_many_as_may_be() -> None:
    clock = Clock()
    assert run(proposer(clock, always=False), clock, right=True, slope=0.02, passes=60)[-1] == 8


def test_wrong_guesses_come_to_an_end() -> None:
    clock = Clock()
    counts = run(proposer(clock, always=False), clock, right=False, slope=0.3, passes=80)
    assert counts[0] > 0
    assert counts[-1] == 0


def test_guesses_that_would_have_been_right_are_made_again() -> None:
    clock = Clock()
    guesser = proposer(clock, always=False)
    assert run(guesser, clock, right=False, slope=0.3, passes=80)[-1] == 0
    assert run(guesser, clock, right=True, slope=0.1, passes=400)[-1] > 0


def test_passes_as_dear_as_their_tokens_end_guessing() -> None:
    clock = Clock()
    guesser = proposer(clock, always=False)
    for _ in range(40):
        guesser.begin([1, 10, 11, 12])
        guesser.propose(8)
        clock.now += 0.01
        guesser.accept([13], 0, 0)
    assert run(guesser, clock, right=True, slope=1.2, passes=80)[-1] == 0


def test_acceptance_forgets() -> None:
    acceptance = Acceptance()
    assert acceptance.rate(1) < acceptance.rate(5) < acceptance.rate(12)
    for _ in range(1000):
        acceptance.observe(5, right=False)
    assert acceptance.rate(5) < 0.05
    for _ in range(400):
        acceptance.observe(5, right=True)
    assert acceptance.rate(5) > 0.7
    assert acceptance.rate(12) == pytest.approx(0.85)


def test_passes_disturbed_by_another_program_do_not_count() -> None:
    times = PassTimes(0.1)
    for _ in range(40):
        times.observe(0, 0.01)
        times.observe(0, 0.01)
        times.observe(0, 5.0)
        times.observe(4, 0.01 * (1 + 0.05 * 4))
        times.observe(4, 0.01 * (1 + 0.05 * 4))
        times.observe(4, 5.0)
    assert times.cost(4) == pytest.approx(1.2)


def test_dear_passes_are_tried_again_in_time() -> None:
    times = PassTimes(0.1)
    times.observe(4, 1.0)  # a pass over one was not measured yet: nothing to compare with
    assert times.cost(1) == pytest.approx(1.1)
    times.observe(0, 0.01)
    for _ in range(20):
        times.observe(2, 0.05)
    assert times.cost(2) == pytest.approx(5)
    assert times.cost(4) == pytest.approx(1.4)
    for _ in range(20):
        times.forget()
    assert times.cost(2) == pytest.approx(1.2)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("copies", [False, True])
def test_guessing_changes_no_token(copies: bool) -> None:
    """With and without a copy prior, which makes a random model repeat itself, so that many guesses are right."""
    model = tiny_model()

    def decoder(guesser: NgramProposer | None) -> Decoder:
        prior: Prior | None = CopyPrior(CopyWeights(-1, 2, 1, 0.5, 0, 0), MARKERS, str) if copies else None
        return Decoder(model, frozenset((2,)), proposer=guesser, prior=prior)

    plain, guessing, adaptive = decoder(None), decoder(proposer()), decoder(NgramProposer(MARKERS))
    draw = random.Random(3)
    words = [draw.choices(range(300, 320), k=6) for _ in range(6)]
    right = 0
    for number in range(6):
        prefix = [token for word in draw.choices(words, k=8) for token in word]
        suffix = [token for word in draw.choices(words, k=4) for token in word]
        ids = [1, 4, *prefix, 5, *suffix, 6] if number % 2 else [1, 4, 5, *suffix, 6, *prefix]
        wanted = list(islice(plain.generate(ids), 40))
        assert list(islice(guessing.generate(ids), 40)) == wanted
        right += guessing.guessed_tokens
        assert list(islice(adaptive.generate(ids), 40)) == wanted
    assert right > (20 if copies else 0)
