"""One workspace folder: its index, its rules, and what a set of changed paths means for it."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Literal

from aix_lsp.completion.indexer import IndexReport, job_for
from aix_lsp.retrieval.bm25 import PackedSegment
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.settings import Settings

Phase = Literal["waiting", "scanning", "chunks", "definitions", "ready", "failed"]
"""Where the indexing of a folder stands: not begun; looking for files; reading and cutting them; similar lines are
found and definitions are being looked for; done; stopped, see `failure`."""

RESCAN_PATHS = 300
"""More changed paths than this at once, as when a branch is switched, are left to the indexer process."""


class Folder:
    """One workspace folder and its index."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.job = job_for(path, settings)
        self.scanner = self.job.scanner()
        self.index = RetrievalIndex(chunk_lines=settings.retrieval.chunk_lines)
        self.report: IndexReport | None = None
        self.scan: IndexReport | None = None
        """What the latest scan found; `report` is of the index in use."""
        self.phase: Phase = "waiting"
        self.failure = ""
        self.from_disk = False
        self.building: asyncio.Task[None] | None = None
        self.changed_meanwhile: set[str] = set()
        self.scanner_busy = True

    @property
    def is_building(self) -> bool:
        """Whether the indexer is at work on this folder."""
        return self.building is not None and not self.building.done()

    def relative(self, path: Path) -> str | None:
        """The path inside this folder with forward slashes, or None."""
        try:
            return path.relative_to(self.path).as_posix()
        except ValueError:
            return None

    def take_over(self, report: IndexReport, segment: PackedSegment) -> None:
        """Swap in a freshly built index. Definitions stay those known until the new ones come."""
        fresh = RetrievalIndex(chunk_lines=self.job.chunk_lines, definitions=self.index.definitions)
        fresh.load(segment)
        self.index = fresh
        self.report = self.scan = report
        self.from_disk = False
        self.enter("definitions")

    def scanned(self, found: IndexReport) -> None:
        """The scan is over, and files are read now."""
        self.scan = found
        self.enter("chunks")

    def enter(self, phase: Phase, failure: str = "") -> None:
        """Note where the indexing stands."""
        self.phase, self.failure = phase, failure


def expanded(folder: Folder, inside: set[str]) -> set[str]:
    """Changed paths with folders replaced by the files in them, and by those that were in them. Stops once there are
    enough for a rescan. Looks at the disk, so it runs in a thread; never raises for a name that cannot be looked at."""
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


def gone(folder: Folder, inside: set[str]) -> list[str]:
    """Those of the paths that are not on disk any more."""
    return [relative for relative in inside if not os.path.lexists(folder.path / relative)]


def needs_rescan(folder: Folder, inside: set[str]) -> bool:
    """Whether the whole folder must be looked at again: very many changes, another branch, other ignore rules."""
    return len(inside) > RESCAN_PATHS or any(
        relative in (".", ".git/HEAD") or folder.scanner.holds_rules(relative) for relative in inside
    )
