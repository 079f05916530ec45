"""What a run's results come to: means with intervals by language and scenario, latency, lengths, how answers ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from .benchmark import Metric, Result
from .metrics.text import length_ratio
from .statistics import Interval, intervals_of

LENGTH_EDGES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.1, 1.5, 2.0, 4.0, float("inf"))
"""Ends of the length ratio's classes: [0, 0.1), [0.1, 0.25), ... The class around 1 holds answers as long as wanted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the result table. `language` and `scenario` are "" where the row is over all of them.

    `metrics` has the interval of every metric by name, None where it says nothing about any of the row's samples.
    `written` and `wanted` are mean lengths in characters, the "Pred/Ref" of aiXcoder's tables.
    """

    language: str
    scenario: str
    samples: int
    errors: int
    metrics: Mapping[str, Interval | None]
    written: float
    wanted: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `count` durations in milliseconds."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts[i]` values lie in [edges[i], edges[i + 1]); `none` have no ratio, as nothing was wanted."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    none: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures. Rows are in the order in which their languages and scenarios first came."""

    metrics: tuple[Metric, ...]
    overall: Row
    by_language: tuple[Row, ...]
    by_scenario: tuple[Row, ...]
    by_both: tuple[Row, ...]
    latency: Percentiles | None
    first_token: Percentiles | None
    lengths: Histogram
    finish: Mapping[str, int]
    """How answers ended -> how many, the most frequent first; "error" for those that never came."""
    errors: Mapping[str, int]
    """What went wrong, in the words of the results -> how often."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: numbers, lists and objects; the histogram's last end, which is infinite, is null."""
        data = asdict(self)
        data["lengths"]["edges"] = [edge if edge != float("inf") else None for edge in self.lengths.edges]
        return data


def summarize(results: Sequence[Result], metrics: Sequence[Metric], *, seed: int = 0) -> Summary:
    """The summary of a run's results, in any order; intervals are drawn with `seed` (`statistics.intervals_of`).

    A metric's mean is over the samples that have a score: a sample whose answer failed counts in `errors`, and in the
    means only if its benchmark scored it. Latencies are of answers that came.
    """
    answered = [result.output for result in results if not result.output.error]
    return Summary(
        metrics=tuple(metrics),
        overall=_row("", "", results, metrics, seed),
        by_language=_rows(results, metrics, seed, lambda result: (result.sample.language, "")),
        by_scenario=_rows(results, metrics, seed, lambda result: ("", result.sample.scenario)),
        by_both=_rows(results, metrics, seed, lambda result: (result.sample.language, result.sample.scenario)),
        latency=percentiles([output.milliseconds for output in answered]),
        first_token=percentiles([output.first_token_ms for output in answered if output.first_token_ms > 0]),
        lengths=length_histogram(results),
        finish=_counted("error" if result.output.error else result.output.finish for result in results),
        errors=_counted(result.output.error for result in results if result.output.error),
    )


def percentiles(milliseconds: Sequence[float]) -> Percentiles | None:
    """p50, p90, p95 and p99, interpolated; None of nothing."""
    if not milliseconds:
        return None
    p50, p90, p95, p99 = (float(value) for value in np.percentile(milliseconds, (50, 90, 95, 99)))
    return Percentiles(len(milliseconds), p50, p90, p95, p99)


def length_histogram(results: Sequence[Result]) -> Histogram:
    """How long answers are beside what was wanted, over results that have an answer."""
    ratios = [length_ratio(result.output.text, result.sample.wanted) for result in results if not result.output.error]
    known = [ratio for ratio in ratios if ratio is not None]
    places = np.searchsorted(LENGTH_EDGES, known, side="right") - 1
    counts = np.bincount(places, minlength=len(LENGTH_EDGES) - 1)
    return Histogram(LENGTH_EDGES, tuple(int(count) for count in counts), len(ratios) - len(known))


def _rows(
    results: Sequence[Result], metrics: Sequence[Metric], seed: int, key: Callable[[Result], tuple[str, str]]
) -> tuple[Row, ...]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return tuple(_row(*name, group, metrics, seed) for name, group in groups.items())


def _row(language: str, scenario: str, results: Sequence[Result], metrics: Sequence[Metric], seed: int) -> Row:
    intervals = intervals_of([[result.scores.get(metric.name) for result in results] for metric in metrics], seed=seed)
    answered = [result for result in results if not result.output.error]
    return Row(
        language,
        scenario,
        samples=len(results),
        errors=len(results) - len(answered),
        metrics={metric.name: interval for metric, interval in zip(metrics, intervals, strict=True)},
        written=_mean([len(result.output.text.strip()) for result in answered]),
        wanted=_mean([len(result.sample.wanted.strip()) for result in answered]),
    )


def _mean(lengths: Sequence[int]) -> float:
    return sum(lengths) / len(lengths) if lengths else 0.0


def _counted(names: Any) -> dict[str, int]:
    return dict(Counter(names).most_common())
