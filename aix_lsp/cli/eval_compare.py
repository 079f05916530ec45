"""`aix-lsp eval compare`: two runs side by side, and whether one is better."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.cli.eval_benchmark import write_text
from aix_lsp.cli.eval_progress import say
from aix_lsp.cli.failure import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from aix_lsp.evaluation.benchmark import Metric

_FLIPS_SHOWN: Final = 20


def run(first: Path, second: Path, *, seed: int, out: Path | None, as_json: bool) -> None:
    """Compare the runs in two folders; `out` is the file for the report."""
    for folder in (first, second):
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder")
    from aix_lsp.evaluation.comparison import compare
    from aix_lsp.evaluation.run_folder import read_run

    one, other = read_run(first), read_run(second)
    if one.config["benchmark"] != other.config["benchmark"]:
        names = f"{one.config['benchmark']} and {other.config['benchmark']}"
        raise UsageError(f"the runs are of two benchmarks ({names}); nothing can be compared")
    metrics = shared_metrics(one.config, other.config)
    comparison = compare(one, other, metrics, seed=seed)
    told: dict[str, Any] = comparison.to_dict()
    if out is not None:
        from aix_lsp.evaluation.html_compare import report

        write_text(out, report(one, other, comparison))
        say(f"{out} has the report")
    if as_json:
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201
        return
    from rich.console import Console

    console = Console(width=max(Console().width, 120), highlight=False)
    for table in tables_of(told, metrics):
        console.print(table)
    for which, ids in (("first", told["only_first"]), ("second", told["only_second"])):
        if ids:
            console.print(f"{len(ids)} samples are in the {which} run only, and not compared.")


def shared_metrics(one: dict[str, Any], other: dict[str, Any]) -> list[Metric]:
    """The metrics that two configurations have, in the order of the first."""
    from aix_lsp.evaluation.benchmark import Metric

    names = {metric["name"] for metric in other["metrics"]}
    return [Metric(**metric) for metric in one["metrics"] if metric["name"] in names]


def tables_of(told: Mapping[str, Any], metrics: Sequence[Metric]) -> list[Table]:
    """The differences by language, scenario and over all, and the samples that flipped."""
    from rich.table import Table

    overall = told["overall"]
    table = Table(title=f"{overall['samples']} samples that both runs have; differences with 95 % intervals")
    for head in ("", "metric", "first", "second", "difference", ""):
        table.add_column(head, justify="left" if head in ("", "metric") else "right")
    several = [rows for rows in (told["by_language"], told["by_scenario"]) if len(rows) > 1]
    for row in (overall, *(row for rows in several for row in rows)):
        name = " ".join(filter(None, (row["language"], row["scenario"]))) or "all"
        for change in row["changes"]:
            metric = next(metric for metric in metrics if metric.name == change["metric"])
            table.add_row(name, *_cells(change, metric))
            name = ""
        table.add_section()
    return [table, *_flipped(told)]


def _cells(change: Mapping[str, Any], metric: Metric) -> tuple[str, str, str, str, str]:
    scale = 100.0 if metric.unit == "percent" else 1.0
    one, two = (f"{change[which] * scale:.2f}" for which in ("first", "second"))
    mean, low, high = (f"{change['difference'][end] * scale:+.2f}" for end in ("mean", "low", "high"))
    return metric.title, one, two, f"{mean} ({low} to {high})", change["verdict"]


def _flipped(told: Mapping[str, Any]) -> list[Table]:
    from rich.markup import escape
    from rich.table import Table

    flips = told["flips"]
    if not flips:
        return []
    gained = sum(flip["gained"] for flip in flips)
    table = Table(title=f"{gained} became right, {len(flips) - gained} wrong")
    for head in ("sample", "wanted", "first", "second"):
        table.add_column(head, overflow="fold", max_width=48)
    for flip in flips[:_FLIPS_SHOWN]:
        table.add_row(*(escape(flip[name]) for name in ("id", "wanted", "first", "second")))
    if len(flips) > _FLIPS_SHOWN:
        table.caption = f"and {len(flips) - _FLIPS_SHOWN} more: --json or --out has all"
    return [table]
