"""`aix-lsp eval workspace`: what the whole service offers on a project's own code, by one model or by several."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.cli.eval_output import (
    REPORT,
    check_out,
    interruptible,
    kept,
    print_tables,
    summary_of,
    tell_resumed,
    write_run,
    write_text,
)
from aix_lsp.cli.eval_progress import progress, say
from aix_lsp.cli.failure import UsageError
from aix_lsp.languages import language_of

if TYPE_CHECKING:
    from aix_lsp.evaluation.run_folder import RunFolder
    from aix_lsp.evaluation.workspace_plan import Plan, Retrieval, Wanted, Way
    from aix_lsp.evaluation.workspace_tables import Shown

_KEPT_RUNS: Final = 20
_SLOW_MS: Final = 5_000
_SLOW: Final = "answers took longer than 5 s, after which an editor gets what there is"
_IGNORED: Final = "# Results hold lines of the project: neither git nor aix-lsp is to take them for code.\n*\n"


def run(wanted: Wanted, *, out: Path | None, as_json: bool) -> None:
    """Ask what is not answered yet, show what came out, and write the reports to `out`; without it to a folder of their
    own in the user's cache."""
    _check(wanted, out)
    from aix_lsp.evaluation.workspace_plan import plan

    say(f"reading {', '.join(str(folder) for folder in wanted.folders)}")
    made = plan(wanted)
    for note in made.notes:
        say(note)
    root = _default_out(made) if out is None else out
    with ExitStack() as stack:
        folders = _opened(made, root, stack)
        _ask(made, folders, root)
        shown = _summaries(made, folders, root)
    if out is None:
        _forget_old(root)
    if all(result.output.error for result in shown[0].run.results):
        raise ValueError(f"no place was answered: {shown[0].run.results[0].output.error}")
    _show(shown, root, [comparison_file(way) for way in made.ways[1:]], as_json=as_json)


def comparison_file(way: Way) -> str:
    """The name of the report that compares a way of answering with the first."""
    return f"compared-{way.slug}.html"


def retrieval_of(text: str, *, several: bool) -> tuple[Retrieval, ...]:
    """What `--retrieval` means. Raises UsageError."""
    known: dict[str, tuple[Retrieval, ...]] = {
        "with": ("with",),
        "without": ("without",),
        "both": ("with", "without"),
        "": ("with",) if several else ("with", "without"),
    }
    if text not in known:
        raise UsageError(f"--retrieval takes with, without or both, not {text!r}")
    return known[text]


def _check(wanted: Wanted, out: Path | None) -> None:
    """Raises UsageError for what can be told before anything is read."""
    for folder in wanted.folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder")
    for one, other in itertools.permutations(wanted.folders, 2):
        if one.resolve().is_relative_to(other.resolve()):
            raise UsageError(f"{one} lies in {other}, or is the same; its places would be drawn twice")
    check_out(out)
    if out is not None and out.resolve() in (folder.resolve() for folder in wanted.folders):
        raise UsageError(f"{out} is the project itself; give --out a folder of its own")
    if wanted.adapters and len(wanted.models) > 1:
        raise UsageError("--adapter goes with one --model, the one that it was made from")
    unknown = [name for name in wanted.languages if not language_of("", name).name]
    if unknown:
        raise UsageError(
            f"--languages takes language identifiers such as python,typescript; unknown: {', '.join(unknown)}"
        )


def _default_out(plan: Plan) -> Path:
    """The folder for the runs of a plan: another one for each configuration, the same when it is asked again."""
    import platformdirs

    told = [{key: value for key, value in config.items() if key != "notes"} for config in plan.configs]
    digest = sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    name = plan.wanted.folders[0].resolve().name or "root"
    root = platformdirs.user_cache_path("aix-lsp", appauthor=False) / "eval"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return root / f"{name}-{digest}"


