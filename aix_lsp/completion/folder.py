"""One workspace folder: its index, its rules, and what a set of changed paths means for it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from aix_lsp.completion.index_job import ChunksPart, DefinitionsPart, IndexJob, IndexReport, Part, ScannedPart, job_for
from aix_lsp.retrieval.definitions_packed import PackedDefinitions
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.store import read_packed
from aix_lsp.settings import Settings
from aix_lsp.workspace.disk import Disk
from aix_lsp.workspace.listing import PathRules
from aix_lsp.workspace.scanner import Scanner

Phase = Literal["waiting", "scanning", "chunks", "definitions", "ready", "failed"]
"""Where the indexing of a folder stands: not begun; looking for files; reading and cutting them; similar lines are
found and definitions are being looked for; done; stopped, see `failure`."""

_REMEMBERED: Final = 4_096
"""Files of which is known what the rules say."""

RESCAN_PATHS = 300
"""More changed paths than this at once, as when a branch is switched, are left to the indexer process."""


class StoredIndexError(Exception):
    """A kept index was replaced by another process, or is damaged."""


class Folder:
    """One workspace folder and its index."""

    def __init__(
        self, path: Path, settings: Settings, cache: Path | None = None, patience: float | None = None
    ) -> None:
        """`cache` is the folder of kept indexes; `patience` as `Disk` has it."""
        self.path = path
        self.disk = Disk(patience)
        self.silent = False
        """Whether the user was told that the disk does not answer, and it still does not."""
        self.missed = False
        """Whether a change could not be looked at, since the disk does not answer."""
        self.job = job_for(path, settings, cache)
        self.scanner = self.job.scanner()
        self._early_rules = PathRules(path, self.job.ignore, ask_git=False)
        self.index = RetrievalIndex(chunk_lines=settings.retrieval.chunk_lines)
        self.report: IndexReport | None = None
        self.scan: IndexReport | None = None
        """What the latest scan found; `report` is of the index in use."""
        self.phase: Phase = "waiting"
        self.failure = ""
        self.building: asyncio.Task[None] | None = None
        self.changed_meanwhile: set[str] = set()
        self.scanner_busy = True
        self.found = False  # whether the indexer at work has handed over all chunks
        self.rescan_due = False
        self.rules_changed = False
        self.last_storm = 0.0
        self._rules_read = 0
        self._ignored_by: dict[str, tuple[tuple[int, bool], str]] = {}
        self._reasons: dict[str, str | None] = {}

    @property
    def is_building(self) -> bool:
        """Whether the indexer is at work on this folder."""
        return self.building is not None and not self.building.done()

    def relative(self, path: Path) -> str | None:
        """The path inside this folder with forward slashes, or None; `..` may lead out of it."""
        try:
            inside = path.relative_to(self.path)
        except ValueError:
            return None
        return None if ".." in inside.parts else inside.as_posix()

    def ignored_by(self, relative: str) -> str:
        """Which ignore rules leave a file out, by the name of their file or option; "" where none do. While the scanner
        is busy git is not asked, so that a file which it tracks in spite of its rules counts as ignored. While the disk
        does not answer, what it said last counts; a file that was not asked for before is not ignored."""
        rules_of = self._rules_read, self.scanner_busy
        read_with, known = self._ignored_by.get(relative, (None, ""))
        if read_with == rules_of:
            return known
        rules = self._early_rules if self.scanner_busy else self.scanner
        answer = self.disk.ask(lambda: rules.ignored_by(relative), None)
        if answer is None:
            return known
        if len(self._ignored_by) >= _REMEMBERED:
            self._ignored_by.clear()
        self._ignored_by[relative] = rules_of, answer
        return answer

    def reason(self, relative: str) -> str | None:
        """Why the scanner leaves a file out, or None. While the disk does not answer, what it said last counts; a file
        that was not asked for before is left out."""
        known = self._reasons.get(relative, "unreadable")
        answer = self.disk.ask(lambda: self.scanner.reason(relative), known)
        if len(self._reasons) >= _REMEMBERED:
            self._reasons.clear()
        self._reasons[relative] = answer
        return answer

    def read(self, relative: str) -> str | None:
        """Text of a file that the scanner accepts, or None, also while the disk does not answer."""
        return self.disk.ask(lambda: self.scanner.read(relative), None)

    def forget_rules(self) -> None:
        """Ignore files may have changed: read them again when next needed."""
        self._rules_read += 1
        self.scanner.invalidate()
        self._early_rules.invalidate()

    def job_with(self, open_paths: Iterable[Path], *, reuse: bool = True) -> IndexJob:
        """The job of this moment: files beside open documents come first."""
        inside = (item for path in open_paths if (item := self.relative(path)) is not None)
        return replace(self.job, reuse=reuse, first=sorted({item.rpartition("/")[0] for item in inside}))

    def follow(self, scanner: Scanner) -> None:
        """Have `scanner`, made by this folder's job, decide from now on; it has read the rules of now."""
        self._rules_read += 1
        scanner.judged = self.scanner.judged
        self.scanner = scanner

    def enter(self, phase: Phase, failure: str = "") -> None:
        """Note where the indexing stands."""
        self.phase, self.failure = phase, failure


