"""`aix-lsp eval fim-lines`, `aix-fim`, `crosscodeeval` and `nl2code`: a published benchmark, run and reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aix_lsp.cli.eval_output import (
    REPORT,
    check_out,
    interruptible,
    kept,
    print_tables,
    summary_of,
    tell_resumed,
    write_run,
)
from aix_lsp.cli.eval_progress import progress, say

if TYPE_CHECKING:
    from aix_lsp.evaluation.asked import Asked
    from aix_lsp.evaluation.benchmark import Benchmark, Loaded
    from aix_lsp.evaluation.run_folder import RunData, Store

_PROBLEMS_SHOWN: Final = 10


def run(make: Callable[[], Benchmark], asked: Asked, *, out: Path | None, as_json: bool) -> None:
    """Ask the model what is not answered yet, then show the summary and write the report to `out`."""
    check_out(out)
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
        if out is not None:
            tell_resumed(out, every - todo, every, "samples")
        if todo:
            label = f"{prepared.config['benchmark']}, {prepared.config['model']}"
            with (
                interruptible(lambda: _standing(store, every, out), lambda: bool(store.done)),
                progress(label, todo) as advance,
            ):
                asyncio.run(answer(prepared, asked, store, on_result=lambda result: advance(), on_warning=say))
        data = surrounded(store.data, prepared.loaded.samples)
    _tell_failures(data, out)
    return data


def show(data: RunData, *, out: Path | None, as_json: bool) -> None:
    """Print a run's summary, and write it and the report to `out`."""
    from aix_lsp.evaluation.benchmark import Metric
    from aix_lsp.evaluation.summary import summarize
    from aix_lsp.evaluation.summary_tables import tables_of

    summary = summarize(data.results, [Metric(**metric) for metric in data.config["metrics"]], seed=data.config["seed"])
    if out is not None:
        write_run(out, data, summary)
        say(f"{out / REPORT} has the report")
    if as_json:
        print(json.dumps(summary_of(data, summary), ensure_ascii=False))  # noqa: T201
        return
    print_tables(tables_of(data.config, summary))


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
    return kept(out, done, every)


def _tell_failures(data: RunData, out: Path | None) -> None:
    errors = [result.output.error for result in data.results if result.output.error]
    if errors:
        again = "; the same command asks them again" if out is not None else ""
        say(f"{len(errors)} of {len(data.results)} samples have no answer ({errors[0]}){again}")
