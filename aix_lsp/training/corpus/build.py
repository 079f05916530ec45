"""The whole way from folders of projects to a corpus.

Projects are read one after another, in order, in this process, which also finds near duplicates: whether a file is one
depends on all files before it, and so on nothing that runs beside it. What is left of a project is cleaned, ordered and
written in processes of their own, a few projects ahead at most, so that never more than a few projects are in memory.

A finished project is one line of `build.jsonl`. A build that was cut off goes on behind the last of them: finished
projects are read once more for near duplicates, not cleaned again, and the corpus is the same, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aix_lsp
from aix_lsp.files import TEMPORARY
from aix_lsp.training.corpus.cleaning import Cleaned, Options, clean_project
from aix_lsp.training.corpus.records import Dropped, Project, SourceFile
from aix_lsp.training.corpus.report import Tally, read_report, report_data, write_report
from aix_lsp.training.corpus.sampling import runs
from aix_lsp.training.corpus.store import FORMAT, MANIFEST, STATE, Corpus, CorpusError, write_manifest

if TYPE_CHECKING:
    from aix_lsp.training.corpus.near_duplicates import NearDuplicates


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: projects done and in all, the name of the last, files and characters kept so far."""

    done: int
    total: int
    project: str
    files: int
    characters: int


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build(
    sources: Sequence[Path],
    out: Path,
    options: Options,
    *,
    stars: Mapping[str, int] | None = None,
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Make a corpus of the projects under `sources` in the folder `out`; returns the report.

    Goes on with an interrupted build of the same sources and options, and leaves a whole corpus of them as it is.
    Raises CorpusError when no project is left, and when `out` holds something else; OSError of a full disk.
    """
    from aix_lsp.training.corpus.projects import find_projects, select

    found = find_projects(sources, stars)
    projects, left_out = select(found, allow_unknown=options.allow_unknown)
    left_out = list(left_out)
    if not projects:
        raise CorpusError(f"no project is left to learn from: {_reasons(left_out)}")
    settings = {**options.data(), "sources": _fingerprint(projects)}
    if (out / MANIFEST).is_file():
        if Corpus.open(out).settings != settings:
            raise CorpusError(f"{out} already holds a corpus of other sources or options; build into another folder")
        (out / STATE).unlink(missing_ok=True)  # of a build that was killed at its very end
        return read_report(out)
    state = _State.open(out, {"format": FORMAT, "version": aix_lsp.__version__, **settings})
    shown = Tally()
    entries = []
    jobs = jobs or usable_cores()
    with _pool(jobs) as pool:
        for cleaned in _cleaned(projects, out, options, state, pool, ahead=2 * jobs):
            shown.add(cleaned.tally)
            if cleaned.entry.files:
                entries.append(cleaned.entry)
            else:
                left_out.append(Dropped("projects", cleaned.entry.name, "no file left"))
            if progress is not None:
                files, characters = sum(one.files for one in entries), sum(one.characters for one in entries)
                done = len(state.finished)
                progress(Progress(done, len(projects), cleaned.entry.name, files, characters))
    report = report_data(shown, entries, left_out)
    write_report(out, report)
    for part in (out / "files").glob(f".*{TEMPORARY}"):  # of a build that was killed
        part.unlink(missing_ok=True)
    write_manifest(out, entries, settings, aix_lsp.__version__)
    state.remove()
    return report


def _cleaned(
    projects: Sequence[Project],
    out: Path,
    options: Options,
    state: _State,
    pool: ProcessPoolExecutor | None,
    *,
    ahead: int,
) -> Iterator[Cleaned]:
    """Every project in order, cleaned now or earlier; at most `ahead` are in the pool."""
    from aix_lsp.training.corpus.near_duplicates import NearDuplicates

    duplicates = NearDuplicates()
    running: deque[Future[Cleaned]] = deque()
    try:
        for project in projects:
            finished = state.finished.get(project.name)
            tally = Tally()
            files = _read(project, options, duplicates, tally)
            if finished is not None:
                # it may only be among the first, so nothing is running
                yield finished
            elif pool is None:
                yield state.add(clean_project(out, project.name, project.licence, files, options, tally))
            else:
                running.append(pool.submit(clean_project, out, project.name, project.licence, files, options, tally))
                while running and (len(running) > ahead or running[0].done()):
                    yield state.add(running.popleft().result())
        while running:
            yield state.add(running.popleft().result())
    except BrokenProcessPool as error:
        raise CorpusError(
            "a process that cleaned files ended early, perhaps out of memory; "
            "the same command goes on, and --jobs 1 takes the least memory"
        ) from error


def _read(project: Project, options: Options, duplicates: NearDuplicates, tally: Tally) -> list[SourceFile]:
    """The project's files that are code and not near an earlier file of any project."""
    from aix_lsp.training.corpus.files import read_files

    found: list[SourceFile] = []
    for file in read_files(project, languages=options.languages, tests_share=options.tests_share, seed=options.seed):
        if isinstance(file, Dropped):
            tally.steps["files"].dropped(file.characters, file.reason)
        else:
            found.append(file)
    chosen = found
    if options.characters_per_project is not None:
        chosen = runs(found, options.characters_per_project, options.seed)
        taken = {file.path for file in chosen}
        for file in found:
            if file.path not in taken:
                tally.steps["files"].dropped(len(file.text), "not drawn from a large project")
    kept = []
    for file in chosen:
        size = len(file.text)
        tally.steps["files"].kept(size)
        if duplicates.earlier(file) is None:
            tally.steps["near duplicates"].kept(size)
            kept.append(file)
        else:
            tally.steps["near duplicates"].dropped(size, "near duplicate of an earlier file")
    return kept


def _fingerprint(projects: Iterable[Project]) -> str:
    told = json.dumps([(project.name, project.licence) for project in projects])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _reasons(left_out: Sequence[Dropped]) -> str:
    if not left_out:
        return "the sources hold none"
    return "; ".join(dict.fromkeys(f"{one.what}: {one.reason}" for one in left_out[:5]))


@dataclass(slots=True)
class _State:
    """The finished projects of an unfinished build: a line that tells what is built, then a line for each project."""

    path: Path
    finished: dict[str, Cleaned] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, head: Mapping[str, Any]) -> _State:
        """Go on with the build in `out`, or begin one. Raises CorpusError when something else is there."""
        path = out / STATE
        state = cls(path)
        if not path.is_file():
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise CorpusError(f"{out} is not empty and holds no corpus; build into a new folder")
            out.mkdir(parents=True, exist_ok=True)
            state._append(head)
            return state
        lines = path.read_bytes().splitlines(keepends=True)
        # the last line was cut off where the build was
        whole = [line for line in lines if line.endswith(b"\n")]
        try:
            records = [json.loads(line) for line in whole]
            if records and records[0] != head:
                raise CorpusError(
                    f"{out} holds an interrupted build of other sources or options; remove it, or build elsewhere"
                )
            for record in records[1:]:
                cleaned = Cleaned.from_data(record)
                state.finished[cleaned.entry.name] = cleaned
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise CorpusError(f"{path} is damaged; remove {out} and build again") from error
        if len(whole) < len(lines):
            with path.open("r+b") as file:
                file.truncate(sum(map(len, whole)))
        if not whole:
            state._append(head)
        return state

    def add(self, cleaned: Cleaned) -> Cleaned:
        """Remember that a project is finished; its shard is on disk already."""
        self._append(cleaned.data())
        self.finished[cleaned.entry.name] = cleaned
        return cleaned

    def remove(self) -> None:
        """Forget the build, which is whole."""
        self.path.unlink(missing_ok=True)

    def _append(self, record: Mapping[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes that clean projects; None for one job, which this process does itself."""
    if jobs <= 1:
        yield None
        return
    import multiprocessing

    # spawned, not forked: this process may have threads of libraries
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """End at once on control-C, and when the process that gives out the work is gone."""
    import multiprocessing
    import signal
    import threading
    from multiprocessing.connection import wait

    def end(*_: object) -> None:
        os._exit(130)

    def watch(parent: Any) -> None:
        wait([parent])
        end()

    signal.signal(signal.SIGINT, end)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
