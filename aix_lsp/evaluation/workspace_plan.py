"""What an evaluation of a project asks: which models, with or without retrieval, at which places.

Every way of answering gets the same places. What makes a run what it is goes into its configuration, so that a run is
taken up again only where nothing of it has changed: the places, every file that could be quoted, model and versions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.folder_report import left_out_in_words
from aix_lsp.engine.adapter import WEIGHTS, inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, adapted, embedded, resolve
from aix_lsp.engine.select import REMOTE
from aix_lsp.evaluation.asked import digest_of, model_of, versions
from aix_lsp.evaluation.benchmark import Sample
from aix_lsp.evaluation.infilling import labels_of
from aix_lsp.evaluation.one_model import check_server, settings_for
from aix_lsp.evaluation.workspace_files import SourceFile, choose, learned
from aix_lsp.evaluation.workspace_holes import draw
from aix_lsp.evaluation.workspace_scores import NOT_INSTALLED, has_bleu, metrics
from aix_lsp.languages import language_of
from aix_lsp.settings import CompletionSettings, ModelSettings, RetrievalSettings, Settings

BENCHMARK: Final = "workspace"
USES: Final = "the whole service"
PROTOCOL: Final = (
    "At places of the project where a statement, the rest of a line or a block is taken out, an automatic request goes "
    "through the whole service, as from an editor: retrieval, prompt, model, confidence gate and post-processing. "
    "Nothing waits for typing and nothing is reused from the request before, so that latencies are those of a cursor "
    "that has just come there. Of offers for a statement or a line as many lines are judged as stood there."
)

TIME_LIMIT_MS: Final = 120_000
"""In place of the product's limit: what is offered is not to hang on how busy a machine is."""

Retrieval = Literal["with", "without"]

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.+_-]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command asks for. `languages` are identifiers, none for those that the models know. Without `models`
    the one that the adapters were made from is asked, or the embedded one."""

    folders: tuple[Path, ...]
    models: tuple[str, ...] = ()
    adapters: tuple[Path, ...] = ()
    retrieval: tuple[Retrieval, ...] = ("with", "without")
    languages: tuple[str, ...] = ()
    limit: int = 200
    seed: int = 0
    threads: int = 0
    gate: bool = True
    tests: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One way of answering: a model, perhaps with an adapter, and whether other files are quoted. `label` is short and
    different from that of the others, `slug` the same for a file's name."""

    model: str
    adapter: Path | None
    retrieval: Retrieval
    label: str

    @property
    def slug(self) -> str:
        return _NOT_IN_NAMES.sub("-", self.label).strip("-.") or "run"

    @property
    def entry(self) -> CatalogEntry:
        """The model as the catalog has it. Raises ModelError."""
        if self.model == REMOTE:
            return CatalogEntry(REMOTE, REMOTE)
        return adapted(resolve(self.model), None if self.adapter is None else inspect_adapter(self.adapter))


@dataclass(frozen=True, slots=True)
class Project:
    """A folder as the server has it, and the texts of its files by path."""

    root: Path
    context: WorkspaceContext
    texts: Mapping[str, str]
    changed: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """The ways of answering, the first of them the one that others are compared with, and what they are asked.

    `projects` are by the `group` of a sample. `configs` has one configuration for each way.
    """

    wanted: Wanted
    ways: tuple[Way, ...]
    projects: Mapping[str, Project]
    samples: tuple[Sample, ...]
    configs: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def ways_of(wanted: Wanted) -> list[Way]:
    """Every model and the first one with each adapter, each with and without retrieval as asked. Raises ModelError."""
    names = list(wanted.models) or [_base_of(wanted.adapters)]
    pairs = [*((name, None) for name in names), *((names[0], adapter) for adapter in wanted.adapters)]
    labels = labels_of(names, wanted.adapters)
    return [
        Way(model, adapter, retrieval, f"{label} without retrieval" if retrieval == "without" else label)
        for (model, adapter), label in zip(pairs, labels, strict=True)
        for retrieval in wanted.retrieval
    ]


