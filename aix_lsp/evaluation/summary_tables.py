"""A run and a comparison of two as tables for a terminal of 100 columns.

Cells are `Text`, in which rich reads no markup, and what could do something to a terminal is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from aix_lsp.completion.trace_words import printable
from aix_lsp.evaluation.benchmark import Metric
from aix_lsp.evaluation.comparison import Change, ChangeRow, Comparison
from aix_lsp.evaluation.html_page import counted, interval_of, milliseconds, plain, value_of, with_interval
from aix_lsp.evaluation.html_run import ending_of, name_of, uses_of
from aix_lsp.evaluation.summary import Percentiles, Row, Summary

WIDTH: Final = 100
"""Columns that the tables fit."""

FLIPS_SHOWN: Final = 10

_MEASURES: Final = 5
"""Columns of measures beside the names and lengths."""

_LANGUAGES: Final = 6

_ENDINGS: Final = 6
_NAMES: Final = 28
_CHARACTERS: Final = 80
_LINES: Final = 3


def tables_of(config: Mapping[str, Any], summary: Summary) -> list[Table]:
    """All samples with intervals, the means by language and scenario, and how long and how answers ended."""
    groups = [rows for rows in (summary.by_language, summary.by_scenario) if len(rows) > 1]
    tables = [_overall(config, summary)]
    if groups:
        tables.append(_rows(summary.metrics, groups))
    if len(groups) == 2 and summary.metrics:
        tables.append(_grid(summary))
    if summary.latency is not None:
        tables.append(_latency([("whole answers", summary.latency), ("first token", summary.first_token)]))
    tables.append(_endings(summary))
    return tables


def comparison_tables(names: tuple[str, str], comparison: Comparison) -> list[Table]:
    """The differences over all samples, by language and by scenario, latencies, and the samples that flipped."""
    overall = comparison.overall
    table = _table(
        f"{counted(overall.samples, 'sample')} that both runs have; differences with 95 % intervals",
        ("measure", "first", "second", "difference", "verdict"),
        words=(0, 4),
    )
    by_name = {metric.name: metric for metric in comparison.metrics}
    for change in overall.changes:
        table.add_row(*map(_text, (by_name[change.metric].title, *_change(by_name[change.metric], change))))
    table.caption = _text(f"first: {names[0]}; second: {names[1]}; pp: percentage points")
    tables = [table]
    several = [rows for rows in (comparison.by_language, comparison.by_scenario) if len(rows) > 1]
    if several and overall.changes:
        tables.append(_first_by(by_name[overall.changes[0].metric], several))
    latencies = [(which, found) for which, found in zip(("first", "second"), comparison.latency, strict=True) if found]
    return [*tables, *([_latency(latencies)] if latencies else []), *_flipped(comparison)]


def _overall(config: Mapping[str, Any], summary: Summary) -> Table:
    overall = summary.overall
    title = f"{plain(config.get('benchmark', ''))}, {name_of(config)}: {counted(overall.samples, 'sample')}"
    failed = f", {overall.errors:,} without an answer" if overall.errors else ""
    table = _table(f"{title}{failed}", ("measure", "mean", "95 % interval", "samples"))
    for metric in summary.metrics:
        interval = overall.metrics.get(metric.name)
        mean = value_of(metric, interval.mean if interval else None)
        count = f"{interval.count:,}" if interval else "0"
        table.add_row(*map(_text, (metric.title, mean, interval_of(metric, interval), count)))
    if overall.samples > overall.errors:
        lengths = f"{overall.written:.1f} / {overall.wanted:.1f}"
        table.add_section()
        table.add_row(
            *map(_text, ("characters written / wanted", lengths, "", f"{overall.samples - overall.errors:,}"))
        )
    notes = "; ".join(map(plain, config.get("notes") or ()))
    table.caption = _text(f"answered: {uses_of(config)}{f'. Notes: {notes}' if notes else ''}")
    return table


def _rows(metrics: Sequence[Metric], groups: Sequence[Sequence[Row]]) -> Table:
    shown = metrics[:_MEASURES]
    heads = ("", "samples", *(metric.title for metric in shown), "written / wanted")
    table = _table("Means by language and scenario", heads)
    for rows in groups:
        table.add_section()
        for row in rows:
            means = [
                value_of(metric, interval.mean if (interval := row.metrics.get(metric.name)) else None)
                for metric in shown
            ]
            lengths = f"{row.written:.1f} / {row.wanted:.1f}"
            table.add_row(*map(_text, (_name(row.language, row.scenario), f"{row.samples:,}", *means, lengths)))
    if len(metrics) > len(shown):
        table.caption = _text(f"{counted(len(metrics) - len(shown), 'more measure')} in the report and with --json")
    return table


def _grid(summary: Summary) -> Table:
    """The first measure, with the scenarios down and the languages across."""
    metric = summary.metrics[0]
    languages = [row.language for row in summary.by_language]
    shown = languages[:_LANGUAGES]
    table = _table(f"{metric.title} by language and scenario", ("", *shown))
    cells = {(row.language, row.scenario): row.metrics.get(metric.name) for row in summary.by_both}
    for row in summary.by_scenario:
        found = [cells.get((language, row.scenario)) for language in shown]
        means = [value_of(metric, interval.mean if interval else None) for interval in found]
        table.add_row(*map(_text, (row.scenario, *means)))
    more = f"; {counted(len(languages) - len(shown), 'more language')}" if len(languages) > len(shown) else ""
    table.caption = _text(f"intervals, and the other measures: in the report and with --json{more}")
    return table


def _latency(rows: Sequence[tuple[str, Percentiles | None]]) -> Table:
    table = _table("Latency", ("", "answers", "p50", "p90", "p95", "p99"))
    for name, found in rows:
        if found is not None:
            times = map(milliseconds, (found.p50, found.p90, found.p95, found.p99))
            table.add_row(*map(_text, (name, f"{found.count:,}", *times)))
    return table


def _endings(summary: Summary) -> Table:
    table = _table("How answers ended", ("", "answers"))
    listed = list(summary.finish.items())
    for name, count in listed[:_ENDINGS]:
        table.add_row(_text(ending_of(name)), _text(f"{count:,}"))
    if len(listed) > _ENDINGS:
        table.add_row(_text("others"), _text(f"{sum(count for _, count in listed[_ENDINGS:]):,}"))
    for error, count in list(summary.errors.items())[:_ENDINGS]:
        table.add_row(_text(f"error: {error}"), _text(f"{count:,}"))
    return table


def _first_by(metric: Metric, several: Sequence[Sequence[ChangeRow]]) -> Table:
    heads = ("", "first", "second", "difference", "verdict")
    table = _table(f"{metric.title} by language and scenario", heads, words=(0, 4))
    for rows in several:
        table.add_section()
        for row in rows:
            for change in row.changes:
                if change.metric == metric.name:
                    name = _name(row.language, row.scenario)
                    table.add_row(*map(_text, (name, *_change(metric, change))))
    table.caption = _text("other measures by language and scenario: --json or --out has them")
    return table


def _change(metric: Metric, change: Change) -> tuple[str, str, str, str]:
    one, two = value_of(metric, change.first), value_of(metric, change.second)
    return one, two, with_interval(metric, change.difference, sign=True), change.verdict


def _flipped(comparison: Comparison) -> list[Table]:
    flips = comparison.flips
    if not flips:
        return []
    gained = sum(flip.gained for flip in flips)
    table = _table(
        f"{gained} became right, {len(flips) - gained} wrong",
        ("sample", "wanted", "first", "second"),
        words=(0, 1, 2, 3),
    )
    for flip in flips[:FLIPS_SHOWN]:
        table.add_row(*map(_text, map(_cut, (flip.id, flip.wanted, flip.first, flip.second))))
    if len(flips) > FLIPS_SHOWN:
        table.caption = _text(f"and {len(flips) - FLIPS_SHOWN} more: --json or --out has all")
    return [table]


def _table(title: str, heads: Sequence[str], *, words: Sequence[int] = (0,)) -> Table:
    table = Table(title=_text(title), title_justify="left", caption_justify="left")
    for number, head in enumerate(heads):
        is_words = number in words or not number
        widest = None if number else _NAMES
        table.add_column(_text(head), justify="left" if is_words else "right", overflow="fold", max_width=widest)
    return table


def _name(language: str, scenario: str) -> str:
    return ", ".join(part for part in (language, scenario) if part) or "all"


def _cut(words: str) -> str:
    """The first lines without their common indentation."""
    lines = dedent(words).strip("\r\n").splitlines()
    short = "\n".join(line[:_CHARACTERS] for line in lines[:_LINES])
    return short if len(lines) <= _LINES and all(len(line) <= _CHARACTERS for line in lines) else f"{short} …"


def _text(words: str) -> Text:
    return Text(printable(words.replace("\t", "    "), keep="\n"), overflow="fold")
