"""The copy distribution and its mixing into the model's, against sums done by hand."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.copying import LONGEST, CopyPrior, CopyWeights, Match, read_copy_weights

MARKERS = frozenset((1, 2, 4, 5, 6))
WEIGHTS = CopyWeights(base=-1.0, length=0.9, agreement=1.0, model=0.2, healing=0.5, lone=0.0)
NAMES = ("base", "length", "agreement", "model", "healing", "lone")
TOKENS = st.lists(st.integers(10, 13), max_size=14)


def text_of(token: int) -> str:
    return "abcdefghij"[token % 10]


def prior(prompt: Sequence[int], elsewhere: Sequence[Sequence[int]] = (), weights: CopyWeights = WEIGHTS) -> CopyPrior:
    made = CopyPrior(weights, MARKERS, text_of)
    made.know(elsewhere)
    made.begin(prompt)
    return made


def by_search(segments: Sequence[Sequence[int]], tail: Sequence[int], allowed: Sequence[int]) -> Match | None:
    for size in range(min(len(tail), LONGEST), 0, -1):
        found = Counter(
            segment[start + size]
            for segment in (*segments, tail)
            for start in range(len(segment) - size)
            if list(segment[start : start + size]) == list(tail[-size:])
            and (not allowed or segment[start + size] in allowed)
        )
        if found:
            return Match(size, tuple(found.most_common()))
    return None


@given(TOKENS, TOKENS.filter(bool), TOKENS, TOKENS, st.lists(st.integers(10, 13), max_size=2), st.booleans())
def test_what_is_copied_followed_the_longest_match_with_an_allowed_follower(
    prefix: list[int], suffix: list[int], rest: list[int], answer: list[int], allowed: list[int], spm: bool
) -> None:
    made = prior([1, 4, 5, *suffix, 6, *prefix] if spm else [1, 4, *prefix, 5, *suffix, 6], [rest])
    for token in answer:
        made.push(token)
    found = made.match(allowed)
    wanted = by_search([rest, suffix], [*prefix, *answer], allowed)
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        assert (found.length, sorted(found.followers)) == (wanted.length, sorted(wanted.followers))
        assert found.agreement == wanted.agreement


@given(
    TOKENS.filter(bool),
    st.lists(st.floats(-8, 8), min_size=20, max_size=20),
    st.lists(st.integers(8, 19), max_size=6, unique=True),
)
def test_the_mixture_is_a_distribution_and_the_sum_of_its_parts(
    text: list[int], scores: list[float], allowed: list[int]
) -> None:
    made = prior([1, *text])
    logits = torch.tensor(scores, dtype=torch.float64)
    mixed = made.mix(logits.clone(), allowed)
    match = made.match(allowed)
    if match is None:
        assert torch.equal(mixed, logits)
        return
    model = torch.full_like(logits, -math.inf)
    model[allowed or slice(None)] = logits[allowed or slice(None)]
    model = model.softmax(-1)
    most = match.followers[0][1]
    favourite = max(float(model[token]) for token, count in match.followers if count == most)
    weight = WEIGHTS.share(match, favourite, healing=bool(allowed))
    expected = model * (1 - weight)
    for token, count in match.followers:
        expected[token] += weight * count / match.places
    assert torch.allclose(mixed.exp(), expected)
    assert float(mixed.exp().sum()) == pytest.approx(1)
    if allowed:
        assert int(mixed.argmax()) in allowed


def test_longer_and_more_agreeing_matches_weigh_more() -> None:
    short, long = (Match(length, ((10, 1),)) for length in (1, 8))
    split = Match(8, ((10, 1), (11, 1)))
    assert WEIGHTS.share(short, 0.1, healing=False) < WEIGHTS.share(long, 0.1, healing=False)
    assert WEIGHTS.share(split, 0.1, healing=False) < WEIGHTS.share(long, 0.1, healing=False)
    assert WEIGHTS.share(long, 0.1, healing=False) < WEIGHTS.share(long, 0.1, healing=True)
    assert WEIGHTS.share(long, 0.0, healing=False) < WEIGHTS.share(long, 0.1, healing=False)
    assert WEIGHTS.share(short, 1.0, healing=False) == pytest.approx(0.5)  # base and agreement cancel out


@pytest.mark.parametrize(("base", "likeliest"), [(1000.0, 11), (-1000.0, 15)])
def test_extreme_weights_copy_always_or_never(base: float, likeliest: int) -> None:
    made = prior([1, 10, 11, 12, 10], weights=CopyWeights(base, 0, 0, 0, 0, 0))
    logits = torch.zeros(20)
    logits[15] = 9
    mixed = made.mix(logits)
    assert int(mixed.argmax()) == likeliest
    assert float(mixed.exp().sum()) == pytest.approx(1)


def test_segments_from_elsewhere_stay_known_until_others_come() -> None:
    made = prior([1, 10], [[10, 17]])
    assert made.match() == Match(1, ((17, 1),))
    made.begin([1, 10])
    assert made.match() == Match(1, ((17, 1),))
    made.know(())
    made.begin([1, 10])
    assert made.match() is None


def folder_with(path: Path, notes: object) -> Path:
    (path / "aix.json").write_text(json.dumps(notes))
    return path


def test_a_folder_says_how_its_model_copies(tmp_path: Path) -> None:
    assert read_copy_weights(tmp_path) is None
    assert read_copy_weights(folder_with(tmp_path, {"format": "psm"})) is None
    numbers = {"base": -2, "length": 0.5, "agreement": 1.0, "model": 0.1, "healing": 1, "lone": -1}
    assert read_copy_weights(folder_with(tmp_path, {"copy": numbers})) == CopyWeights(-2.0, 0.5, 1.0, 0.1, 1.0, -1.0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "copy wants the numbers base, length, agreement, model, healing, lone, and nothing else"),
        ({"base": 1.0}, "copy wants the numbers"),
        (
            dict.fromkeys((*NAMES, "more"), 1),
            "copy wants the numbers",
        ),
        (
            dict.fromkeys(NAMES, True),
            "copy.base is True, not a number",
        ),
        (
            dict.fromkeys(NAMES, "1"),
            "copy.base is '1', not a number",
        ),
        (dict.fromkeys(NAMES, math.nan), "copy.base is nan"),
        (dict.fromkeys(NAMES, 1e9), "from -1000 to 1000"),
    ],
)
def test_bad_numbers_are_told_in_one_line(tmp_path: Path, value: object, words: str) -> None:
    with pytest.raises(ModelError, match=words) as told:
        read_copy_weights(folder_with(tmp_path, {"copy": value}))
    assert "\n" not in str(told.value)
