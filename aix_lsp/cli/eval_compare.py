"""`aix-lsp eval compare`: two runs side by side, and whether one is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.cli.eval_output import print_tables, write_text
from aix_lsp.cli.eval_progress import say
from aix_lsp.cli.failure import UsageError

if TYPE_CHECKING:
    from aix_lsp.evaluation.benchmark import Metric


def run(first: Path, second: Path, *, seed: int, out: Path | None, as_json: bool) -> None:
    """Compare the runs in two folders; `out` is the file for the report."""
    for folder in (first, second):
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder")
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out takes a file for the report, in a folder that is there, not {out}")
    from aix_lsp.evaluation.comparison import compare
    from aix_lsp.evaluation.run_folder import read_run

    one, other = read_run(first), read_run(second)
    if one.config["benchmark"] != other.config["benchmark"]:
        names = f"{one.config['benchmark']} and {other.config['benchmark']}"
        raise UsageError(f"the runs are of two benchmarks ({names}); nothing can be compared")
    metrics = shared_metrics(one.config, other.config)
    comparison = compare(one, other, metrics, seed=seed)
    if out is not None:
        from aix_lsp.evaluation.html_compare import report

        write_text(out, report(one, other, comparison))
        say(f"{out} has the report")
    if as_json:
        print(json.dumps(comparison.to_dict(), ensure_ascii=False))  # noqa: T201
        return
    from aix_lsp.evaluation.html_run import names_of, uses_of
    from aix_lsp.evaluation.summary_tables import comparison_tables

    answered = dict.fromkeys((uses_of(one.config), uses_of(other.config)))
    console = print_tables(comparison_tables(names_of(one.config, other.config), comparison))
    console.print(f"answered: {'; and in the second run: '.join(answered)}", markup=False)
    for which, ids in (("first", comparison.only_first), ("second", comparison.only_second)):
        if ids:
            console.print(f"{len(ids)} samples are in the {which} run only, and not compared.")


def shared_metrics(one: dict[str, Any], other: dict[str, Any]) -> list[Metric]:
    """The metrics that two configurations have, in the order of the first."""
    from aix_lsp.evaluation.benchmark import Metric

    names = {metric["name"] for metric in other["metrics"]}
    return [Metric(**metric) for metric in one["metrics"] if metric["name"] in names]