def settings_of(way: Way, wanted: Wanted) -> Settings:
    """The product's defaults for one way of answering. What waits for somebody who types is off."""
    adapter = "" if way.adapter is None else str(way.adapter)
    settings = settings_for(ModelSettings(name=way.model, adapter=adapter, threads=wanted.threads))
    completion = CompletionSettings(
        debounce="fixed",
        debounce_ms=0,
        reuse=False,
        prepare_next=False,
        confidence="auto" if wanted.gate else "off",
        other_languages=bool(wanted.languages),
        time_limit_ms=TIME_LIMIT_MS,
    )
    # a place's snippets are not to hang on which place was asked before it
    retrieval = RetrievalSettings(enabled=way.retrieval == "with", stable=False)
    return settings.model_copy(update={"completion": completion, "retrieval": retrieval})


def plan(wanted: Wanted) -> Plan:
    """Read the folders and draw the places, without loading a model. Raises ModelError for models that cannot be used,
    ValueError where no place is found."""
    ways = ways_of(wanted)
    # what is wrong with a model is told before a large folder is read
    facts = [_facts(way, wanted) for way in ways]
    known = _languages(wanted, [way.entry for way in ways])
    notes: list[str] = []
    projects: dict[str, Project] = {}
    samples: list[Sample] = []
    names = _groups(wanted.folders)
    for number, (folder, group) in enumerate(zip(wanted.folders, names, strict=True)):
        project, files, told = _read(folder.resolve(), wanted, known, ways)
        projects[group] = project
        notes += [f"{folder.resolve().name}: {line}" if len(names) > 1 else line for line in told]
        share = (wanted.limit - len(samples)) // (len(names) - number)
        samples += draw(files, count=share, seed=wanted.seed, group=group)
    if not samples:
        raise ValueError(_nothing(wanted, known, ways, notes))
    notes += _more_notes(wanted, ways, projects, samples)
    texts = sha256("".join(f"{path}\0{text}\0" for it in projects.values() for path, text in it.texts.items()).encode())
    shared = {
        "benchmark": BENCHMARK,
        "uses": USES,
        "protocol": PROTOCOL,
        "projects": ", ".join(folder.resolve().name for folder in wanted.folders),
        "languages": ", ".join(sorted({sample.language for sample in samples})),
        "tests": "taken too" if wanted.tests else "left out",
        "gate": "as shipped" if wanted.gate else "off",
        "format": "auto",
        "seed": wanted.seed,
        "limit": wanted.limit,
        "data": f"{digest_of(samples)}+{texts.hexdigest()[:16]}",
        "metrics": [asdict(metric) for metric in metrics()],
        "samples": len(samples),
        "problems": [],
        "notes": notes,
    }
    configs = tuple({**shared, **own} for own in facts)
    return Plan(wanted, tuple(ways), projects, tuple(samples), configs, tuple(notes))


def _base_of(adapters: Sequence[Path]) -> str:
    if not adapters:
        return embedded().name
    base = inspect_adapter(adapters[0]).base
    if not base:
        raise ModelError(f"the adapter {adapters[0]} does not say which model it was made from; say --model")
    return base


def _facts(way: Way, wanted: Wanted) -> dict[str, Any]:
    """What a configuration says about a way. Looks at the model's files."""
    engine = "remote" if way.model == REMOTE else "local"
    settings = settings_of(way, wanted)
    check_server(settings)
    name, weights = model_of(settings)
    return {
        "model": name,
        "model_asked": name,
        "label": way.label,
        "weights": weights,
        "engine": engine,
        "retrieval": way.retrieval,
        "versions": versions(engine),
    }


def _languages(wanted: Wanted, entries: Sequence[CatalogEntry]) -> frozenset[str]:
    """Names of the languages to draw from: those asked for, or those that all models know; none for all."""
    if wanted.languages:
        return frozenset(language_of("", name).name for name in wanted.languages)
    known = [frozenset(language_of("", name).name for name in entry.languages) for entry in entries if entry.languages]
    shared = frozenset.intersection(*known) if known else frozenset()
    if known and not shared:
        raise ValueError("no language is known to all of these models; name some with --languages")
    return shared


