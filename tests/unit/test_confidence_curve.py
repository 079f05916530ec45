"""Places of `eval workspace --confidence`, the curve of the gate, the fit of a calibration, and the command itself."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aix_lsp.cli.app import app
from aix_lsp.completion.confidence import features_of, probability
from aix_lsp.completion.place import place_at
from aix_lsp.engine.scripted import PieceTokenizer
from aix_lsp.evaluation.confidence_curve import (
    Judged,
    calibration_error,
    cross_validated,
    curve,
    first_word,
    fit,
    is_beginning,
    judged,
)
from aix_lsp.evaluation.confidence_places import PlaceAnswer, TypedPlace, draw
from aix_lsp.evaluation.confidence_report import data_of, tables_of
from aix_lsp.types import DocumentSnapshot, Generation, ModelInfo, Prompt, TokenScore

SOURCE = '''"""A module."""

import os


def total(values, start=0):
    # a comment is nobody's to complete
    result = start
    for value in values:
        result += value
    return result


class Shelf:
    def __init__(self, name, books):
        self.name = name
        self.books = books

    def count(self):
        return len(self.books)
'''
TEXTS = {"shop/one.py": SOURCE * 5, "shop/two.py": SOURCE * 6, "test_shop.py": SOURCE * 6, "tiny.py": SOURCE[:80]}


def test_places_are_typed_lines_of_real_files_and_the_same_for_a_seed() -> None:
    places = draw(TEXTS, "shop", count=60, seed=3)
    assert len({(place.path, len(place.before)) for place in places}) == 60
    assert places == draw(TEXTS, "shop", count=60, seed=3)
    assert places != draw(TEXTS, "shop", count=60, seed=4)
    for place in places:
        assert place.path in ("shop/one.py", "shop/two.py")
        assert place.before + place.wanted + place.after == TEXTS[place.path]
        assert place.after.startswith("\n")
        assert place.wanted == place.wanted.rstrip() != ""
        assert "#" not in place.before.split("\n")[-1]


def test_languages_share_the_places() -> None:
    script = "function total(values) {\n  return values.length;\n}\n" * 60
    places = draw({**TEXTS, "shop/page.js": script}, "shop", count=21)
    languages = [place.language for place in places]
    assert sorted(languages.count(language) for language in set(languages)) == [10, 11]


def test_blanks_at_a_lines_end_belong_to_nobody() -> None:
    text = "value = other   \n" * 120
    for place in draw({"a.py": text}, "a", count=20):
        assert place.wanted.endswith("other"[-len(place.wanted) :])
        assert place.after.startswith("\n")


def answer(wanted: str, offer: str, scores: list[float], *, group: str = "one", path: str = "a.py") -> PlaceAnswer:
    """What the model offered for a line `x = `, token by token."""
    place = TypedPlace(group, path, "python", "x = ", "\n", wanted)
    tokenizer = PieceTokenizer()
    ends, end = [], 0
    for token in tokenizer.encode(offer):
        end += len(tokenizer.decode([token]))
        ends.append(end)
    told = tuple(TokenScore(end, score) for end, score in zip(ends, scores, strict=True))
    generation = Generation(offer, len(told), "stop", Prompt((1,), "", "psm"), "m", scores=told)
    document = DocumentSnapshot("file:///a.py", "x = \n", "python", 0, path)
    return PlaceAnswer(place, offer, "", generation, place_at(document, 4, "line", 24), 10.0)


def many(count: int = 300, groups: tuple[str, ...] = ("one", "two", "three")) -> list[PlaceAnswer]:
    """Answers that are right exactly as often as their first token's probability says."""
    random_ = random.Random(5)
    found = []
    for number in range(count):
        chance = random_.uniform(0.05, 0.95)
        wanted = "first.second" if random_.random() < chance else "other"
        scores = [math.log(chance), -0.001, -0.001]
        found.append(
            answer(wanted, "first.second", scores, group=groups[number % len(groups)], path=f"{number % 7}.py")
        )
    return found


def test_a_fitted_calibration_tells_how_often_answers_are_right() -> None:
    cases = judged(many())
    calibration = fit(cases, 0.4)
    assert calibration.threshold == 0.4
    for chance in (0.2, 0.5, 0.8):
        scores = [TokenScore(5, math.log(chance)), TokenScore(6, -0.001), TokenScore(12, -0.001)]
        features = features_of(scores, 0, 12, whole=True)
        assert features is not None
        assert probability(features, calibration) == pytest.approx(chance, abs=0.12)
    assert (
        calibration_error([probability(case.features, calibration) for case in cases], [c.exact for c in cases]) < 0.1
    )


