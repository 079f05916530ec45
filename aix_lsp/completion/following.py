"""Folders follow the disk: indexed in a process of their own (`indexer.py`), then kept up to date path by path.

Lives on the event loop, in slices. Very many changes at once are left to the indexer; what is gone by then is not
searched any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from aix_lsp.completion.folder import Folder, StoredIndexError, Takeover, expanded, gone, needs_rescan
from aix_lsp.completion.index_job import ChunksPart, IndexJob, IndexReport
from aix_lsp.completion.indexer_client import indexer_process
from aix_lsp.completion.indexing import index
from aix_lsp.completion.open_documents import OpenDocuments
from aix_lsp.completion.packing import Packer
from aix_lsp.completion.silent_disk import Silences
from aix_lsp.workspace.disk import in_thread

logger = logging.getLogger(__name__)

_SLICE_SECONDS = 0.004
_QUIET_SECONDS = 0.3
_MOST_WAITED_SECONDS = 3.0
_LOOK_AGAIN_S = 5.0
_GONE = "it is not there, or cannot be read"
_MOST_WAITING = 10_000
"""Changed paths that wait for a disk; more are as good as the whole folder."""


class DiskFollower:
    """Keeps the indexes of `folders` as the disk is. The text of an open document counts, not what is on disk."""

    def __init__(
        self,
        folders: Mapping[Path, Folder],
        documents: OpenDocuments,
        packer: Packer,
        on_state: Callable[[Path, str], None],
    ) -> None:
        """`folders` is looked at anew each time. `on_state` as `WorkspaceContext` has it."""
        self._folders = folders
        self._documents = documents
        self._packer = packer
        self._on_state = on_state
        self._updates: dict[Path, asyncio.Task[None]] = {}
        """One for each folder: a disk that does not answer holds up what is its own."""
        self._builds: set[asyncio.Task[None]] = set()
        self._pending: dict[Path, set[Path]] = {}
        self._silence = Silences(on_state, self._answers)

    def begin(self, folder: Folder) -> None:
        """Index a folder that may not be there, or whose disk may not answer."""
        self._build(folder, self._index_if_there(folder))

    def start_indexing(self, folder: Folder) -> None:
        """Index a folder in the indexer process; the index in use stays until the new one is whole."""
        self._build(folder, self._index(folder))

    def _build(self, folder: Folder, work: Coroutine[Any, Any, None]) -> None:
        if folder.building is not None:
            folder.building.cancel()
        folder.found = folder.rescan_due = folder.rules_changed = False
        folder.building = asyncio.ensure_future(work)
        self._builds.add(folder.building)
        folder.building.add_done_callback(self._builds.discard)

    async def _index_if_there(self, folder: Folder) -> None:
        if await self._silence.told_of(folder, in_thread(_is_there, folder)):
            await self._index(folder)
        else:
            self._on_state(folder.path, "absent")
            await self.lose(folder)

    def listen_to(self, folder: Folder) -> None:
        """Tell by `on_state` when the folder's disk does not answer, and look at the folder when it does again."""
        self._silence.listen_to(folder)

    def _answers(self, folder: Folder, missed: bool) -> None:
        self._documents.all_stale()
        if missed and self._folders.get(folder.path) is folder:
            self.paths_changed([folder.path])

    async def lose(self, folder: Folder) -> None:
        """The folder is not on disk, or cannot be entered: nothing of it is searched until it is there again. Open
        documents in it are."""
        if folder.building is not None:
            if folder.building is not asyncio.current_task():
                folder.building.cancel()
            folder.building = None  # one that ends slowly must not be taken for one that will look again
        await self._forget_gone(folder, rules=False)
        folder.forget_rules()
        await _warm_up(folder)
        self._documents.all_stale()
        folder.enter("failed", _GONE)
        self._on_state(folder.path, "gone")
        again = asyncio.ensure_future(self._look_again(folder))
        self._builds.add(again)
        again.add_done_callback(self._builds.discard)

    async def _look_again(self, folder: Folder) -> None:
        """The watcher tells when a folder is there again, unless it was away between two of its looks only."""
        await asyncio.sleep(_LOOK_AGAIN_S)
        is_known = self._folders.get(folder.path) is folder and folder.failure == _GONE
        if is_known and await in_thread(_is_there, folder):
            self.paths_changed([folder.path])

    def index_now(self, folder: Folder) -> IndexReport:
        """Index a folder in this process and wait for it; for one-shot commands."""
        try:
            _index_here(folder, folder.job)
        except StoredIndexError:
            _index_here(folder, folder.job_with((), reuse=False))
        folder.scanner_busy = False
        if folder.report is None:
            raise RuntimeError("the folder was not indexed")
        folder.enter("ready")
        return folder.report

    def paths_changed(self, paths: Iterable[Path]) -> None:
        """Something happened to these paths on disk. Looked at in slices, so that the loop stays free."""
        changed = set(paths)
        if not changed:
            return
        for folder in self._folders.values():
            waiting = self._pending.setdefault(folder.path, set())
            waiting |= changed
            if len(waiting) > _MOST_WAITING:
                self._pending[folder.path] = {folder.path}
            if folder.path not in self._updates:
                self._updates[folder.path] = asyncio.ensure_future(self._work_off(folder.path))

    async def close(self) -> None:
        """Stop what runs in the background."""
        tasks = [*self._builds, *self._updates.values()]
        for task in tasks:
            if not task.cancelling():  # a second time would end its cleaning up
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # the whole folder

    def _rescan(self, folder: Folder, *, rules: bool) -> None:
        """Have the indexer look again once it is quiet. It is not stopped before it has handed over what is similar:
        one storm after the other would keep it from ever doing so."""
        folder.last_storm = time.monotonic()
        if not folder.is_building or folder.found:
            self.start_indexing(folder)
        folder.rescan_due = True
        folder.rules_changed |= rules

    async def _index(self, folder: Folder) -> None:
        self._on_state(folder.path, "indexing")
        again = True
        while again:
            folder.enter("scanning")
            await _quiet_since(folder)
            folder.rescan_due = folder.rules_changed = False
            try:
                await self._index_once(folder)
            except Exception as error:  # noqa: BLE001  # else the folder would be shown as being indexed for ever
                logger.warning(
                    "indexing %s failed: %s", "definitions" if folder.found else "a folder", type(error).__name__
                )
                folder.enter("failed", str(error) if isinstance(error, (RuntimeError, OSError)) else "broken index")
                if not folder.found:
                    await self._settle(folder, f"failed: {folder.failure}")
            again = folder.rescan_due
        folder.changed_meanwhile.clear()  # both indexes have it already
        await self._packer.pack(folder.index)
        if not folder.failure:
            folder.enter("ready")

    async def _index_once(self, folder: Folder) -> None:
        """Follow the indexer to its end, or until the folder must be looked at again."""
        folder.forget_rules()
        folder.changed_meanwhile.clear()  # the indexer sees it
        for reuse in (True, True, False):
            try:
                return await self._follow(folder, folder.job_with(self._documents, reuse=reuse))
            except StoredIndexError:
                # another process has just replaced the kept index, or it is damaged
                logger.info("the kept index could not be used")
        raise RuntimeError("no index could be made")

    async def _follow(self, folder: Folder, job: IndexJob) -> None:
        takeover = Takeover(folder)
        async with indexer_process() as process:
            async for part in process.parts(job):
                await asyncio.to_thread(takeover.prepare, part)
                if folder.rules_changed:
                    # it may hold what must not be quoted any more, and the first files of it are searched already
                    await self._forget_gone(folder, rules=True)
                    return
                takeover.finish(part)
                self._documents.all_stale()
                if isinstance(part, ChunksPart) and part.last:
                    if folder.rescan_due:
                        return  # soon there is something newer
                    folder.found = True
                    await self._settle(folder, "ready")

    async def _settle(self, folder: Folder, state: str) -> None:
        """Similar lines can be found: take over what changed meanwhile."""
        await _warm_up(folder)
        self.paths_changed(folder.path / relative for relative in folder.changed_meanwhile)
        folder.changed_meanwhile.clear()
        await self._packer.pack(folder.index)
        self._on_state(folder.path, state)

    async def _forget_gone(self, folder: Folder, *, rules: bool) -> None:
        """What is no longer on disk, or what changed `rules` ignore, is not searched any more, before the indexer has
        looked at everything. Definitions are shared with the index that it is making."""
        index = folder.index
        scanner = folder.job.scanner() if rules else None
        paths = await in_thread(gone, folder, scanner)
        if scanner is not None:
            folder.follow(scanner)
            self._documents.all_stale()  # meanwhile one may have been taken over by the rules of before
        await asyncio.to_thread(index.remove_chunks, paths)
        began = time.monotonic()
        for path in paths:
            index.definitions.remove(path)
            if time.monotonic() - began > _SLICE_SECONDS:
                await asyncio.sleep(0)
                began = time.monotonic()

    # single paths

    async def _work_off(self, path: Path) -> None:
        try:
            while paths := self._pending.pop(path, None):
                folder = self._folders.get(path)
                if folder is not None:
                    await self._look_at(folder, paths)
        finally:
            del self._updates[path]

    async def _look_at(self, folder: Folder, paths: Iterable[Path]) -> None:
        inside = await in_thread(expanded, folder, paths)
        if self._folders.get(folder.path) is not folder or not inside:
            return
        if needs_rescan(folder, inside):
            if not await in_thread(_is_there, folder):
                await self.lose(folder)
                return
            rules = any(map(folder.scanner.holds_rules, inside))
            self._rescan(folder, rules=rules)
            await self._forget_gone(folder, rules=rules)
            return
        began = time.monotonic()
        for relative in inside:
            self._path_changed(folder, relative)
            if time.monotonic() - began > _SLICE_SECONDS:
                await asyncio.sleep(0)
                began = time.monotonic()
        await self._packer.pack(folder.index)

    def _path_changed(self, folder: Folder, relative: str) -> None:
        if relative.startswith(".git/") or folder.path / relative in self._documents:
            return
        if folder.is_building:
            folder.changed_meanwhile.add(relative)
        if folder.scanner_busy:
            return
        scanner = folder.scanner
        found = folder.disk.ask(lambda: [scanner.read(relative)] if scanner.accepts(relative) else [None], None)
        if found is None:
            folder.missed = True
            return
        (text,) = found
        if text is None:
            folder.index.remove(relative)
        else:
            folder.index.update(relative, text)


def _is_there(folder: Folder) -> bool:
    """Whether a folder is on disk. Path.is_dir raises where a mount is dead or a folder above cannot be searched."""
    return os.path.isdir(folder.path)  # noqa: PTH112


def _index_here(folder: Folder, job: IndexJob) -> None:
    takeover = Takeover(folder)
    for part in index(job):
        takeover.prepare(part)
        takeover.finish(part)


async def _warm_up(folder: Folder) -> None:
    """The first question after the rules were read anew starts git; not on the loop, and nobody else asks meanwhile,
    since a scanner is not for two threads at once."""
    folder.scanner_busy = True
    try:
        await in_thread(folder.scanner.accepts, "any.py")
    finally:
        folder.scanner_busy = False


async def _quiet_since(folder: Folder) -> None:
    """Wait for the end of a storm of changes; not at all when there was none."""
    end = time.monotonic() + _MOST_WAITED_SECONDS
    while (rest := min(end, folder.last_storm + _QUIET_SECONDS) - time.monotonic()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(rest)
