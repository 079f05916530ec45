"""The workspace as retrieval sees it: for every folder an index that follows the disk and the open documents.

Lives on the event loop. Folders are indexed in a process of their own (`indexer.py`); single files are updated
here. The text of an open document counts, not what is on disk; an edit is taken over when the next query from
another document comes, so typing costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from aix_lsp.completion.folder import Folder, StoredIndexError, Takeover, expanded, gone, needs_rescan
from aix_lsp.completion.index_job import ChunksPart, IndexJob, IndexReport
from aix_lsp.completion.indexer_client import indexer_process
from aix_lsp.completion.indexing import index
from aix_lsp.completion.several_roots import OTHER_FOLDER_WEIGHT, Found, best_of_all
from aix_lsp.languages import is_code
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet
from aix_lsp.workspace.secrets import contains_secret, is_secret_path

logger = logging.getLogger(__name__)

_SLICE_SECONDS = 0.01
_QUIET_SECONDS = 0.3
_MOST_WAITED_SECONDS = 3.0


class WorkspaceContext:
    """All folders, and the open documents over them. Implements the service's Retriever."""

    def __init__(
        self, settings: Settings, on_state: Callable[[Path, str], None] | None = None, cache: Path | None = None
    ) -> None:
        """`on_state(folder, "indexing" | "ready" | "failed: why" | "removed")` is called on the event loop. `cache` is
        the folder of kept indexes (`index_cache.cache_folder`); None keeps none."""
        self._settings = settings
        self._cache = cache
        self._on_state = on_state or (lambda folder, state: None)
        self._folders: dict[Path, Folder] = {}
        self._open: dict[Path, tuple[str, str]] = {}
        self._stale: set[Path] = set()
        self._elsewhere = RetrievalIndex(chunk_lines=settings.retrieval.chunk_lines)
        self._updates: asyncio.Task[None] | None = None
        self._builds: set[asyncio.Task[None]] = set()
        self._pending: set[Path] = set()

    @property
    def folders(self) -> tuple[Folder, ...]:
        """The folders in the order they were added."""
        return tuple(self._folders.values())

    def add_folder(self, path: Path) -> Folder:
        """Know a folder. Its index is empty until it is built."""
        if path not in self._folders:
            self._folders[path] = Folder(path, self._settings, self._cache)
            self._stale.update(self._open)
        return self._folders[path]

    def remove_folder(self, path: Path) -> None:
        """Forget a folder and stop indexing it."""
        folder = self._folders.pop(path, None)
        if folder is not None and folder.building is not None:
            folder.building.cancel()
            self._on_state(path, "removed")
        self._stale.update(self._open)

    def start_indexing(self, path: Path) -> None:
        """Index a folder in the indexer process; the index in use stays until the new one is whole."""
        folder = self._folders[path]
        if folder.building is not None:
            folder.building.cancel()
        folder.found = folder.rescan_due = folder.rules_changed = False
        folder.building = asyncio.ensure_future(self._index(folder))
        self._builds.add(folder.building)
        folder.building.add_done_callback(self._builds.discard)

    def _rescan(self, folder: Folder, *, rules: bool) -> None:
        """Have the indexer look again once it is quiet. It is not stopped before it has handed over what is similar:
        one storm after the other would keep it from ever doing so."""
        folder.last_storm = time.monotonic()
        if not folder.is_building or folder.found:
            self.start_indexing(folder.path)
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
            except (RuntimeError, OSError, ValueError, TypeError, KeyError) as error:
                logger.warning(
                    "indexing %s failed: %s", "definitions" if folder.found else "a folder", type(error).__name__
                )
                folder.enter("failed", str(error) if isinstance(error, (RuntimeError, OSError)) else "broken index")
                if not folder.found:
                    await self._settle(folder, f"failed: {folder.failure}")
            again = folder.rescan_due
        folder.changed_meanwhile.clear()  # both indexes have it already
        await self._pack(folder)
        if not folder.failure:
            folder.enter("ready")

    async def _index_once(self, folder: Folder) -> None:
        """Follow the indexer to its end, or until the folder must be looked at again."""
        folder.scanner.invalidate()
        folder.changed_meanwhile.clear()  # the indexer sees it
        for reuse in (True, True, False):
            try:
                return await self._follow(folder, folder.job_with(self._open, reuse=reuse))
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
                    return  # it may hold what must not be quoted any more
                takeover.finish(part)
                self._stale.update(self._open)
                if isinstance(part, ChunksPart) and part.last:
                    if folder.rescan_due:
                        return  # soon there is something newer
                    folder.found = True
                    await self._settle(folder, "ready")

    async def _settle(self, folder: Folder, state: str) -> None:
        """Similar lines can be found: take over what changed meanwhile."""
        await self._warm_up(folder)
        self.paths_changed(folder.path / relative for relative in folder.changed_meanwhile)
        folder.changed_meanwhile.clear()
        await self._pack(folder)
        self._on_state(folder.path, state)

    def index_now(self, path: Path) -> IndexReport:
        """Index a folder in this process and wait for it; for one-shot commands."""
        folder = self.add_folder(path)
        try:
            self._index_here(folder, folder.job)
        except StoredIndexError:
            self._index_here(folder, folder.job_with((), reuse=False))
        folder.scanner_busy = False
        if folder.report is None:
            raise RuntimeError("the folder was not indexed")
        folder.enter("ready")
        return folder.report

    @staticmethod
    def _index_here(folder: Folder, job: IndexJob) -> None:
        takeover = Takeover(folder)
        for part in index(job):
            takeover.prepare(part)
            takeover.finish(part)

    def opened_or_changed(self, path: Path, text: str, language_id: str) -> None:
        """An open document's text is now this."""
        self._open[path] = (text, language_id)
        self._stale.add(path)

    def closed(self, path: Path) -> None:
        """The document was closed; what is on disk counts again."""
        self._open.pop(path, None)
        self._stale.discard(path)
        self._elsewhere.remove(path.as_posix())
        self.paths_changed([path])

    def paths_changed(self, paths: Iterable[Path]) -> None:
        """Something happened to these paths on disk. Looked at in slices, so that the loop stays free."""
        self._pending.update(paths)
        if self._updates is None or self._updates.done():
            self._updates = asyncio.ensure_future(self._work_off())

    async def _work_off(self) -> None:
        while self._pending:
            paths, self._pending = self._pending, set()
            began = time.monotonic()
            for folder in self.folders:
                inside = await asyncio.to_thread(expanded, folder, paths)
                if folder.path not in self._folders or not inside:
                    continue
                if needs_rescan(folder, inside):
                    self._rescan(folder, rules=any(map(folder.scanner.holds_rules, inside)))
                    await self._forget_gone(folder)
                    began = time.monotonic()
                    continue
                for relative in inside:
                    self._path_changed(folder, relative)
                    if time.monotonic() - began > _SLICE_SECONDS:
                        await asyncio.sleep(0)
                        began = time.monotonic()
                await self._pack(folder)

    async def _forget_gone(self, folder: Folder) -> None:
        """What is no longer on disk is not searched any more, before the indexer has looked at everything."""
        index = folder.index
        paths = await asyncio.to_thread(gone, folder)
        await asyncio.to_thread(index.remove_chunks, paths)
        began = time.monotonic()
        for path in paths:
            index.definitions.remove(path)
            if time.monotonic() - began > _SLICE_SECONDS:
                await asyncio.sleep(0)
                began = time.monotonic()

    async def _warm_up(self, folder: Folder) -> None:
        """The first question after the rules were read anew starts git; not on the loop, and nobody else asks
        meanwhile, since a scanner is not for two threads at once."""
        folder.scanner_busy = True
        try:
            await asyncio.to_thread(folder.scanner.accepts, "any.py")
        finally:
            folder.scanner_busy = False

    async def _pack(self, folder: Folder) -> None:
        if folder.index.packing_due:
            await asyncio.to_thread(folder.index.pack)

    def _path_changed(self, folder: Folder, relative: str) -> None:
        if relative.startswith(".git/") or folder.path / relative in self._open:
            return
        if folder.is_building:
            folder.changed_meanwhile.add(relative)
        if folder.scanner_busy:
            return
        self._update_from_disk(folder, relative)

    def _update_from_disk(self, folder: Folder, relative: str) -> None:
        text = folder.scanner.read(relative) if folder.scanner.accepts(relative) else None
        if text is None:
            folder.index.remove(relative)
        else:
            folder.index.update(relative, text)

    def _take_over_open_documents(self, current: Path | None) -> None:
        for path in [item for item in self._stale if item != current]:
            owner = self._owner(path)
            if owner is not None and owner.scanner_busy:
                continue
            self._stale.discard(path)
            text, language_id = self._open[path]
            index = self._elsewhere if owner is None else owner.index
            name = path.as_posix() if owner is None else owner.relative(path) or path.name
            if self._is_quotable(path, owner, text):
                index.update(name, text, language_id)
            else:
                # perhaps it was quotable before this edit
                index.remove(name)

    def _is_quotable(self, path: Path, owner: Folder | None, text: str) -> bool:
        """Whether the text of an open document may be quoted elsewhere: the rules for files on disk, but for a file
        that is not on disk yet. The cheap questions come first."""
        if len(text) > self._settings.workspace.max_file_kb * 1024 or not is_code(path.name):
            return False
        if is_secret_path(path.as_posix()):
            return False
        if owner is not None and owner.scanner.reason(owner.relative(path) or "") not in (None, "missing"):
            return False
        return not contains_secret(text)

    def _owner(self, path: Path) -> Folder | None:
        """The innermost folder that holds a path."""
        holding = [folder for folder in self.folders if folder.relative(path) is not None]
        return max(holding, key=lambda folder: len(folder.path.parts), default=None)

    def name_of(self, path: Path) -> str:
        """How a file is called in prompts: its path inside its folder, else its own name."""
        owner = self._owner(path)
        return (owner.relative(path) if owner is not None else None) or path.name

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """The best snippets for a place. The document's own folder comes first: hits of other folders count less."""
        self._take_over_open_documents(document.path)
        own = self._owner(document.path) if document.path is not None else None
        found: list[Found] = []
        for number, folder in enumerate(self.folders, 1):
            relative = folder.relative(document.path) if document.path is not None else None
            weight = 1.0 if own in (folder, None) else OTHER_FOLDER_WEIGHT
            hits = self._query(folder.index, document, offset, settings, relative, self._reader(folder))
            if len(self._folders) > 1:  # what lies in an inner folder too is that folder's to quote
                hits = [hit for hit in hits if self._owner(folder.path / hit.path) is folder]
            found.extend(Found(number, weight, hit) for hit in hits)
        outside = document.path.as_posix() if document.path is not None else None
        weight = OTHER_FOLDER_WEIGHT if own else 1.0
        hits = self._query(self._elsewhere, document, offset, settings, outside, self._read_elsewhere)
        found.extend(Found(0, weight, replace(hit, path=Path(hit.path).name)) for hit in hits)
        return best_of_all(found, settings.retrieval.snippets)

    def _query(
        self,
        index: RetrievalIndex,
        document: DocumentSnapshot,
        offset: int,
        settings: Settings,
        own_path: str | None,
        read: Callable[[str], str | None],
    ) -> list[Snippet]:
        return index.query(
            document,
            offset,
            limit=settings.retrieval.snippets,
            query_lines=settings.retrieval.query_lines,
            suffix_lines=settings.retrieval.suffix_lines,
            scheme=settings.retrieval.scheme,
            definitions=settings.retrieval.definitions,
            exclude={own_path} if own_path else set(),
            read=read,
        )

    def _reader(self, folder: Folder) -> Callable[[str], str | None]:
        def read(relative: str) -> str | None:
            path = folder.path / relative
            opened = self._open.get(path)
            if opened is None:
                return folder.scanner.read(relative)
            # the document that asks is not taken over while it is typed in; here another one's text is read
            return None if path in self._stale or contains_secret(opened[0]) else opened[0]

        return read

    def _read_elsewhere(self, path: str) -> str | None:
        opened = self._open.get(Path(path))
        return None if opened is None or contains_secret(opened[0]) else opened[0]

    async def close(self) -> None:
        """Stop what runs in the background."""
        tasks = list(self._builds)
        if self._updates is not None:
            tasks.append(self._updates)
        for task in tasks:
            if not task.cancelling():  # a second time would end its cleaning up
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _quiet_since(folder: Folder) -> None:
    """Wait for the end of a storm of changes; not at all when there was none."""
    end = time.monotonic() + _MOST_WAITED_SECONDS
    while (rest := min(end, folder.last_storm + _QUIET_SECONDS) - time.monotonic()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(rest)
