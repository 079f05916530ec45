"""`aix-lsp train`: an adapter that teaches a model one's own code, or a small model from scratch."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.cli.failure import UsageError

if TYPE_CHECKING:
    from aix_lsp.training.loop import StepReport, Validation
    from aix_lsp.training.tuning import Tuned, Watch

_PACKAGES = ("accelerate", "matplotlib", "peft")


@dataclass(frozen=True, slots=True)
class TrainArguments:
    """What the command line says; the names are those of `TuneSettings`, `Source` and `SamplerSettings`."""

    out: Path
    model: str | None
    init: Path | None
    workspace: Path | None
    data: str | None
    source: Mapping[str, Any]
    samples: Mapping[str, Any]
    settings: Mapping[str, Any]


def run(arguments: TrainArguments, *, as_json: bool) -> None:
    """Train, showing how it goes, and say how to use the result."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"training needs {', '.join(missing)}: pip install 'aix-lsp[train]'")
    from aix_lsp.engine.base import EngineError
    from aix_lsp.engine.hardware import share_processors

    share_processors()
    from aix_lsp.training.data import Source
    from aix_lsp.training.samples import SamplerSettings
    from aix_lsp.training.tuning import tune
    from aix_lsp.training.tuning_plan import STRETCH, TuneSettings, workplace

    work = workplace(arguments.out)
    try:
        settings = TuneSettings(
            source=Source(arguments.workspace, arguments.data or "", **arguments.source),
            out=arguments.out,
            model=arguments.model or "",
            init=arguments.init,
            samples=SamplerSettings(stretch=STRETCH, **arguments.samples),
            **arguments.settings,
        )
        with _shown(as_json) as watch:
            done = tune(settings, watch)
    except KeyboardInterrupt:
        sys.stderr.write(f"aix-lsp: interrupted; {_left(work)}\n")
        sys.exit(130)
    except OSError as error:
        raise UsageError(f"{error.filename or arguments.out}: {error.strerror or error}; {_left(work)}") from error
    except (ValueError, EngineError) as error:
        raise UsageError(f"{error}") from error
    if os.environ.get("RANK", "0") == "0":
        _tell(done, settings.model, as_json)


def _left(work: Path) -> str:
    """What an interrupted run has left."""
    if (work / "checkpoint").exists():
        return "the same command with --resume goes on from the last checkpoint"
    return "nothing was written"


def _tell(done: Tuned, model: str, as_json: bool) -> None:
    state = done.outcome.state
    if as_json:
        data = {
            "out": str(done.out),
            "ended": done.outcome.reason,
            "steps": state.step,
            "tokens": state.tokens,
            "seconds": round(state.seconds, 2),
            "held_out_loss": {"before": done.before, "after": done.after},
            "files": dict(done.tally.languages),
            "left_out": dict(done.tally.left_out),
        }
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
        return
    if done.before is not None and done.after is not None:
        print(f"held-out loss {done.before:.3f} -> {done.after:.3f} (nats per token of an answer)")  # noqa: T201
    print(f"{done.out} is ready: aix-lsp serve {_use(done.out, model)}")  # noqa: T201


def _use(out: Path, model: str) -> str:
    """The options that serve what was made. An adapter knows its base by name; that of a folder has to be told."""
    from aix_lsp.engine.catalog import known, resolve

    if not model:
        return f"--model {shlex.quote(str(out.resolve()))}"
    adapter = f"--adapter {shlex.quote(str(out.resolve()))}"
    source = resolve(model).source
    if model in known() or not isinstance(source, Path):
        return adapter
    return f"--model {shlex.quote(str(source.expanduser().resolve()))} {adapter}"


@contextmanager
def _shown(as_json: bool) -> Iterator[Watch]:
    """Progress on standard error: a bar on a terminal, else lines; nothing with JSON."""
    from aix_lsp.training.tuning import Watch

    if as_json:
        yield Watch()
        return
    if not sys.stderr.isatty():
        yield Watch(say=_line, step=lambda report: _line(_sentence(report)), validation=lambda at: _line(_held_out(at)))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading files and model", total=1.0)
        yield Watch(
            say=lambda line: console.print(line, markup=False),
            step=lambda report: bar.update(task, completed=report.progress, description=_sentence(report)),
            validation=lambda found: console.print(_held_out(found), markup=False),
        )


def _line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _sentence(report: StepReport) -> str:
    return (
        f"step {report.step:,}, loss {report.loss:.3f}, {report.tokens_per_second:,.0f} tokens/s, "
        f"{_duration(report.seconds_left)} left"
    )


def _held_out(found: Validation) -> str:
    return f"held-out loss {found.loss:.3f} after step {found.step:,}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
