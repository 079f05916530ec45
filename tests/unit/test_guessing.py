"""Guessed tokens: whatever is guessed, the answer is that of plain greedy decoding."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.decode import Decoder
from tests.unit.test_decode import expected, generated, tokens
from tests.unit.tiny_models import tiny_model

COUNT = 20


class Oracle:
    """Guesses from a given answer; each guess is made wrong when the next of `errors` says so."""

    def __init__(self, answer: Sequence[int], errors: Sequence[bool] = (), length: int = 99) -> None:
        self._answer = answer
        self._errors = iter(errors)
        self._length = length
        self._place = 0
        self.accepted: list[tuple[list[int], int, int]] = []

    def begin(self, prompt: Sequence[int]) -> None:
        self._place = 0
        self.accepted.clear()

    def propose(self, limit: int) -> list[int]:
        ahead = self._answer[self._place : self._place + min(limit, self._length)]
        return [token + 1 if next(self._errors, False) else token for token in ahead]

    def accept(self, tokens: Sequence[int], proposed: int, right: int) -> None:
        self._place += len(tokens)
        self.accepted.append((list(tokens), proposed, right))


@cache
def case(kind: str) -> tuple[Any, list[int], list[int]]:
    model = tiny_model(kind)
    ids = tokens(30)
    return model, ids, expected(model, ids, COUNT + 20)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["llama", "starcoder2", "gpt2"]),
    errors=st.lists(st.booleans(), max_size=40),
    length=st.integers(1, 9),
)
def test_right_and_wrong_guesses_give_the_same_tokens_and_leave_the_cache_right(
    kind: str, errors: list[bool], length: int
) -> None:
    model, ids, answer = case(kind)
    oracle = Oracle(answer, errors, length)
    decoder = Decoder(model, chunk=16, proposer=oracle)
    assert generated(decoder, ids, COUNT) == answer[:COUNT]
    made = [token for accepted, _, _ in oracle.accepted for token in accepted]
    assert made == answer[: len(made)]
    assert all(len(accepted) == right + 1 for accepted, _, right in oracle.accepted)
    assert decoder.guessed_tokens == sum(right for _, _, right in oracle.accepted)
    assert list(decoder.held) == [*ids, *answer][: len(decoder.held)]
    decoder.proposer = None
    typed_on = [*ids, *answer[:3], 301]
    assert generated(decoder, typed_on, 6) == expected(model, typed_on, 6)
    assert decoder.guessed_tokens == 0


def test_right_guesses_save_passes_and_the_request_may_end_in_the_middle_of_them() -> None:
    model, ids, answer = case("llama")
    decoder = Decoder(model, proposer=Oracle(answer))
    passes = []
    runner: Any = decoder._runner
    inner = runner.run

    def counted(held: Any, run: Sequence[int], keep: int = 1) -> torch.Tensor:
        passes.append(len(run))
        made: torch.Tensor = inner(held, run, keep)
        return made

    runner.run = counted
    assert generated(decoder, ids, 9) == answer[:9]
    assert len(passes) <= 4
    assert decoder.guessed_tokens >= 6


def test_a_stop_token_among_the_guesses_ends_the_answer() -> None:
    model, ids, answer = case("llama")
    end = answer[6]
    decoder = Decoder(model, frozenset({end}), proposer=Oracle(answer))
    assert generated(decoder, ids) == answer[: answer.index(end)]


@cache
def in_double() -> tuple[Any, list[int]]:
    """A model whose logits are the same for one token and for several at once, but for what no draw can tell: rounding
    in single precision moves the edge of `top_p` once in some hundred runs."""
    return tiny_model("llama").double(), tokens(30)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), errors=st.lists(st.booleans(), max_size=30))
def test_drawn_tokens_are_the_same_with_and_without_guesses(seed: int, errors: list[bool]) -> None:
    model, ids = in_double()
    plain = generated(Decoder(model), ids, COUNT, temperature=1.0, top_p=0.9, seed=seed)
    decoder = Decoder(model, proposer=Oracle(plain, errors))
    assert generated(decoder, ids, COUNT, temperature=1.0, top_p=0.9, seed=seed) == plain


class Ban:
    """A prior under which a token cannot come twice."""

    def begin(self, prompt: Sequence[int]) -> None:
        self.seen: list[int] = []

    def mix(self, logits: torch.Tensor, allowed: Sequence[int] = (), required: str = "") -> torch.Tensor:
        return logits.index_fill(0, torch.tensor(self.seen, dtype=torch.long), -torch.inf)

    def push(self, token: int) -> None:
        self.seen.append(token)


@pytest.mark.parametrize("guess", [False, True])
def test_a_prior_changes_every_token_with_and_without_guesses(guess: bool) -> None:
    model, ids, answer = case("llama")
    plain = Decoder(model, prior=Ban())
    banned = generated(plain, ids, COUNT)
    assert len(set(banned)) == COUNT
    decoder = Decoder(model, prior=Ban(), proposer=Oracle(banned if guess else answer))
    assert generated(decoder, ids, COUNT) == banned
    decoder.prior = None
    assert generated(decoder, ids, COUNT) == answer[:COUNT]


def test_guesses_end_where_the_models_positions_end() -> None:
    model = tiny_model(max_position_embeddings=40)
    ids = random.Random(3).choices(range(300, 8000), k=30)
    answer = generated(Decoder(model), ids, 10)
    decoder = Decoder(model, proposer=Oracle([*answer, *answer, *answer]))
    assert list(islice(decoder.generate(ids), 10)) == answer
    assert len(decoder.held) <= 40
