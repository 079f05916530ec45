"""The runs of `eval workspace` as tables for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from aix_lsp.completion.trace_words import printable
from aix_lsp.evaluation.benchmark import Metric, Result
from aix_lsp.evaluation.comparison import Comparison
from aix_lsp.evaluation.html_page import NONE, counted, plain, value_of, with_interval
from aix_lsp.evaluation.html_run import uses_of
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.summary import Row, Summary, percentiles
from aix_lsp.evaluation.workspace_holes import KINDS

_FINER: Final = ("exact", "offered", "right", "prefix")
_TIMES: Final = (("p50", "median\nms"), ("p90", "90 %\nms"))
_HEADS: Final = {
    "exact": "exact\nmatch",
    "offered": "offered",
    "right": "offers\nright",
    "prefix": "correct\ncharacters",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A run with its summary, and its comparison with the first one; None for the first."""

    label: str
    run: RunData
    summary: Summary
    comparison: Comparison | None = None


def tables_of(runs: Sequence[Shown]) -> list[Table]:
    """All runs side by side, the first one by language and kind of place, and what differs in each later one."""
    first = runs[0]
    return [
        _side_by_side(runs),
        _finer(first),
        *(_differences(first, run, run.comparison) for run in runs[1:] if run.comparison),
    ]


def _side_by_side(runs: Sequence[Shown]) -> Table:
    config, places = runs[0].run.config, runs[0].summary.overall.samples
    table = Table(
        title=_text(
            f"{plain(config.get('projects', ''))}: what {uses_of(config)} offers at {counted(places, 'place')}, "
            f"means with 95 % intervals{', the confidence gate off' if config.get('gate') == 'off' else ''}"
        ),
        title_justify="left",
    )
    table.add_column("")
    for run in runs:
        table.add_column(_text(run.label), justify="right")
    for metric in runs[0].summary.metrics:
        intervals = [run.summary.overall.metrics.get(metric.name) for run in runs]
        if any(intervals):
            table.add_row(metric.title, *(with_interval(metric, interval) for interval in intervals))
    table.add_section()
    for end in dict.fromkeys(end for run in runs for end in run.summary.finish):
        table.add_row(_text(f"answers: {end}"), *(str(run.summary.finish.get(end, 0)) for run in runs))
    table.add_section()
    for name, title in (("p50", "median"), ("p90", "90 %"), ("p99", "99 %")):
        times = [run.summary.latency for run in runs]
        table.add_row(f"milliseconds, {title}", *(f"{getattr(t, name):.0f}" if t else NONE for t in times))
    return table


def _finer(shown: Shown) -> Table:
    """A row for each kind of place, by language where there are several."""
    summary = shown.summary
    several = len(summary.by_language) > 1
    table = Table(title=_text(f"{shown.label}, by kind of place"), title_justify="left")
    for head in ("language", "kind") if several else ("kind",):
        table.add_column(head, no_wrap=True)
    by_name = {metric.name: metric for metric in summary.metrics}
    metrics = [by_name[name] for name in _FINER]
    for head in ("places", *(_HEADS[metric.name] for metric in metrics), *(title for _, title in _TIMES)):
        table.add_column(head, justify="right")
    order = [str(kind) for kind in KINDS]
    language = ""
    for row in sorted(summary.by_both, key=lambda row: (row.language, order.index(row.scenario))):
        is_new = row.language != language
        if several and language and is_new:
            table.add_section()
        own = [result.output for result in shown.run.results if _is_of(result, row)]
        found = percentiles([output.milliseconds for output in own if not output.error])
        table.add_row(
            *((row.language if is_new else "", row.scenario) if several else (row.scenario,)),
            str(row.samples),
            *(_cell(metric, row) for metric in metrics),
            *(f"{getattr(found, end):.0f}" if found else NONE for end, _ in _TIMES),
        )
        language = row.language
    return table


def _is_of(result: Result, row: Row) -> bool:
    return (result.sample.language, result.sample.scenario) == (row.language, row.scenario)


def _cell(metric: Metric, row: Row) -> str:
    interval = row.metrics.get(metric.name)
    mean = value_of(metric, interval.mean if interval else None)
    return f"{mean} of {row.wanted:.0f}" if metric.name == "prefix" and mean != NONE else mean


def _differences(first: Shown, run: Shown, comparison: Comparison) -> Table:
    """What differs between a run and the first one, over the places that both have."""
    table = Table(
        title=_text(f"{run.label}, compared with {first.label} at the same {comparison.overall.samples} places"),
        title_justify="left",
    )
    for head in ("", "places", "difference (95 % interval)", ""):
        table.add_column(head, justify="right" if head else "left")
    by_name = {metric.name: metric for metric in comparison.metrics}
    for change in comparison.overall.changes:
        metric = by_name[change.metric]
        if metric.better:
            table.add_row(
                metric.title,
                str(change.difference.count),
                with_interval(metric, change.difference, sign=True),
                change.verdict,
            )
    gained = sum(flip.gained for flip in comparison.flips)
    table.caption = f"exact match: {counted(gained, 'place')} became right, {len(comparison.flips) - gained} wrong"
    table.caption_justify = "left"
    return table


def _text(words: str) -> Text:
    """Read without markup, and with nothing in it that could do something to a terminal."""
    return Text(printable(words))
