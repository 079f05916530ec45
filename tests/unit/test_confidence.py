"""What the confidence gate keeps, cuts and keeps back, by made-up scores; numbers of a calibration as they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.confidence import KEPT_BACK, SHORTENED, Features, Gated, features_of, gate, probability
from aix_lsp.completion.place import Place, Surroundings
from aix_lsp.completion.service import CompletionService, NoRetrieval
from aix_lsp.completion.whole_parts import cuts, is_closed
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.calibration import calibration_of, read_calibration
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.scripted import PieceTokenizer, ScriptedEngine
from aix_lsp.settings import CompletionSettings, Settings
from aix_lsp.types import (
    Amount,
    Calibration,
    CompletionRequest,
    DocumentSnapshot,
    Generation,
    ModelInfo,
    Prompt,
    TokenScore,
    TriggerKind,
)

BY_SUM = Calibration(base=3.0, sum=1.0, least=0.0, tokens=0.0, whole=0.0, threshold=0.5)
"""Right by half when the logarithms come to -3."""

PROMPT = Prompt((1,), "", "psm")


def generation(text: str, unsure: Sequence[tuple[str, float]] = (), sure: float = -0.01) -> Generation:
    """Words, single blanks and signs as tokens, each sure but for those that are named, in order."""
    left = list(unsure)
    scores: list[TokenScore] = []
    tokenizer = PieceTokenizer()
    end = 0
    for token in tokenizer.encode(text):
        piece = tokenizer.decode([token])
        end += len(piece)
        score = sure
        if left and left[0][0] == piece:
            score = left.pop(0)[1]
        scores.append(TokenScore(end, score))
    assert not left
    return Generation(text, len(scores), "stop", PROMPT, "m", scores=tuple(scores))


def place(before: str = "x = ", amount: Amount = "line") -> Place:
    return Place(Surroundings(before, "", "", ""), "", amount, 24, prefix=before)


def gated(
    made: Generation,
    before: str = "x = ",
    amount: Amount = "line",
    calibration: Calibration | None = BY_SUM,
    trigger: TriggerKind = "automatic",
    **settings: Any,
) -> Gated:
    model = ModelInfo("m", 512, calibration=calibration)
    return gate(made, place(before, amount), model, CompletionSettings(**settings), trigger)


def test_a_sure_line_stays_as_it_is_with_its_probability() -> None:
    made = generation("load(path)\nmore")
    found = gated(made)
    assert (found.text, found.change, found.reason) == (made.text, "", "")
    assert found.confidence == pytest.approx(1 / (1 + math.exp(-3 + 0.05)))  # the line break is the fifth


@pytest.mark.parametrize(
    ("text", "unsure", "kept"),
    [
        ("self.name(value)", [("value", -9.0)], "self.name"),
        ("self.name(value)", [("name", -9.0)], "self"),
        ("load(path).first(1)", [("first", -9.0)], "load(path)"),
        ('"abc def" + other', [("other", -9.0)], '"abc def"'),
        ('"abc def"', [("def", -9.0)], ""),
        ("[one, two, three]", [("three", -9.0)], ""),
        ("value if other", [("other", -9.0)], "value"),
        ("obj.a.b", [("obj", -9.0)], ""),
        ("ab.cd", [("cd", -9.0)], ""),  # what is left is not worth showing
        ("first(a), second(b)", [("b", -9.0)], "first(a), second"),
    ],
)
def test_an_unsure_line_ends_where_it_is_sure_and_whole(text: str, unsure: list[tuple[str, float]], kept: str) -> None:
    found = gated(generation(text, unsure))
    assert found.text == kept
    assert found.change == (SHORTENED if kept else KEPT_BACK)
    assert found.confidence is not None
    assert (found.confidence >= 0.5) == bool(kept)


def test_what_is_kept_back_says_why_in_one_sentence() -> None:
    found = gated(generation("value", [("value", -4.5)]))
    assert (found.text, found.reason) == ("", "the model is unsure; 0.18 of the 0.50 that it takes")


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, False),
        ({"trigger": "invoked"}, True),
        ({"confidence": "off"}, True),
        ({"confidence": "off", "min_confidence": 0.9}, True),
        ({"min_confidence": 0.1}, True),
        ({"min_confidence": 0.9}, False),
        ({"calibration": None}, True),
        ({"calibration": None, "min_confidence": 0.9}, False),
        ({"calibration": None, "min_confidence": 0.1}, True),
        ({"calibration": None, "min_confidence": 0.9, "trigger": "invoked"}, True),
    ],
)
def test_settings_and_explicit_requests_decide_whether_there_is_a_gate(options: dict[str, Any], kept: bool) -> None:
    made = generation("ab", [("ab", -4.5 if options.get("calibration", BY_SUM) else -1.0)])
    found = gated(made, **options)
    assert (found.text == made.text) == kept
    has_measure = options.get("calibration", BY_SUM) is not None or "min_confidence" in options
    assert (found.confidence is not None) == has_measure


def test_without_a_calibration_the_geometric_mean_serves() -> None:
    made = generation("a b", [("a", -0.3), (" ", -0.6), ("b", -0.9)])
    assert gated(made, calibration=None, min_confidence=0.01).confidence == pytest.approx(math.exp(-0.6))


@pytest.mark.parametrize("made", [generation(""), generation("\n\n"), Generation("abc", 1, "stop", PROMPT, "m")])
def test_where_nothing_is_known_nothing_is_changed(made: Generation) -> None:
    assert gated(made) == Gated(made.text)


def test_the_rest_of_a_line_that_ends_at_once_is_not_judged_by_what_follows() -> None:
    made = generation("\nunsure()", [("unsure", -9.0)])
    assert gated(made) == Gated(made.text)
    # on a blank line the first line that has something is what is offered
    assert gated(made, before="    ").text == ""


@pytest.mark.parametrize(
    ("text", "unsure", "kept"),
    [
        ("one()\ntwo()\nthree()", "three", "one()\ntwo()"),
        ("one()\ntwo()\nthree()", "two", "one()"),
        ("one()\nif two:\n    three()", "three", "one()"),
        ("one(\n    two,\n    three)\nfour()", "four", "one(\n    two,\n    three)"),
        ("one()\ntwo(\n    three,\n    four)", "four", "one()"),
        ("one()\n\ntwo()", "two", "one()"),
        ("if one:\n    two()", "two", ""),
        ("one(first)\ntwo()", "one", ""),
        ("value.one\ntwo()", "one", "value"),
        ("x = 1  # don't\ny = 2\nz = 3", "z", "x = 1  # don't\ny = 2"),
    ],
)
def test_a_block_ends_before_its_first_unsure_line_with_nothing_open(text: str, unsure: str, kept: str) -> None:
    found = gated(generation(text, [(unsure, -9.0)]), before="    ", amount="block")
    assert found.text == kept
    assert found.change == (SHORTENED if kept else KEPT_BACK)
    assert bool(found.reason) == (not kept)


def test_a_sure_block_stays_whole() -> None:
    made = generation("one()\n\n    two(x)\n")
    assert gated(made, before="    ", amount="block").text == made.text


@given(
    st.text(alphabet="ab.()[]'\"\n :,#=", max_size=60),
    st.lists(st.floats(-12, 0), min_size=60, max_size=60),
    st.sampled_from(["", "    ", "x = ", "f('"]),
    st.sampled_from(["line", "block"]),
    st.floats(0, 1),
)
def test_what_is_left_is_a_beginning_of_what_was_there(
    text: str, numbers: list[float], before: str, amount: Amount, threshold: float
) -> None:
    tokenizer = PieceTokenizer()
    ends, end = [], 0
    for token in tokenizer.encode(text):
        end += len(tokenizer.decode([token]))
        ends.append(end)
    scores = tuple(TokenScore(end, number) for end, number in zip(ends, numbers, strict=False))
    made = Generation(text, len(scores), "stop", PROMPT, "m", scores=scores)
    found = gated(made, before=before, amount=amount, min_confidence=threshold)
    assert text.startswith(found.text)
    assert (found.change == "") == (found.text == text) or found.change == SHORTENED
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert bool(found.reason) == (found.change == KEPT_BACK)


@pytest.mark.parametrize(
    ("line", "before", "expected"),
    [
        ("name(x).y", "", ["name(x).y", "name(x)", "name"]),
        ("a, b", "f(", ["a, b", "a"]),
        ("a) + (b", "f(", ["a)", "a"]),
        ("one two' + x", "s = '", ["one two' + x", "one two'", "one two", "one"]),
        ("'one two' + x", "s = ", ["'one two' + x", "'one two'"]),
        (r"'a\'b' + x", "", [r"'a\'b' + x", r"'a\'b'"]),
        ("'''a b''' + x", "", ["'''a b''' + x", "'''a b'''"]),
        ("return not x", "", ["return not x"]),
        ("= 3", "x ", ["= 3"]),
    ],
)
def test_a_line_is_cut_behind_words_with_nothing_of_its_own_open(line: str, before: str, expected: list[str]) -> None:
    assert [line[:cut] for cut in cuts(line, before)] == expected


@pytest.mark.parametrize(
    ("text", "closed"),
    [("a()", True), ("a(", False), ("if a:", False), ("a,", False), ("a\n", False), ("'''a", False), ("a {", False)],
)
def test_a_block_may_end_where_nothing_is_open(text: str, closed: bool) -> None:
    assert is_closed(text, "") == closed


def test_of_a_very_long_line_the_end_alone_says_what_is_open() -> None:
    assert cuts("a b'", "x = 1; " * 50_000 + "y('") == cuts("a b'", "y('")


def test_features_count_the_tokens_that_lie_in_a_stretch_and_the_one_that_ends_a_line() -> None:
    scores = [TokenScore(2, -1.0), TokenScore(4, -2.0), TokenScore(5, -3.0), TokenScore(8, -4.0)]
    assert features_of(scores, 0, 4, whole=False) == Features(-3.0, -2.0, 2, whole=False)
    assert features_of(scores, 0, 4, whole=True) == Features(-6.0, -3.0, 3, whole=True)
    assert features_of(scores, 5, 8, whole=True) == Features(-4.0, -4.0, 1, whole=True)
    assert features_of(scores, 3, 4, whole=False) == Features(-2.0, -2.0, 1, whole=False)
    assert features_of(scores, 8, 9, whole=True) is None
    impossible = features_of([TokenScore(1, -math.inf)], 0, 1, whole=False)
    assert impossible is not None
    assert 0 <= probability(impossible, BY_SUM) < 1e-6


def test_more_of_what_is_unlikely_is_less_probable_with_the_embedded_models_numbers() -> None:
    folder = embedded().source
    assert isinstance(folder, Path)
    calibration = read_calibration(folder)
    assert calibration is not None
    assert 0 < calibration.threshold < 1
    chances = [
        probability(Features(total, least, tokens, whole=True), calibration)
        for total, least, tokens in ((-0.1, -0.1, 2), (-1.0, -0.5, 4), (-4.0, -2.0, 8), (-12.0, -4.0, 12))
    ]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.6 > 0.1 > chances[-1]


NUMBERS = {"base": 1, "sum": 0.5, "least": 0.5, "tokens": -0.5, "whole": 0, "threshold": 0.3}


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence": 3},
        {"confidence": {}},
        {"confidence": {**NUMBERS, "more": 1}},
        {"confidence": {**NUMBERS, "base": True}},
        {"confidence": {**NUMBERS, "base": "1"}},
        {"confidence": {**NUMBERS, "sum": math.nan}},
        {"confidence": {**NUMBERS, "threshold": 1.5}},
    ],
)
def test_numbers_that_cannot_be_meant_are_refused_in_one_line(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "aix.json").write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(ModelError, match=r"aix.json: confidence") as caught:
        read_calibration(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_numbers_has_no_calibration(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    (tmp_path / "aix.json").write_text("{}", encoding="utf-8")
    assert read_calibration(tmp_path) is None
    assert calibration_of(NUMBERS) == Calibration(1.0, 0.5, 0.5, -0.5, 0.0, 0.3)


@pytest.mark.parametrize(("trigger", "shown"), [("automatic", 0), ("invoked", 1)])
async def test_the_service_keeps_an_unsure_offer_back_and_says_why(trigger: TriggerKind, shown: int) -> None:
    info = ModelInfo("m", 4096, calibration=BY_SUM)
    engine = ScriptedEngine("value", info=info, scores=[-4.5])
    document = DocumentSnapshot("file:///a.py", "x = ", "python", 1, "a.py")
    try:
        result = await CompletionService(engine, NoRetrieval()).complete(
            CompletionRequest(document, 4, trigger), Settings.model_validate({"completion": {"prepare_next": False}})
        )
    finally:
        engine.close()
    assert len(result.items) == shown
    assert result.confidence == pytest.approx(1 / (1 + math.exp(1.5)))
    assert result.reason == ("" if shown else "the model is unsure; 0.18 of the 0.50 that it takes")
    assert (KEPT_BACK in result.changes) == (not shown)