@pytest.mark.parametrize("groups", [("one", "two", "three"), ("one",)])
def test_no_answer_is_judged_by_a_fit_that_saw_its_folder_or_file(groups: tuple[str, ...]) -> None:
    cases = judged(many(90, groups))
    found = cross_validated(cases)
    folds: dict[Any, set[Any]] = {}
    for case, calibration in zip(cases, found, strict=True):
        place = case.answer.place
        folds.setdefault(place.group if len(groups) > 1 else place.path, set()).add(calibration)
    assert all(len(calibrations) == 1 for calibrations in folds.values())
    assert len(set(found)) > 1


def test_the_curve_gives_up_offers_for_right_ones() -> None:
    cases = judged(many())
    found = curve("fitted", cases, cross_validated(cases))
    first, *others = found.points
    assert (first.offered, first.shortened) == (1.0, 0.0)
    assert first.exact == pytest.approx(sum(case.exact for case in cases) / len(cases))
    offered = [point.offered for point in found.points]
    assert offered == sorted(offered, reverse=True)
    (chosen,) = [point for point in found.points if point.threshold == found.recommended()]
    assert chosen.offered >= 2 / 3
    assert chosen.right > first.right
    assert all(later.offered < 2 / 3 for later in others if later.threshold > chosen.threshold)


def test_a_part_is_right_where_the_line_goes_on_so() -> None:
    cases = judged([answer("name.other(x)", "name.value", [-0.01, -0.01, -6.0])])
    calibration = fit(judged(many()))
    (point,) = [point for point in curve("", cases, [calibration]).points if point.threshold == pytest.approx(0.3)]
    assert (point.offered, point.shortened, point.exact, point.right, point.first_word) == (1, 1, 0, 1, 1)
    assert is_beginning("na.me", "na.me(x)")
    assert not is_beginning("na", "name")
    assert not is_beginning("other", "name")
    assert first_word("  name(x)") == "name"
    assert first_word("") == ""


def test_answers_without_an_offer_or_scores_are_not_judged() -> None:
    one = answer("a", "a", [-0.1])
    nothing = PlaceAnswer(one.place, "", "off", None, None, 1.0)
    unknown = PlaceAnswer(one.place, "a", "", Generation("a", 1, "stop", Prompt((1,), "", "psm"), "m"), one.fitting, 1)
    assert [case.answer for case in judged([nothing, unknown, one])] == [one]


def test_the_report_has_every_language_and_curve() -> None:
    answers = many(60)
    cases = judged(answers)
    data = data_of(ModelInfo("m", 1), answers, cases, [curve("mean", cases, [None] * len(cases))])
    assert json.loads(json.dumps(data)) == data
    assert data["offers"]["python"]["places"] == 60
    assert len(tables_of(data)) == 2
    empty: list[Judged] = []
    assert data_of(ModelInfo("m", 1), [], empty, [curve("mean", empty, [])])["confidence"]["recommended"] is None


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "shop"
    for path, text in TEXTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def test_the_command_asks_the_embedded_model_through_the_service(project: Path) -> None:
    found = CliRunner().invoke(
        app, ["eval", "workspace", str(project), "--confidence", "--limit", "4", "--threads", "1", "--json"]
    )
    assert found.exit_code == 0, found.output
    data = json.loads(found.stdout)
    assert data["places"] == 4
    (points,) = [each["points"] for each in data["confidence"]["curves"].values()]
    assert points[0]["offered"] == 1.0
    assert "4 of 4" in found.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "line"),
    [
        (None, ["nowhere"], "nowhere is no folder"),
        ("[1]", ["{project}", "--fit", "{file}"], "no JSON object; it stays as it is"),
        (None, ["{project}", "--limit", "3", "--fit", "{file}"], "too few to fit"),
        (None, ["{empty}"], "nothing to type"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    project: Path, tmp_path: Path, text: str | None, arguments: list[str], line: str
) -> None:
    file, empty = tmp_path / "fit.json", tmp_path / "empty"
    empty.mkdir()
    if text is not None:
        file.write_text(text, encoding="utf-8")
    names = {"project": project, "file": file, "empty": empty}
    given = [argument.format(**names) for argument in arguments]
    found = CliRunner().invoke(app, ["eval", "workspace", "--confidence", *given])
    assert found.exit_code
    assert line in f"{found.output}{found.exception}"
    assert (file.read_text(encoding="utf-8") if file.exists() else None) == text
