"""Drawing a token: greedy, temperature, top-p; transformers' own limit is the oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.sampling import Sampler


def test_a_tiny_share_or_temperature_takes_the_likeliest_token() -> None:
    logits = torch.tensor([1.0, 5.0, 2.0])
    assert {Sampler(1.0, 1e-6, seed).pick(logits) for seed in range(20)} == {1}
    assert {Sampler(1e-3, 1.0, seed).pick(logits) for seed in range(20)} == {1}
    # far below what float32 can hold
    assert Sampler(1.0, 1e-300, 0).pick(logits) == Sampler(1e-300, 1.0, 0).pick(logits) == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-8, 8), min_size=2, max_size=6, unique=True), st.floats(0.05, 1.0))
def test_drawn_tokens_are_those_that_transformers_keeps_under_top_p(values: list[int], top_p: float) -> None:
    from transformers.generation.logits_process import TopPLogitsWarper

    logits = torch.tensor(values) / 2
    kept = TopPLogitsWarper(top_p)(torch.empty(0), logits[None])[0].isfinite() if top_p < 1 else logits.isfinite()
    shares = torch.softmax(logits, -1).sort(descending=True).values.cumsum(-1)
    if bool(((shares - top_p).abs() < 1e-5).any()):
        return  # on the border rounding decides
    allowed = {index for index, keep in enumerate(kept.tolist()) if keep}
    drawn = {Sampler(1.0, top_p, seed).pick(logits) for seed in range(30)}
    assert drawn <= allowed
    if len(allowed) == 1:
        assert drawn == allowed


def test_draws_follow_the_models_probabilities() -> None:
    logits = torch.tensor([0.1, 0.2, 0.7]).log()
    sampler = Sampler(1.0, 1.0, seed=0)
    counts = [0, 0, 0]
    for _ in range(3000):
        counts[sampler.pick(logits)] += 1
    assert [round(count / 3000, 1) for count in counts] == [0.1, 0.2, 0.7]


@pytest.mark.parametrize(("temperature", "top_p"), [(-1.0, 0.5), (1.0, 0.0), (1.0, 1.5)])
def test_impossible_sampling_is_refused(temperature: float, top_p: float) -> None:
    with pytest.raises(ValueError, match="must"):
        Sampler(temperature, top_p)
