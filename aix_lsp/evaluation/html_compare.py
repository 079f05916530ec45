"""Two runs as one HTML file: what differs between them, by how much, and the samples that became right or wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from aix_lsp.evaluation.benchmark import Metric
from aix_lsp.evaluation.comparison import FEWEST, Change, ChangeRow, Comparison, Flip
from aix_lsp.evaluation.html_figures import GROUPS, left_out, percentile_table, row_name
from aix_lsp.evaluation.html_marks import LEGEND, side_by_side
from aix_lsp.evaluation.html_page import (
    NONE,
    Html,
    counted,
    element,
    interval_of,
    note,
    page,
    plain,
    section,
    table,
    told,
    value_of,
    with_interval,
)
from aix_lsp.evaluation.html_plots import Bar, differences
from aix_lsp.evaluation.html_run import engine_of, model_of, names_of, prompt_of, uses_of, version_of
from aix_lsp.evaluation.html_samples import columns, folded, kept
from aix_lsp.evaluation.run_folder import RunData

INTERVALS: Final = (
    "Second minus first over the samples that both runs have, with the paired bootstrap's 95 % interval. A verdict is "
    f"given where 0 lies outside of it, of at least {FEWEST} samples. Each measure and row is judged by itself: of "
    "twenty comparisons of equal runs one is expected to show a difference. Differences of percentages are in "
    "percentage points (pp)."
)

_FLIPS: Final = 40
_SHOWN: Final = 300
_ELSEWHERE: Final = frozenset({"label", "started", "answered_by", "notes", "problems"})
_SIGNS: Final = {"better": "▲ better", "worse": "▼ worse", "higher": "↑ higher", "lower": "↓ lower"}


def report(first: RunData, second: RunData, comparison: Comparison) -> str:
    """The file's text; `second` is judged beside `first`."""
    names = names_of(first.config, second.config)
    benchmark = plain(second.config.get("benchmark", "evaluation"))
    title = f"{benchmark}: {names[1]} compared with {names[0]}"
    parts: list[object] = [
        element(
            "header",
            element("p", "aix-lsp eval compare", class_="kind"),
            element("h1", title),
            element("p", _in_words(comparison, names), class_="lead"),
        ),
        _runs(first, second, names),
        *_not_compared(comparison, names),
    ]
    if comparison.overall.samples:
        parts += [_overall(comparison, names), *_by(comparison), _latency(comparison, names)]
        parts += [*_flips(comparison, names)]
    parts.append(element("footer", f"Written by aix-lsp {version_of(second.config)}. This file needs no other."))
    return page(title, *parts)


def _in_words(comparison: Comparison, names: tuple[str, str]) -> str:
    """The verdict over all samples on the first measure."""
    samples = counted(comparison.overall.samples, "sample")
    if not comparison.overall.changes:
        return f"Over {samples} that both runs have, no measure has a score in both."
    change = comparison.overall.changes[0]
    metric = _metric(comparison, change)
    verdict = {
        "no difference seen": f"no difference is seen between {names[1]} and {names[0]}",
        "too few to say": f"too few to say whether {names[1]} differs from {names[0]}",
    }.get(change.verdict, f"{names[1]} is {change.verdict} than {names[0]}")
    difference = value_of(metric, change.difference.mean, sign=True)
    ends = interval_of(metric, change.difference, sign=True)
    told = "" if ends == NONE else f" (95 % interval {ends})"
    return f"{metric.title}, over {samples} that both runs have: {verdict}, {difference}{told}."


def _metric(comparison: Comparison, change: Change) -> Metric:
    return next(metric for metric in comparison.metrics if metric.name == change.metric)


def _runs(first: RunData, second: RunData, names: tuple[str, str]) -> Html:
    configs = first.config, second.config
    rows: list[tuple[str, str, str]] = [
        ("what answered", *_both(configs, uses_of)),
        ("model", *_both(configs, model_of)),
        ("engine", *_both(configs, engine_of)),
        ("prompt", *_both(configs, prompt_of)),
        ("protocol", *_both(configs, lambda config: plain(config.get("protocol", NONE)))),
        ("date", *_both(configs, lambda config: plain(config.get("started") or "not recorded"))),
        ("samples", f"{len(first.results):,}", f"{len(second.results):,}"),
        ("without an answer", _failed(first), _failed(second)),
        ("notes", *_both(configs, lambda config: "; ".join(map(plain, config.get("notes") or ())) or "none")),
        ("problems with the data", *_both(configs, lambda config: str(len(config.get("problems") or ())))),
    ]
    return section("The two runs", table("What was measured, and how", ("", *names), [*rows], words=(1, 2)))


def _failed(run: RunData) -> str:
    return f"{sum(bool(result.output.error) for result in run.results):,}"


def _both(configs: Sequence[Mapping[str, Any]], words_of: Callable[[Mapping[str, Any]], str]) -> tuple[str, str]:
    one, two = (words_of(config) for config in configs)
    return one, two


