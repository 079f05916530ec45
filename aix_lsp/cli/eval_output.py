"""What the runs under `aix-lsp eval` leave and say: files, tables, and how to go on after an interruption."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.cli.eval_progress import say
from aix_lsp.cli.failure import UsageError
from aix_lsp.files import replaced_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from aix_lsp.evaluation.run_folder import RunData
    from aix_lsp.evaluation.summary import Summary

SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"


def check_out(out: Path | None) -> None:
    """Raises UsageError where `--out` names something else than a folder."""
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder")


def tell_resumed(place: Path, answered: int, every: int, of: str) -> None:
    """Say what a folder has of the answers to `every` samples or places, if it has any."""
    if answered:
        say(f"{place} has the answers to {answered} of {every} {of}" + (", goes on" if answered < every else ""))


@contextmanager
def interruptible(standing: Callable[[], str], has_answers: Callable[[], bool]) -> Iterator[None]:
    """Control-C ends the process with 130 and the line that says how to go on; an error, with that line before it where
    there is something to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted; {standing()}")
        sys.exit(130)
    except Exception:
        if has_answers():
            say(standing())
        raise


def kept(place: Path, done: int, every: int) -> str:
    """How many answers a folder keeps, and how to go on."""
    return f"{place} keeps {done} of {every} answers, and the same command goes on from there"


def summary_of(run: RunData, summary: Summary) -> dict[str, Any]:
    """A run and its summary as JSON has them."""
    return {"run": run.config, **summary.to_dict()}


def write_run(folder: Path, run: RunData, summary: Summary) -> None:
    """Write a run's summary and report. The samples of `run` have the texts around their places."""
    from aix_lsp.evaluation.html_report import report

    write_text(folder / SUMMARY, json.dumps(summary_of(run, summary), indent=2, ensure_ascii=False) + "\n")
    write_text(folder / REPORT, report(run, summary))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. What a model wrote may have halves of characters."""
    with replaced_file(path) as file:
        file.write(text.encode("utf-8", "replace"))


def print_tables(tables: Iterable[Table]) -> Console:
    """Print tables of a run, no narrower than they were made for, also where the output is a file; returns where."""
    from rich.console import Console

    from aix_lsp.evaluation.summary_tables import WIDTH

    console = Console(width=max(Console().width, WIDTH), highlight=False)
    for table in tables:
        console.print(table)
    return console
