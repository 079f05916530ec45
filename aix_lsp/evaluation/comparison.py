"""Two runs over the same samples: is one better, by how much, and which answers changed between right and wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol

from .benchmark import Metric, Result
from .statistics import Interval, intervals_of
from .summary import Percentiles, percentiles

Verdict = Literal["better", "worse", "no difference seen", "too few to say", "higher", "lower"]
"""Of the second run beside the first; `higher` and `lower` for metrics of which neither is an improvement."""


FEWEST: Final = 6
"""Samples that a verdict takes. Five that all change the same way are one in sixteen by chance, six one in 32; and the
bootstrap sees nothing but those that were drawn, so that of one sample it makes an interval without width."""

Pair = tuple[Result, Result]


class Run(Protocol):
    """What is compared: `run_folder.RunData`."""

    @property
    def config(self) -> Mapping[str, Any]: ...

    @property
    def results(self) -> Sequence[Result]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One metric over the samples that have a score in both runs; `difference` is second minus first."""

    metric: str
    first: float
    second: float
    difference: Interval
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """The changes of one language and scenario ("" where the row is over all of them), over `samples` common ones.
    Metrics without a common score are missing."""

    language: str
    scenario: str
    samples: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample whose first metric went from 0 to 1 (`gained`) or back."""

    id: str
    language: str
    scenario: str
    wanted: str
    first: str
    second: str
    gained: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side."""

    metrics: tuple[Metric, ...]
    overall: ChangeRow
    by_language: tuple[ChangeRow, ...]
    by_scenario: tuple[ChangeRow, ...]
    flips: tuple[Flip, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    altered: tuple[str, ...]
    """Ids that both runs have, but with another text wanted: the data changed between them. Not compared."""
    latency: tuple[Percentiles | None, Percentiles | None]
    """Of the common samples that both runs answered."""
    settings: Mapping[str, tuple[Any, Any]]
    """What differs in the two configurations, by name."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def compare(first: Run, second: Run, metrics: Sequence[Metric], *, seed: int = 0) -> Comparison:
    """The second run beside the first, over the samples that both have.

    Differences are of means over the same samples, with the paired bootstrap's 95 % interval (`intervals_of`). The
    verdict is `better` or `worse` where 0 lies outside of it and there are at least `FEWEST` samples, `too few to say`
    where there are fewer. Each metric and
    row is judged by itself: of twenty comparisons of equal runs one is expected to show a difference. `metrics[0]`
    decides what flipped.
    """
    ours = {result.sample.id: result for result in first.results}
    theirs = {result.sample.id: result for result in second.results}
    common = [name for name in ours if name in theirs]
    altered = tuple(name for name in common if ours[name].sample.wanted != theirs[name].sample.wanted)
    pairs = [(ours[name], theirs[name]) for name in common if name not in set(altered)]
    answered = [pair for pair in pairs if not pair[0].output.error and not pair[1].output.error]
    return Comparison(
        metrics=tuple(metrics),
        overall=_row("", "", pairs, metrics, seed),
        by_language=_rows(pairs, metrics, seed, lambda result: (result.sample.language, "")),
        by_scenario=_rows(pairs, metrics, seed, lambda result: ("", result.sample.scenario)),
        flips=_flips(pairs, metrics[0].name) if metrics else (),
        only_first=tuple(name for name in ours if name not in theirs),
        only_second=tuple(name for name in theirs if name not in ours),
        altered=altered,
        latency=(
            percentiles([pair[0].output.milliseconds for pair in answered]),
            percentiles([pair[1].output.milliseconds for pair in answered]),
        ),
        settings=_differing(first.config, second.config),
    )


def _rows(
    pairs: Sequence[Pair], metrics: Sequence[Metric], seed: int, key: Callable[[Result], tuple[str, str]]
) -> tuple[ChangeRow, ...]:
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(key(pair[0]), []).append(pair)
    return tuple(_row(*name, group, metrics, seed) for name, group in groups.items())


def _row(language: str, scenario: str, pairs: Sequence[Pair], metrics: Sequence[Metric], seed: int) -> ChangeRow:
    scores = [[(one.scores.get(metric.name), two.scores.get(metric.name)) for one, two in pairs] for metric in metrics]
    columns = [[None if a is None or b is None else b - a for a, b in column] for column in scores]
    changes = []
    for metric, column, difference in zip(metrics, scores, intervals_of(columns, seed=seed), strict=True):
        if difference is not None:
            both = [(a, b) for a, b in column if a is not None and b is not None]
            one, two = sum(a for a, _ in both) / len(both), sum(b for _, b in both) / len(both)
            changes.append(Change(metric.name, one, two, difference, _verdict(metric, difference)))
    return ChangeRow(language, scenario, len(pairs), tuple(changes))


def _verdict(metric: Metric, difference: Interval) -> Verdict:
    if difference.low <= 0 <= difference.high:
        return "no difference seen"
    if difference.count < FEWEST:
        return "too few to say"
    higher = difference.low > 0
    if not metric.better:
        return "higher" if higher else "lower"
    return "better" if higher == (metric.better == "higher") else "worse"


def _flips(pairs: Sequence[Pair], metric: str) -> tuple[Flip, ...]:
    found = []
    for one, two in pairs:
        scores = one.scores.get(metric), two.scores.get(metric)
        if scores in ((0.0, 1.0), (1.0, 0.0)):
            sample = one.sample
            texts = one.output.text, two.output.text
            found.append(Flip(sample.id, sample.language, sample.scenario, sample.wanted, *texts, scores[1] == 1.0))
    return tuple(found)


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys((*first, *second))
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}
