"""A run and a comparison of two as tables for a terminal of 100 columns.

Cells are `Text`, in which rich reads no markup, and what could do something to a terminal is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from aix_lsp.completion.trace_words import printable
from aix_lsp.evaluation.benchmark import Metric
from aix_lsp.evaluation.comparison import Change, Comparison
from aix_lsp.evaluation.html_page import counted, interval_of, milliseconds, plain, value_of
from aix_lsp.evaluation.html_run import name_of, uses_of
from aix_lsp.evaluation.summary import Percentiles, Row, Summary

WIDTH: Final = 100
"""Columns that the tables fit."""

FLIPS_SHOWN: Final = 20

_MEASURES: Final = 5
"""Columns of measures beside the names and lengths."""

_ENDINGS: Final = 6
_CHARACTERS: Final = 200


def tables_of(config: Mapping[str, Any], summary: Summary) -> list[Table]:
    """All samples with intervals, the means by language and scenario, and how long and how answers ended."""
    groups = [rows for rows in (summary.by_language, summary.by_scenario) if len(rows) > 1]
    if len(groups) == 2:
        groups.append(summary.by_both)
    tables = [_overall(config, summary)]
    if groups:
        tables.append(_rows(summary.metrics, groups))
    if summary.latency is not None:
        tables.append(_latency([("whole answers", summary.latency), ("first token", summary.first_token)]))
    tables.append(_endings(summary))
    return tables


def comparison_tables(names: tuple[str, str], comparison: Comparison) -> list[Table]:
    """The differences over all samples, by language and by scenario, latencies, and the samples that flipped."""
    overall = comparison.overall
    table = _table(
        f"{counted(overall.samples, 'sample')} that both runs have; differences with 95 % intervals",
        ("", "measure", "first", "second", "difference", "verdict"),
        words=(1, 5),
    )
    several = [rows for rows in (comparison.by_language, comparison.by_scenario) if len(rows) > 1]
    by_name = {metric.name: metric for metric in comparison.metrics}
    for row in (overall, *(row for rows in several for row in rows)):
        name = _name(row.language, row.scenario)
        for change in row.changes:
            table.add_row(_text(name), *map(_text, _change(by_name[change.metric], change)))
            name = ""
        table.add_section()
    table.caption = _text(f"first: {names[0]}; second: {names[1]}")
    latencies = [(which, found) for which, found in zip(("first", "second"), comparison.latency, strict=True) if found]
    return [table, *([_latency(latencies)] if latencies else []), *_flipped(comparison)]


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
        table.add_row(_text(name or "not told"), _text(f"{count:,}"))
    if len(listed) > _ENDINGS:
        table.add_row(_text("others"), _text(f"{sum(count for _, count in listed[_ENDINGS:]):,}"))
    for error, count in list(summary.errors.items())[:_ENDINGS]:
        table.add_row(_text(f"error: {error}"), _text(f"{count:,}"))
    return table


def _change(metric: Metric, change: Change) -> tuple[str, str, str, str, str]:
    difference = value_of(metric, change.difference.mean, sign=True)
    ends = interval_of(metric, change.difference, sign=True)
    one, two = value_of(metric, change.first), value_of(metric, change.second)
    return metric.title, one, two, f"{difference} ({ends})", change.verdict


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
        table.add_column(_text(head), justify="left" if is_words else "right", overflow="fold")
    return table


def _name(language: str, scenario: str) -> str:
    return ", ".join(part for part in (language, scenario) if part) or "all"


def _cut(words: str) -> str:
    return words if len(words) <= _CHARACTERS else f"{words[: _CHARACTERS - 1]}…"


def _text(words: str) -> Text:
    return Text(printable(words.replace("\t", "    "), keep="\n"), overflow="fold")