class Takeover:
    """Puts what one run of the indexer hands over in a folder's place. The index in use stays until all chunks are
    there, unless it is empty."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._fresh: RetrievalIndex | None = None
        self._mark: int | None = None
        self._definitions = PackedDefinitions.empty()
        self._definitions_mark = folder.index.definitions.mark()

    def prepare(self, part: Part) -> None:
        """What takes time, on any thread. Raises StoredIndexError or ValueError when something is broken."""
        if isinstance(part, DefinitionsPart):
            self._definitions = PackedDefinitions.from_bytes(part.packed)
        if not isinstance(part, ChunksPart):
            return
        if self._fresh is None:
            self._fresh = RetrievalIndex(chunk_lines=self._folder.job.chunk_lines)
        if part.stored is not None:
            try:
                kept = PackedSegment.from_bytes(read_packed(Path(part.stored.path), part.stored.identity))
            except (OSError, ValueError) as error:
                raise StoredIndexError(str(error)) from error
            self._fresh.load(kept)
            self._fresh.remove_many(part.gone)
        if part.packed:
            self._fresh.load(PackedSegment.from_bytes(part.packed), since=self._mark)

    def finish(self, part: Part) -> None:
        """What nobody else may do meanwhile; quick."""
        folder = self._folder
        definitions = folder.index.definitions
        if isinstance(part, ScannedPart):
            folder.scan = part.report
            folder.enter("chunks")
        elif isinstance(part, DefinitionsPart):
            if part.last or not len(definitions):
                definitions.load(self._definitions, since=self._definitions_mark)
        elif self._fresh is not None:
            folder.report = folder.scan = part.report
            folder.scanner.judged.take_over(part.quotable)
            if part.last:
                folder.enter("definitions")
            if self._mark is None and (part.last or not len(folder.index)):
                self._fresh.definitions = definitions
                folder.index = self._fresh
                self._mark = self._fresh.mark()


def expanded(folder: Folder, paths: Iterable[Path]) -> set[str]:
    """Changed paths inside a folder, relative to it, with folders replaced by the files in them, and by those that were
    in them. Stops once there are enough for a rescan. Looks at the disk, so it runs in a thread; never raises for a
    name that cannot be looked at."""
    inside = {item for path in paths if (item := folder.relative(path)) is not None}
    files: set[str] = set()
    vanished: list[str] = []
    for relative in inside:
        path = os.path.join(folder.path, relative)  # noqa: PTH118  # pathlib raises for names that are too long
        if relative not in (".", "") and os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            below = (
                Path(parent, name).relative_to(folder.path).as_posix()
                for parent, _, names in os.walk(path)
                for name in names
            )
            files.update(itertools.islice(below, RESCAN_PATHS + 1))
            vanished.append(relative + "/")
        else:
            files.add(relative)
            if not os.path.lexists(path):
                vanished.append(relative + "/")
    if vanished:
        files.update(item for item in folder.index.paths() if item.startswith(tuple(vanished)))
    return files


def gone(folder: Folder, scanner: Scanner | None = None) -> list[str]:
    """Those files of the index that are not on disk any more, or that the rules of `scanner` ignore. Looks at the disk
    and starts git, so it runs in a thread, and `scanner` is nobody else's meanwhile."""
    prefix = os.path.join(folder.path, "")  # noqa: PTH118  # pathlib is slow for ten thousand files
    known = folder.index.paths() | folder.index.definitions.paths()
    found = [relative for relative in known if not os.path.lexists(prefix + relative)]
    if scanner is not None:
        scanner.ignored("any.py")  # reads the rules, also where no file is known yet
        found += [relative for relative in known.difference(found) if scanner.ignored(relative)]
    return found


def needs_rescan(folder: Folder, inside: set[str]) -> bool:
    """Whether the whole folder must be looked at again: very many changes, another branch, other ignore rules."""
    return len(inside) > RESCAN_PATHS or any(
        relative in (".", ".git/HEAD") or folder.scanner.holds_rules(relative) for relative in inside
    )