def _forget_old(kept: Path) -> None:
    """Let go of the oldest runs in the cache, but of none that is written to."""
    runs = sorted(kept.parent.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
    for path in runs[_KEPT_RUNS:]:
        if path != kept and path.is_dir() and not (path / "run.lock").exists():
            shutil.rmtree(path, ignore_errors=True)


def _opened(plan: Plan, root: Path, stack: ExitStack) -> list[RunFolder]:
    """A folder for each way: `root` for the first, folders in it for the others; all are held before anything is
    asked."""
    from aix_lsp.evaluation.run_folder import opened

    folders = []
    for number, (way, config) in enumerate(zip(plan.ways, plan.configs, strict=True)):
        folders.append(stack.enter_context(opened(root / way.slug if number else root, dict(config))))
        if not number:
            (root / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    return folders


def _ask(plan: Plan, folders: Sequence[RunFolder], root: Path) -> None:
    """Ask each way what its folder lacks. Control-C ends the process with 130 and one line that says how to go on."""
    from aix_lsp.evaluation.run_folder import unanswered
    from aix_lsp.evaluation.workspace_run import answer

    every = len(plan.samples)

    async def all_ways() -> None:
        try:
            for way, folder in zip(plan.ways, folders, strict=True):
                left = len(unanswered(plan.samples, folder.done))
                tell_resumed(folder.path, every - left, every, "places")
                if left:
                    with progress(way.label, left) as advance:
                        await answer(plan, way, folder, on_result=lambda result: advance(), on_warning=say)
        finally:
            for project in plan.projects.values():
                await project.context.close()

    def done() -> int:
        return sum(len(folder.done) for folder in folders)

    with interruptible(lambda: kept(root, done(), every * len(folders)), lambda: done() > 0):
        asyncio.run(all_ways())


def _summaries(plan: Plan, folders: Sequence[RunFolder], root: Path) -> list[Shown]:
    """Every run with its files, and its comparison with the first."""
    from aix_lsp.evaluation.comparison import compare
    from aix_lsp.evaluation.html_compare import report as comparison_report
    from aix_lsp.evaluation.html_samples import surrounded
    from aix_lsp.evaluation.summary import summarize
    from aix_lsp.evaluation.workspace_scores import metrics
    from aix_lsp.evaluation.workspace_tables import Shown

    shown: list[Shown] = []
    for way, folder in zip(plan.ways, folders, strict=True):
        _tell_slow(folder)
        data = folder.data
        summary = summarize(data.results, metrics(), seed=plan.wanted.seed)
        write_run(folder.path, surrounded(data, plan.samples), summary)
        comparison = None
        if shown:
            comparison = compare(shown[0].run, data, metrics(), seed=plan.wanted.seed)
            page = comparison_report(shown[0].run, data, comparison)
            write_text(root / comparison_file(way), page)
        shown.append(Shown(way.label, data, summary, comparison))
    return shown


def _tell_slow(folder: RunFolder) -> None:
    """A service in an editor would have cut answers that took too long; they are counted, not cut."""
    slow = sum(result.output.milliseconds > _SLOW_MS for result in folder.data.results)
    notes = [note for note in folder.config["notes"] if not note.endswith(_SLOW)]
    folder.tell(notes=[*notes, f"{slow} {_SLOW}"] if slow else notes)


def _show(shown: Sequence[Shown], root: Path, compared: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_data(shown), ensure_ascii=False))  # noqa: T201
    else:
        from aix_lsp.evaluation.workspace_tables import tables_of

        print_tables(tables_of(shown))
    say(f"{root / REPORT} has the report")
    for name in compared:
        say(f"{root / name} has what differs, place by place")


def _data(shown: Sequence[Shown]) -> dict[str, Any]:
    return {
        "runs": [{"label": each.label, **summary_of(each.run, each.summary)} for each in shown],
        "comparisons": [
            {"first": shown[0].label, "second": each.label, **each.comparison.to_dict()}
            for each in shown
            if each.comparison is not None
        ],
    }
