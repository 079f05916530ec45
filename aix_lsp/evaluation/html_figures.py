"""The figures of a run as cards of a page: each plot with the same as a table beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from aix_lsp.evaluation.benchmark import Metric, Result
from aix_lsp.evaluation.html_page import (
    NONE,
    Html,
    counted,
    element,
    interval_of,
    joined,
    milliseconds,
    note,
    section,
    table,
    value_of,
    with_interval,
)
from aix_lsp.evaluation.html_plots import Bar, Mark, bars, histogram, rounded_up
from aix_lsp.evaluation.html_run import LINES, ending_of
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.statistics import Interval
from aix_lsp.evaluation.summary import Percentiles, Row, Summary

INTERVALS: Final = (
    "Means with 95 % intervals (percentile bootstrap over samples): how far they could lie elsewhere, had other "
    "samples of the same kind been drawn. Samples that all score alike have none."
)

GROUPS: Final = 40
"""Languages or scenarios that are shown: data from elsewhere may have any number of them."""

_PLOTTED: Final = ("percent", "points")


def percentile_table(caption: str, rows: Sequence[tuple[str, Percentiles | None]]) -> Html:
    """p50, p90, p95 and p99 of several groups of durations."""
    cells = [
        (name, f"{found.count:,}", *map(milliseconds, (found.p50, found.p90, found.p95, found.p99)))
        for name, found in rows
        if found is not None
    ]
    return table(caption, ("", "answers", "p50", "p90", "p95", "p99"), cells) if cells else Html()


def row_name(language: str, scenario: str) -> str:
    """`python, single-line`, `all` over all of them."""
    return ", ".join(part for part in (language, scenario) if part) or "all"


def _ends(metric: Metric, interval: Interval) -> str:
    ends = interval_of(metric, interval)
    return "no interval: all alike" if ends == NONE else f"95 %: {ends}"


def headline(summary: Summary) -> Html:
    overall = summary.overall
    tiles = [
        element(
            "div",
            element("span", metric.title),
            element("b", value_of(metric, interval.mean)),
            element("small", _ends(metric, interval)),
            class_="tile",
        )
        for metric in summary.metrics[:4]
        if (interval := overall.metrics.get(metric.name)) is not None
    ]
    rows = [
        (metric.title, *_cells(metric, interval), f"{interval.count:,}" if interval else "0")
        for metric in summary.metrics
        for interval in (overall.metrics.get(metric.name),)
    ]
    return section(
        "All samples",
        element("div", *tiles, class_="tiles") if tiles else None,
        table(f"Over {counted(overall.samples, 'sample')}", ("measure", "mean", "95 % interval", "samples"), rows),
        note(INTERVALS),
    )


def _cells(metric: Metric, interval: Interval | None) -> tuple[str, str]:
    return (value_of(metric, interval.mean), interval_of(metric, interval)) if interval else (NONE, NONE)


def by_groups(summary: Summary) -> Iterator[Html]:
    """By language and by scenario, and by both where there are several of both."""
    for title, rows in (("By language", summary.by_language), ("By scenario", summary.by_scenario)):
        # one row is what the headline says, and drawn once at most
        drawn = len(rows) > 1 or (rows is summary.by_language and len(summary.by_scenario) == 1)
        shown = rows[:GROUPS]
        plots = _plots(summary, shown) if drawn else None
        yield section(title, plots, _row_table(title, summary, shown), left_out(rows))
    if len(summary.by_language) > 1 and len(summary.by_scenario) > 1:
        yield section(
            "By language and scenario",
            _row_table("By both", summary, summary.by_both[: 4 * GROUPS]),
            left_out(summary.by_both, 4 * GROUPS),
        )


def left_out(rows: Sequence[object], most: int = GROUPS) -> Html:
    """How many rows are not shown."""
    return note(f"and {len(rows) - most:,} more rows, which summary.json has" if len(rows) > most else "")


def _plots(summary: Summary, rows: Sequence[Row]) -> Html:
    shown = [metric for metric in summary.metrics if metric.unit in _PLOTTED and metric.better == "higher"]
    figures = []
    for metric in (shown or summary.metrics)[:6]:
        drawn = [_bar(metric, row) for row in ((summary.overall, *rows) if len(rows) > 1 else rows)]
        remark = {"percent": "", "points": "0 to 100"}.get(metric.unit, metric.unit)
        figures.append(bars(metric.title, remark, drawn, percent=metric.unit == "percent"))
    return element("div", *figures, class_="plots")


def _bar(metric: Metric, row: Row) -> Bar:
    interval = row.metrics.get(metric.name)
    label = row_name(row.language, row.scenario)
    if interval is None or not all(map(math.isfinite, (interval.mean, interval.low, interval.high))):
        return Bar(label, None, 0.0, 0.0, NONE)
    shown = with_interval(metric, interval)
    return Bar(label, interval.mean, interval.low, interval.high, shown)


def _row_table(title: str, summary: Summary, rows: Sequence[Row]) -> Html:
    metrics = summary.metrics
    heads = ("", "samples", "no answer", *(metric.title for metric in metrics), "written / wanted")
    return table(f"{title}; lengths are means in characters", heads, [_row_cells(metrics, row) for row in rows])


def _row_cells(metrics: Sequence[Metric], row: Row) -> list[object]:
    cells: list[object] = [row_name(row.language, row.scenario), f"{row.samples:,}", f"{row.errors:,}"]
    for metric in metrics:
        mean, ends = _cells(metric, row.metrics.get(metric.name))
        cells.append(mean if mean == NONE else joined((mean, " ", element("small", ends))))
    return [*cells, f"{row.written:.1f} / {row.wanted:.1f}"]


def lengths_of(summary: Summary) -> Iterator[Html]:
    lengths, overall = summary.lengths, summary.overall
    edges = [f"{edge:g}" if math.isfinite(edge) else "∞" for edge in lengths.edges]
    alike = {number for number, ends in enumerate(pairwise(edges)) if ends == ("0.9", "1.1")}
    drawn = histogram(
        "Characters written over characters wanted",
        "white space around them left out",
        lengths.counts,
        edges,
        strong=alike,
    )
    classes = [f"{low} to {high}" for low, high in pairwise(edges)]
    every = sum(lengths.counts) or 1
    rows = [(name, f"{n:,}", f"{100 * n / every:.1f} %") for name, n in zip(classes, lengths.counts, strict=False)]
    none = f" {counted(lengths.none, 'sample')} had nothing wanted, and so no ratio." if lengths.none else ""
    words = (
        f"On average {overall.written:.1f} characters were written and {overall.wanted:.1f} wanted. A model that does "
        f"not know when to stop writes too much.{none}"
    )
    told = table("The same as a table", ("ratio", "answers", "share"), rows)
    if sum(lengths.counts) + lengths.none:
        yield section("Lengths", note(words), element("div", drawn, told, class_="plots"))


def latency(run: RunData, summary: Summary) -> Iterator[Html]:
    answers = [result.output for result in run.results if not result.output.error]
    figures = [
        _durations("Whole answers", [output.milliseconds for output in answers], summary.latency),
        _durations(
            "First token",
            [output.first_token_ms for output in answers if output.first_token_ms > 0],
            summary.first_token,
        ),
    ]
    if any(figures):
        by = run.config.get("answered_by") or {}
        at_once = by.get("at_once", 1) or 1
        shared = f" {at_once} samples were answered at once, and shared the time." if at_once > 1 else ""
        yield section(
            "Latency",
            note(f"From the request to the text.{shared}"),
            element("div", *figures, class_="plots"),
            percentile_table("Percentiles", [("whole answers", summary.latency), ("first token", summary.first_token)]),
        )


def _durations(title: str, values: Sequence[float], found: Percentiles | None) -> Html:
    """About twenty classes from 0 to the slowest but one percent, which share the last one."""
    known = [value for value in values if math.isfinite(value) and value >= 0]
    if found is None or not known:
        return Html()
    step = rounded_up(max(found.p99, 1e-3) / 20)
    regular = max(1, math.ceil(found.p99 / step))
    above = sum(value > regular * step for value in known)
    counts = [0] * (regular + bool(above))
    for value in known:
        # the last regular class has its upper end too
        counts[min(int(value / step), regular - 1) if value <= regular * step else regular] += 1
    edges = [milliseconds(number * step) if number else "0" for number in range(regular + 1)]
    if above:
        edges.append("more")
    names = (("p50", found.p50), ("p90", found.p90), ("p95", found.p95), ("p99", found.p99))
    marks = [Mark(value / step / len(counts), f"{name} {milliseconds(value)}") for name, value in names]
    return histogram(title, counted(len(known), "answer"), counts, edges, marks=marks)


def endings(run: RunData, summary: Summary) -> Html:
    every = sum(summary.finish.values()) or 1
    rows = [(ending_of(name), count) for name, count in summary.finish.items()]
    drawn = bars(
        "How answers ended",
        "",
        [Bar(name, count / every, count / every, count / every, f"{count:,}") for name, count in rows[:LINES]],
        percent=True,
    )
    cells = [(name, f"{count:,}", f"{100 * count / every:.1f} %") for name, count in rows[:LINES]]
    told = table("The same as a table", ("ending", "answers", "share"), cells)
    parts = [element("div", drawn, told, class_="plots")]
    if len(rows) > LINES:
        parts.append(note(f"and {counted(len(rows) - LINES, 'other ending')}"))
    if summary.errors:
        parts.append(element("h3", "What went wrong"))
        parts.append(_errors(run.results, summary.errors))
    else:
        parts.append(note("No sample ended in an error."))
    return section("Endings and errors", *parts)


def _errors(results: Sequence[Result], errors: Mapping[str, int]) -> Html:
    first: dict[str, str] = {}
    for result in results:
        first.setdefault(result.output.error, result.sample.id)
    listed = list(errors.items())
    rows = [(error[:300], f"{count:,}", first.get(error, "")[:160]) for error, count in listed[:LINES]]
    more = len(listed) - len(rows)
    return joined(
        (
            table("Errors, the most frequent first", ("error", "samples", "the first one"), rows, words=(2,)),
            note(f"and {counted(more, 'other error')}" if more else ""),
        )
    )
