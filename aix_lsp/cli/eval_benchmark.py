"""`aix-lsp eval fim-lines`, `aix-fim`, `crosscodeeval` and `nl2code`: a published benchmark, run and reported."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aix_lsp.cli.eval_progress import progress, say
from aix_lsp.cli.failure import UsageError
from aix_lsp.files import replaced_file

if TYPE_CHECKING:
    from aix_lsp.evaluation.asked import Asked
    from aix_lsp.evaluation.benchmark import Benchmark, Loaded
    from aix_lsp.evaluation.run_folder import RunData, Store

SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"

_PROBLEMS_SHOWN: Final = 10


def run(make: Callable[[], Benchmark], asked: Asked, *, out: Path | None, as_json: bool) -> None:
    """Ask the model what is not answered yet, then show the summary and write the report to `out`."""
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder")
    data = answered(make(), asked, out=out)
    show(data, out=out, as_json=as_json)
    failed = sum(bool(result.output.error) for result in data.results)
    if failed == len(data.results):
        raise ValueError(f"no sample was answered: {data.results[0].output.error if failed else 'there is none'}")


def answered(benchmark: Benchmark, asked: Asked, *, out: Path | None) -> RunData:
    """A benchmark's run, in the folder `out` or in memory, with progress on stderr.

    Control-C ends the process with 130 and one line that says how to go on. Raises DataError, EngineError, ValueError,
    OSError.
    """
    from aix_lsp.evaluation.harness import answer, prepare
    from aix_lsp.evaluation.html_samples import surrounded

    prepared = prepare(benchmark, asked)
    _tell_problems(prepared.loaded)
    with _store(out, prepared.config) as store:
        every = len(prepared.loaded.samples)
        todo = len(prepared.todo(store.done))
        if out is not None and todo < every:
            say(f"{out} has the answers to {every - todo} of {every} samples" + (", goes on" if todo else ""))
        if todo:
            label = f"{prepared.config['benchmark']}, {prepared.config['model']}"
            try:
                with progress(label, todo) as advance:
                    asyncio.run(answer(prepared, asked, store, on_result=lambda result: advance(), on_warning=say))
            except KeyboardInterrupt:
                say(f"interrupted; {_standing(store, every, out)}")
                sys.exit(130)
            except Exception:
                if store.done:
                    say(_standing(store, every, out))
                raise
        data = surrounded(store.data, prepared.loaded.samples)
    _tell_failures(data, out)
    return data


def show(data: RunData, *, out: Path | None, as_json: bool) -> None:
    """Print a run's summary, and write it and the report to `out`."""
    from aix_lsp.evaluation.benchmark import Metric
    from aix_lsp.evaluation.html_report import report
    from aix_lsp.evaluation.summary import summarize

    summary = summarize(data.results, [Metric(**metric) for metric in data.config["metrics"]], seed=data.config["seed"])
    told = {"run": data.config, **summary.to_dict()}
    if out is not None:
        write_text(out / SUMMARY, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        write_text(out / REPORT, report(data, summary))
        say(f"{out / REPORT} has the report")
    if as_json:
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201
        return
    from rich.console import Console

    from aix_lsp.evaluation.summary_tables import WIDTH, tables_of

    console = Console(width=max(Console().width, WIDTH), highlight=False)  # also where the output is a file
    for table in tables_of(data.config, summary):
        console.print(table)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. What a model wrote may have halves of characters."""
    with replaced_file(path) as file:
        file.write(text.encode("utf-8", "replace"))


@contextmanager
def _store(out: Path | None, config: dict[str, object]) -> Iterator[Store]:
    from aix_lsp.evaluation.run_folder import MemoryRun, opened

    if out is None:
        yield MemoryRun(config)
        return
    with opened(out, config) as folder:
        yield folder


def _tell_problems(loaded: Loaded) -> None:
    """What was wrong with the data, and how many lines were passed over."""
    problems: Sequence[str] = loaded.problems
    for problem in problems[:_PROBLEMS_SHOWN]:
        say(problem)
    if len(problems) > _PROBLEMS_SHOWN:
        say(f"and {len(problems) - _PROBLEMS_SHOWN} more")
    if problems:
        say(f"{len(problems)} passed over, {len(loaded.samples)} samples left")
    for note in loaded.notes:
        say(note)


def _standing(store: Store, every: int, out: Path | None) -> str:
    done = len(store.done)
    if out is None:
        return f"{done} of {every} answers are lost: give --out DIR to keep them and go on later"
    return f"{out} keeps {done} of {every} answers, and the same command goes on from there"


def _tell_failures(data: RunData, out: Path | None) -> None:
    errors = [result.output.error for result in data.results if result.output.error]
    if errors:
        again = "; the same command asks them again" if out is not None else ""
        say(f"{len(errors)} of {len(data.results)} samples have no answer ({errors[0]}){again}")
