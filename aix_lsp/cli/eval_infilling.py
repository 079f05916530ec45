"""`aix-lsp eval infilling`: how often models fill in what stood there, beside copying."""

from __future__ import annotations

import itertools
import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from aix_lsp.cli.eval_progress import progress, say
from aix_lsp.cli.failure import UsageError
from aix_lsp.engine.adapter import inspect_adapter
from aix_lsp.engine.catalog import embedded, known
from aix_lsp.engine.choice import base_of
from aix_lsp.engine.select import REMOTE
from aix_lsp.files import replaced_file
from aix_lsp.types import FimFormat

if TYPE_CHECKING:
    from aix_lsp.evaluation.infilling import ModelAnswers
    from aix_lsp.evaluation.places import Place


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for. `problems` 0 means all; `places`, `cases` and `loss_kb` (of each folder) 0 leave
    that task out. `adapters` are asked on the model, of which there is one then; without a name it is the one that the
    first was made from."""

    folders: Sequence[Path]
    humaneval: Path | None
    models: Sequence[str]
    problems: int
    places: int
    cases: int
    seed: int
    formats: str
    languages: str
    threads: int
    loss_kb: int
    earlier: Path | None = None
    adapters: Sequence[Path] = ()
    copy_prior: str = "auto"

    def command(self, labels: Sequence[str]) -> str:
        """The command line with all that the figures depend on, as from the folder in which everything lies.

        Models whose answers were read from disk are among the `labels`: asked in the same run they answer the same.
        """
        from aix_lsp.evaluation.infilling import ALONE

        words = ["aix-lsp", "eval", "infilling", *(folder.resolve().name for folder in self.folders)]
        if self.humaneval is not None:
            words += ["--humaneval", self.humaneval.name, "--problems", str(self.problems)]
        names = list(dict.fromkeys(label.removesuffix(ALONE) for label in labels))
        for label in names:
            base, plus, adapter = label.rpartition("+")
            if plus and base in names:
                words += ["--adapter", adapter]
            else:
                words += ["--model", label if label in {*known(), REMOTE} or "/" in label else f"./{label}"]
        if self.folders:
            words += ["--places", str(self.places), "--cases", str(self.cases), "--loss-kb", str(self.loss_kb)]
            words += ["--languages", self.languages]
        if self.copy_prior != "auto":
            words += ["--copy-prior", self.copy_prior]
        return shlex.join([*words, "--seed", str(self.seed), "--formats", self.formats])


def run(options: Options, *, as_json: bool, out: Path | None) -> None:
    """Draw the places, ask every model, and show, print or write what came out."""
    formats, languages = _formats(options.formats), _languages(options.languages)
    _check(options, out)
    from aix_lsp.evaluation.infilling import answers_needed, checked, evaluate
    from aix_lsp.evaluation.infilling_answers import read_earlier
    from aix_lsp.evaluation.infilling_report import data_of, tables_of
    from aix_lsp.evaluation.losses import bits_per_byte

    runs = runs_of(options)
    for model, adapter, *_ in runs:
        checked(model, formats, adapter)  # what is wrong with a model's files is told before the work begins
    places, files = _places(options, languages)
    if not places and not files:
        raise ValueError("nothing to measure: the folders have no file in the languages asked for")
    models, losses = read_earlier(options.earlier, places, files) if options.earlier is not None else ([], {})
    before = [model.label for model in models]
    if options.adapters:
        # what the adapters are compared with may be there
        first = {run.label for run in runs if run.adapter is None}
        runs = [run for run in runs if run.adapter is not None or not first.intersection(before)]
    again = sorted({run.label for run in runs} & set(before))
    if again:
        raise UsageError(f"{options.earlier} has the answers of {', '.join(again)} already")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # a place that cannot be written is told before the work too
    data: dict[str, Any] = {}
    for model, adapter, label, copying in runs:
        start = time.perf_counter()
        with progress(label, answers_needed(places, formats)) as advance:
            models.append(
                evaluate(
                    model,
                    places,
                    adapter=adapter,
                    label=label,
                    formats=formats,
                    threads=options.threads,
                    copying=copying,
                    on_answer=advance,
                )
            )
        if files and (copying or options.copy_prior == "off"):
            # taken without copying either way: once for each model
            positions = models[-1].info.max_positions
            losses[label] = bits_per_byte(model, files, positions=positions, threads=options.threads, adapter=adapter)
        say(f"{label}: {answers_needed(places, formats)} answers in {time.perf_counter() - start:.0f} s")
        command = options.command([asked.label for asked in models])
        data = data_of(places, models, command=command, losses=losses)
        if out is not None:
            # after each model: what the next one's failure, or control-C, then takes is only its own
            _save(out, places, models, data)
    if as_json:
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
        return
    from rich.console import Console

    # not narrower than its columns, also where the output is a file
    console = Console(width=max(Console().width, 60 + 24 * len(models) * (len(formats) + 3)), highlight=False)
    for table in tables_of(data):
        console.print(table)


class Run(NamedTuple):
    """One model, with an adapter or without, asked at all places: with what its folder says about copying, or alone."""

    model: str
    adapter: Path | None
    label: str
    copying: bool


def runs_of(options: Options) -> list[Run]:
    """Every model and adapter alone, as the folder says, or both where that makes a difference. Raises ModelError."""
    from aix_lsp.evaluation.infilling import ALONE, copies, labels_of

    names = options.models or [_base_of(options.adapters)]
    asked = [*((name, None) for name in names), *((names[0], adapter) for adapter in options.adapters)]
    runs = []
    for (model, adapter), label in zip(asked, labels_of(names, options.adapters), strict=True):
        alone = options.copy_prior != "auto" and copies(model)
        if alone:
            runs.append(Run(model, adapter, label + ALONE, copying=False))
        if not alone or options.copy_prior == "both":
            runs.append(Run(model, adapter, label, copying=True))
    return runs


def _check(options: Options, out: Path | None) -> None:
    """Raises UsageError for what can be told before anything is loaded."""
    for folder in options.folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder")
    for one, other in itertools.permutations(options.folders, 2):
        if one.resolve().is_relative_to(other.resolve()):
            raise UsageError(f"{one} lies in {other}, or is the same; its places would be drawn twice")
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder")
    if options.copy_prior not in ("auto", "off", "both"):
        raise UsageError(f"--copy-prior takes auto, off or both, not {options.copy_prior!r}")
    if options.humaneval is not None and not options.humaneval.is_file():
        raise UsageError(f"{options.humaneval} is no file")
    if REMOTE in options.models and options.folders and options.loss_kb:
        raise UsageError("bits per byte need the weights; give --loss-kb 0 with --model remote")
    if options.adapters and len(options.models) > 1:
        raise UsageError("--adapter goes with one --model, the one that it was made from")
    if options.earlier is not None and not options.earlier.is_dir():
        raise UsageError(f"{options.earlier} is no folder")
    if options.humaneval is None and not (options.folders and options.places + options.cases + options.loss_kb):
        raise UsageError("nothing to measure: give folders with source code, or --humaneval FILE")


def _base_of(adapters: Sequence[Path]) -> str:
    """The name of the model that adapters are for; the embedded one where there are none. Raises ModelError."""
    if not adapters:
        return embedded().name
    adapter = inspect_adapter(adapters[0])
    base_of(adapter)
    return adapter.base


def _formats(text: str) -> list[FimFormat]:
    known: dict[str, FimFormat] = {name: name for name in get_args(FimFormat)}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names or any(name not in known for name in names):
        raise UsageError(f"--formats takes {', '.join(known)}, separated by commas, not {text!r}")
    return [known[name] for name in dict.fromkeys(names)]


def _languages(text: str) -> frozenset[str]:
    from aix_lsp.languages import language_of

    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if not language_of("", name).name]
    if unknown or not names:
        raise UsageError(f"--languages takes language identifiers such as python,typescript; unknown: {text!r}")
    return frozenset(language_of("", name).name for name in names)


def _places(options: Options, languages: frozenset[str]) -> tuple[list[Place], list[tuple[str, str]]]:
    """All places of all tasks, and the files (path, text) for the loss. Folders share the number of places evenly."""
    from aix_lsp.evaluation.losses import sample
    from aix_lsp.evaluation.places import cross_file_places, humaneval_places, line_places, texts_in
    from aix_lsp.evaluation.retrieval import Workspace

    places: list[Place] = []
    if options.humaneval is not None:
        places += humaneval_places(options.humaneval, count=options.problems, seed=options.seed)
    files: list[tuple[str, str]] = []
    workspaces = [Workspace(folder) for folder in options.folders]
    for number, workspace in enumerate(workspaces):
        texts = texts_in(workspace.texts, languages)
        files += sample(texts, size=options.loss_kb * 1000, seed=options.seed)
        share, rest = divmod(options.places, len(workspaces))
        count = share + (number < rest)
        if count:
            places += line_places(texts, workspace.folder.name, count=count, seed=options.seed)
    if options.cases and workspaces:
        found = cross_file_places(workspaces, languages, count=options.cases, seed=options.seed)
        if not found:
            raise ValueError("no folder has a line that uses a name of another file, in the languages asked for")
        places += found
    say(f"{len(places)} places")
    return places, files


def _save(out: Path, places: Sequence[Place], models: Sequence[ModelAnswers], data: dict[str, Any]) -> None:
    from aix_lsp.evaluation.infilling_answers import ANSWERS, DATA, answers_of
    from aix_lsp.evaluation.infilling_report import markdown_of

    texts = {
        ANSWERS: "".join(json.dumps(record) + "\n" for record in answers_of(places, models)),
        DATA: json.dumps(data, indent=2) + "\n",
        "infilling.md": markdown_of(data),
    }
    for name, text in texts.items():
        with replaced_file(out / name) as file:
            file.write(text.encode())