def _groups(folders: Sequence[Path]) -> list[str]:
    """What the samples of each folder begin with: nothing where there is one folder, else its name, or its whole path
    where it shares its name."""
    if len(folders) == 1:
        return [""]
    names = [folder.resolve().name for folder in folders]
    return [
        f"{name if names.count(name) == 1 else folder.resolve()}/" for name, folder in zip(names, folders, strict=True)
    ]


def _read(
    root: Path, wanted: Wanted, languages: Collection[str], ways: Sequence[Way]
) -> tuple[Project, Sequence[SourceFile], list[str]]:
    context = WorkspaceContext(settings_of(ways[0], wanted))
    report = context.index_now(root)
    (own,) = context.folders
    texts = {path: text for path in sorted(own.index.paths()) if (text := own.scanner.read(path)) is not None}
    choice = choose(root, texts, languages, tests=wanted.tests, seed=wanted.seed)
    notes = list(choice.notes)
    if words := left_out_in_words({why: n for why, n in report.left_out.items() if why not in ("type", "ignored")}):
        notes.append(f"not read: {words}")
    if choice.other_languages and not wanted.languages:
        counted = ", ".join(f"{language} ({count:,})" for language, count in choice.other_languages.items())
        names = sorted({way.entry.name for way in ways if way.entry.languages})
        why = f"{' and '.join(names)} was not made for them" if names else "there is no grammar for them here"
        notes.append(f"files in other languages are left out: {counted}; {why}, --languages asks there too")
    project = Project(root, context, texts, {file.path: file.changed for file in choice.files})
    return project, choice.files, notes


def _nothing(wanted: Wanted, languages: Collection[str], ways: Sequence[Way], notes: Sequence[str]) -> str:
    where = ", ".join(str(folder) for folder in wanted.folders)
    asked = " or ".join(sorted(languages)) or "a language with a grammar"
    whose = "" if wanted.languages or not languages else f" ({ways[0].entry.name} knows no other)"
    told = f"; {'; '.join(notes)}" if notes else ""
    return f"{where}: no code in {asked}{whose} to take a place from{told}"


def _more_notes(
    wanted: Wanted, ways: Sequence[Way], projects: Mapping[str, Project], samples: Sequence[Sample]
) -> list[str]:
    notes = []
    if len(samples) < wanted.limit:
        notes.append(f"{len(samples)} places are all that these files have, {wanted.limit} were asked for")
    for way in ways:
        entry = way.entry
        if wanted.languages and entry.languages and way.retrieval == wanted.retrieval[0]:
            other = sorted({sample.language for sample in samples} - set(entry.languages))
            if other:
                notes.append(f"{entry.name} was not made for {', '.join(other)}; it is asked because you said so")
    if any(way.model == embedded().name for way in ways):
        notes += [
            f"{embedded().name} has learned from {name}: what it remembers of it makes its figures better"
            for project in projects.values()
            if (name := learned(project.root))
        ]
    notes += [_adapter_note(adapter, projects, samples) for adapter in wanted.adapters]
    if not has_bleu():
        notes.append(NOT_INSTALLED)
    return notes


def _adapter_note(adapter: Path, projects: Mapping[str, Project], samples: Sequence[Sample]) -> str:
    """Which places an adapter may have seen in its training: by time, for it does not say what it was made from."""
    made = (adapter.expanduser() / WEIGHTS).stat().st_mtime
    earlier = sum(projects[sample.extra["group"]].changed[sample.name] <= made for sample in samples)
    day = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M UTC")
    name = inspect_adapter(adapter).name
    return (
        f"{earlier} of {len(samples)} places are in files that have not changed since {name} was made ({day}): "
        "where it was trained on this project, it may remember them"
    )