def _not_compared(comparison: Comparison, names: tuple[str, str]) -> Iterator[Html]:
    """Settings that differ, and samples that only one run has."""
    settings = {key: both for key, both in comparison.settings.items() if key not in _ELSEWHERE}
    if settings:
        rows = [(key, *(plain(value)[:_SHOWN] for value in both)) for key, both in settings.items()]
        yield section("Settings that differ", table("By name", ("", *names), rows, words=(1, 2)))
    else:
        yield section("Settings that differ", note("None: the two runs were asked for with the same settings."))
    lines = [
        f"{counted(len(ids), 'sample')} {words}: {', '.join(name[:120] for name in ids[:5])}" + ", …" * (len(ids) > 5)
        for ids, words in (
            (comparison.only_first, f"in {names[0]} only"),
            (comparison.only_second, f"in {names[1]} only"),
            (comparison.altered, "with another text wanted in each run: the data changed between them"),
        )
        if ids
    ]
    if lines:
        yield section("Not compared", told(lines))


def _overall(comparison: Comparison, names: tuple[str, str]) -> Html:
    row = comparison.overall
    cells = [_cells(comparison, change) for change in row.changes]
    heads = ("measure", *names, "difference", "95 % interval", "samples", "verdict")
    return section(
        "All samples that both runs have",
        table(f"Over {counted(row.samples, 'sample')}", heads, cells, words=(6,)),
        note(INTERVALS),
    )


def _cells(comparison: Comparison, change: Change) -> tuple[object, ...]:
    metric = _metric(comparison, change)
    return (
        metric.title,
        value_of(metric, change.first),
        value_of(metric, change.second),
        value_of(metric, change.difference.mean, sign=True),
        interval_of(metric, change.difference, sign=True),
        f"{change.difference.count:,}",
        _verdict(change),
    )


def _verdict(change: Change) -> Html:
    kind = f"chip {change.verdict}" if change.verdict in ("better", "worse") else "chip"
    return element("span", _SIGNS.get(change.verdict, change.verdict), class_=kind)


def _by(comparison: Comparison) -> Iterator[Html]:
    for title, rows in (("By language", comparison.by_language), ("By scenario", comparison.by_scenario)):
        shown_rows = rows[:GROUPS]
        every = (comparison.overall, *shown_rows) if len(rows) > 1 else rows
        figures = [
            differences(metric.title, "second minus first", drawn, percent=metric.unit == "percent")
            for metric in comparison.metrics[:6]
            for drawn in ([_bar(metric, row) for row in every],)
            if any(bar.value is not None for bar in drawn) and (len(rows) > 1 or rows is comparison.by_language)
        ]
        heads = ("", "measure", "difference", "95 % interval", "samples", "verdict")
        cells = [
            (row_name(row.language, row.scenario), shown[0], *shown[3:])
            for row in shown_rows
            for shown in (_cells(comparison, change) for change in row.changes)
        ]
        yield section(
            title,
            element("div", *figures, class_="plots") if figures else None,
            table(title, heads, cells, words=(1, 5)),
            left_out(rows),
        )


def _bar(metric: Metric, row: ChangeRow) -> Bar:
    label = row_name(row.language, row.scenario)
    change = next((change for change in row.changes if change.metric == metric.name), None)
    if change is None:
        return Bar(label, None, 0.0, 0.0, NONE)
    found = change.difference
    if not all(map(math.isfinite, (found.mean, found.low, found.high))):
        return Bar(label, None, 0.0, 0.0, NONE)
    shown = with_interval(metric, found, sign=True)
    return Bar(label, found.mean, found.low, found.high, shown)


def _latency(comparison: Comparison, names: tuple[str, str]) -> Html:
    rows = list(zip(names, comparison.latency, strict=True))
    durations = percentile_table("Of the samples that both runs answered", rows)
    return section("Latency", durations or note("No sample was answered in both runs."))


def _flips(comparison: Comparison, names: tuple[str, str]) -> Iterator[Html]:
    """Both ways, each in the order of the runs."""
    first = comparison.metrics[0].title if comparison.metrics else ""
    if not comparison.flips:
        yield section(
            "Samples that flipped", note(f"None: {first} is the same for every sample, or has no yes and no.")
        )
        return
    gained = [flip for flip in comparison.flips if flip.gained]
    lost = [flip for flip in comparison.flips if not flip.gained]
    for title, flips in ((f"Right in {names[1]} only", gained), (f"Right in {names[0]} only", lost)):
        if flips:
            yield section(
                f"{title}: {counted(len(flips), 'sample')}",
                element("p", f"{first} went from {'0 to 1' if flips is gained else '1 to 0'}. ", LEGEND, class_="note"),
                _shown(flips, names),
            )
        else:
            yield section(title, note("None."))


def _shown(flips: Sequence[Flip], names: tuple[str, str]) -> Html:
    return kept((_flip(flip, names, not number) for number, flip in enumerate(flips[:_FLIPS])), len(flips))


def _flip(flip: Flip, names: tuple[str, str], is_open: bool) -> Html:
    one = side_by_side(flip.wanted, flip.first)
    two = side_by_side(flip.wanted, flip.second)
    wanted = one[0] if flip.gained else two[0]
    pairs = (("wanted", wanted), (names[0], one[1]), (names[1], two[1]))
    return folded(flip.id, (flip.language[:60], flip.scenario[:60]), columns(pairs), is_open=is_open)
