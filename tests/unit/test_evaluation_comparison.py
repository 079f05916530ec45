"""Two runs side by side: a planted difference is found, equal runs show none."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aix_lsp.evaluation.benchmark import Metric, Output, Result, Sample
from aix_lsp.evaluation.comparison import Change, ChangeRow, compare

EXACT = Metric("exact", "Exact match")
BLEU = Metric("bleu4", "BLEU-4", "points")
LATENCY = Metric("wait", "Wait", "milliseconds", "lower")
LENGTH = Metric("length", "Length", "characters", "")


@dataclass(frozen=True)
class Run:
    results: Sequence[Result]
    config: Mapping[str, Any] = field(default_factory=dict)


def result(name: str, exact: float | None, *, wanted: str = "w", text: str = "t", **scores: float) -> Result:
    language, scenario = ("java", "if") if name.endswith(("0", "1", "2")) else ("python", "for")
    sample = Sample(name, language, scenario, "a", "", "", wanted)
    return Result(sample, Output((text,), "stop", milliseconds=scores.get("wait", 1.0)), {"exact": exact, **scores})


def random_run(seed: int, *, chance: float, count: int = 300) -> list[Result]:
    dice = random.Random(seed)
    return [result(str(place), float(dice.random() < chance)) for place in range(count)]


def change_of(row: ChangeRow, metric: Metric) -> Change:
    return next(change for change in row.changes if change.metric == metric.name)


def test_identical_runs_show_no_difference() -> None:
    results = random_run(1, chance=0.4)
    found = compare(Run(results), Run(results), [EXACT])
    change = change_of(found.overall, EXACT)
    assert (change.difference.mean, change.difference.low, change.difference.high) == (0.0, 0.0, 0.0)
    rows = [found.overall, *found.by_language, *found.by_scenario]
    assert {change.verdict for row in rows for change in row.changes} == {"no difference seen"}
    assert found.flips == ()
    assert found.settings == {}


def test_a_planted_difference_is_found_in_both_directions() -> None:
    first = random_run(1, chance=0.4)
    # every tenth wrong answer becomes right, none gets worse
    wrong = [place for place, one in enumerate(first) if one.scores["exact"] == 0.0]
    second = [result(one.sample.id, 1.0) if place in wrong[::10] else one for place, one in enumerate(first)]
    found = change_of(compare(Run(first), Run(second), [EXACT]).overall, EXACT)
    assert found.verdict == "better"
    assert 0 < found.difference.low <= found.difference.mean <= found.difference.high
    assert found.difference.mean == len(wrong[::10]) / len(first)
    assert change_of(compare(Run(second), Run(first), [EXACT]).overall, EXACT).verdict == "worse"


def test_pairing_finds_what_two_independent_intervals_would_not() -> None:
    # a point more everywhere, on samples that differ by far more among themselves
    dice = random.Random(2)
    scores = [dice.uniform(0, 100) for _ in range(200)]
    first = [result(str(place), 0.0, bleu4=score) for place, score in enumerate(scores)]
    second = [result(str(place), 0.0, bleu4=score + dice.uniform(0, 2)) for place, score in enumerate(scores)]
    assert change_of(compare(Run(first), Run(second), [BLEU]).overall, BLEU).verdict == "better"


def test_equal_chances_are_seldom_told_apart() -> None:
    runs = [random_run(seed, chance=0.5, count=200) for seed in range(40)]
    verdicts = [
        change_of(compare(Run(one), Run(other), [EXACT]).overall, EXACT).verdict
        for one, other in zip(runs[::2], runs[1::2], strict=True)
    ]
    assert verdicts.count("no difference seen") >= 16  # of 20; one in twenty is expected to be seen


def test_less_is_better_where_the_metric_says_so_and_neither_where_it_says_nothing() -> None:
    first = [result(str(place), 1.0, wait=20.0 + place % 3, length=5.0) for place in range(50)]
    second = [result(str(place), 1.0, wait=10.0 + place % 3, length=6.0) for place in range(50)]
    found = compare(Run(first), Run(second), [LATENCY, LENGTH])
    assert change_of(found.overall, LATENCY).verdict == "better"
    assert change_of(found.overall, LENGTH).verdict == "higher"
    assert change_of(compare(Run(second), Run(first), [LATENCY]).overall, LATENCY).verdict == "worse"
    assert found.latency[0] is not None
    assert found.latency[1] is not None
    assert (found.latency[0].p50, found.latency[1].p50) == (21.0, 11.0)


def test_only_common_samples_are_compared_and_the_others_told() -> None:
    first = [result("a", 1.0), result("b", 0.0), result("c", 1.0, wanted="old"), result("d", None)]
    second = [result("b", 0.0), result("c", 0.0, wanted="new"), result("d", 1.0), result("e", 1.0)]
    found = compare(Run(first), Run(second), [EXACT])
    assert (found.only_first, found.only_second, found.altered) == (("a",), ("e",), ("c",))
    assert found.overall.samples == 2
    # d has no score in the first run
    assert change_of(found.overall, EXACT).difference.count == 1
    assert found.flips == ()


def test_flipped_samples_are_listed_with_both_texts() -> None:
    first = [result("a", 1.0, text="right"), result("b", 0.0, text="wrong"), result("c", 1.0), result("d", 0.5)]
    second = [result("a", 0.0, text="wrong"), result("b", 1.0, text="right"), result("c", 1.0), result("d", 1.0)]
    flips = compare(Run(first), Run(second), [EXACT, BLEU]).flips
    assert [(flip.id, flip.first, flip.second, flip.gained) for flip in flips] == [
        ("a", "right", "wrong", False),
        ("b", "wrong", "right", True),
    ]


def test_rows_tell_languages_and_scenarios_apart() -> None:
    first = [result(str(place), 0.0) for place in range(40)]
    second = [result(str(place), float(str(place).endswith(("0", "1", "2")))) for place in range(40)]
    found = compare(Run(first), Run(second), [EXACT])
    assert [(row.language, row.samples, row.changes[0].verdict) for row in found.by_language] == [
        ("java", 12, "better"),
        ("python", 28, "no difference seen"),
    ]
    assert [row.scenario for row in found.by_scenario] == ["if", "for"]


def test_what_differs_in_the_settings_is_told() -> None:
    one = Run([], {"model": "mini", "seed": 0, "limit": 5})
    other = Run([], {"model": "7b", "seed": 0, "threads": 2})
    found = compare(one, other, [EXACT])
    assert found.settings == {"model": ("mini", "7b"), "limit": (5, None), "threads": (None, 2)}
    assert found.overall.changes == ()


def test_a_comparison_is_json() -> None:
    first, second = random_run(1, chance=0.4, count=20), random_run(2, chance=0.4, count=20)
    data = json.loads(json.dumps(compare(Run(first), Run(second), [EXACT]).to_dict(), allow_nan=False))
    assert set(data["overall"]["changes"][0]) == {"metric", "first", "second", "difference", "verdict"}
