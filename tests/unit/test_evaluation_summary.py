"""Figures of a run: means, intervals, latency, lengths and ends, by language and scenario."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.evaluation.benchmark import Metric, Output, Result, Sample
from aix_lsp.evaluation.statistics import intervals_of
from aix_lsp.evaluation.summary import Row, percentiles, summarize

METRICS = [Metric("exact", "Exact match"), Metric("bleu4", "BLEU-4", "points"), Metric("pass", "Pass")]


def result(
    name: str,
    *,
    language: str = "python",
    scenario: str = "line",
    exact: float | None = 1.0,
    text: str = "abcd",
    milliseconds: float = 10.0,
    finish: str = "stop",
    error: str = "",
) -> Result:
    sample = Sample(name, language, scenario, "a.py", "", "", wanted="abcd")
    output = Output(() if error else (text,), finish, 3, 9, milliseconds, 5.0, error)
    return Result(sample, output, {"exact": exact, "bleu4": 50.0})


def rows(found: tuple[Row, ...]) -> list[tuple[str, str, int]]:
    return [(row.language, row.scenario, row.samples) for row in found]


def test_means_are_told_for_all_by_language_by_scenario_and_by_both() -> None:
    summary = summarize(
        [
            result("1", language="java", scenario="if", exact=1.0),
            result("2", language="java", scenario="for", exact=0.0),
            result("3", language="python", scenario="if", exact=0.0),
            result("4", language="java", scenario="if", exact=0.0),
        ],
        METRICS,
    )
    assert rows((summary.overall,)) == [("", "", 4)]
    assert rows(summary.by_language) == [("java", "", 3), ("python", "", 1)]
    assert rows(summary.by_scenario) == [("", "if", 3), ("", "for", 1)]
    assert rows(summary.by_both) == [("java", "if", 2), ("java", "for", 1), ("python", "if", 1)]
    exact = summary.by_both[0].metrics["exact"]
    assert exact is not None
    assert (exact.mean, exact.count) == (0.5, 2)
    assert summary.overall.metrics["pass"] is None


def test_a_metric_without_a_value_for_a_sample_leaves_it_out() -> None:
    summary = summarize([result("1", exact=None), result("2", exact=1.0), result("3", exact=0.0)], METRICS)
    exact = summary.overall.metrics["exact"]
    assert exact is not None
    assert (exact.mean, exact.count) == (0.5, 2)


def test_answers_that_never_came_are_counted_and_have_no_latency() -> None:
    summary = summarize(
        [
            result("1", milliseconds=20.0, finish="length"),
            result("2", milliseconds=40.0),
            result("3", milliseconds=30.0),
            result("4", milliseconds=9_999.0, error="the server went away", exact=0.0),
        ],
        METRICS,
    )
    assert summary.latency is not None
    assert (summary.latency.count, summary.latency.p50) == (3, 30.0)
    assert summary.latency.p90 == pytest.approx(38.0)
    assert summary.finish == {"stop": 2, "length": 1, "error": 1}
    assert summary.errors == {"the server went away": 1}
    assert (summary.overall.samples, summary.overall.errors) == (4, 1)


def test_lengths_are_told_as_means_and_as_a_histogram_of_ratios() -> None:
    texts = ["", "ab", "abcd", "abcd" * 10]
    summary = summarize([result(str(place), text=text) for place, text in enumerate(texts)], METRICS)
    assert (summary.overall.written, summary.overall.wanted) == (46 / 4, 4.0)
    # 0, 0.5, 1 and 10
    counts = dict(zip(summary.lengths.edges, summary.lengths.counts, strict=False))
    assert {edge for edge, count in counts.items() if count} == {0.0, 0.5, 0.9, 4.0}
    assert sum(counts.values()) == 4
    assert summary.lengths.none == 0


def test_a_summary_of_nothing_is_a_summary() -> None:
    summary = summarize([], METRICS)
    assert summary.overall.metrics == {"exact": None, "bleu4": None, "pass": None}
    assert summary.latency is None
    assert sum(summary.lengths.counts) == 0


def test_a_summary_is_json() -> None:
    data = json.loads(json.dumps(summarize([result("1"), result("2", exact=0.0)], METRICS).to_dict(), allow_nan=False))
    assert data["overall"]["metrics"]["exact"]["mean"] == 0.5
    assert data["lengths"]["edges"][-1] is None
    assert data["metrics"][0] == {"name": "exact", "title": "Exact match", "unit": "percent", "better": "higher"}


def test_the_same_seed_draws_the_same_interval_and_the_order_of_columns_does_not_matter() -> None:
    values = list(np.random.default_rng(1).normal(size=50))
    other = [value * 2 for value in values]
    assert intervals_of([values, other], seed=3) == intervals_of([values, other], seed=3)
    assert intervals_of([values, other], seed=3)[1] == intervals_of([other, values], seed=3)[0]
    assert intervals_of([values], seed=3) != intervals_of([values], seed=4)


def test_the_interval_is_about_as_wide_as_the_normal_one() -> None:
    values = list(np.random.default_rng(5).normal(10.0, 2.0, size=400))
    (interval,) = intervals_of([values])
    assert interval is not None
    error = np.std(values) / 20
    assert interval.low == pytest.approx(interval.mean - 1.96 * error, abs=0.3 * error)
    assert interval.high == pytest.approx(interval.mean + 1.96 * error, abs=0.3 * error)


def test_many_samples_are_drawn_in_parts() -> None:
    values = [float(value % 2) for value in range(30_000)]
    (interval,) = intervals_of([values], draws=200)
    assert interval is not None
    assert interval.mean == 0.5
    assert 0.49 < interval.low < 0.5 < interval.high < 0.51


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(-100, 100), max_size=20))
def test_an_interval_holds_its_mean_and_lies_within_the_values(column: list[float | None]) -> None:
    (interval,) = intervals_of([column], draws=50)
    known = [value for value in column if value is not None]
    if not known:
        assert interval is None
        return
    assert interval is not None
    assert interval.count == len(known)
    assert interval.mean == pytest.approx(np.mean(known), abs=1e-9)
    assert min(known) - 1e-9 <= interval.low <= interval.mean <= interval.high <= max(known) + 1e-9


def test_alike_values_have_an_interval_without_width() -> None:
    (interval,) = intervals_of([[0.1] * 30])
    assert interval is not None
    assert interval.low == interval.mean == interval.high == 0.1


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) is None
