"""What one client's session knows: documents, settings, the workspace, the engine. Mutable, on the event loop.

Handlers are thin and call this. It starts right after `initialize` is answered, and imports what is slow only
then and in a thread, so that the answer to `initialize` waits for none of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.server.activity import Activity
from aix_lsp.server.inspecting import Inspecting
from aix_lsp.server.parts import Parts
from aix_lsp.server.progress import Messages
from aix_lsp.server.reports import Reports
from aix_lsp.server.switch import Switch
from aix_lsp.text import continued
from aix_lsp.uris import normalize, uri_to_path
from aix_lsp.workspace.disk import PATIENCE_S, in_thread
from aix_lsp.workspace.documents import DocumentStore

if TYPE_CHECKING:
    from aix_lsp.completion.acceptance import AcceptanceLog
    from aix_lsp.completion.context import WorkspaceContext
    from aix_lsp.completion.service import CompletionService
    from aix_lsp.completion.statistics import Statistics
    from aix_lsp.completion.trace import TraceLog
    from aix_lsp.configuration import Configuration
    from aix_lsp.engine.base import Engine
    from aix_lsp.server.app import AixServer
    from aix_lsp.settings import Settings
    from aix_lsp.types import CompletionRequest, CompletionResult
    from aix_lsp.workspace.watcher import WorkspaceWatcher

logger = logging.getLogger(__name__)

_SAVE_SECONDS = 60.0
_ANSWER_SECONDS = 1.0
"""How long the start waits for the editor's answer to workspace/configuration."""


class Session:
    """One client. Once `started` is set everything is there to be used; `settled` is set when starting has failed
    too."""

    def __init__(self, server: AixServer) -> None:
        self.server = server
        self.documents = DocumentStore(name_of=self._name_of)
        self.messages = Messages(server)
        self.folders: dict[str, Path] = {}
        self.initialization_options: Mapping[str, Any] = {}
        self.started = asyncio.Event()
        self.settled = asyncio.Event()
        self.initialized = asyncio.Event()
        self.asks_settings: Callable[[], Awaitable[bool]] | None = None
        self.in_flight: Callable[[], None] | None = None
        self.client_name = ""
        self.client_version = ""
        self.client_waits = False
        self.given_up = 0
        """Requests that the trace does not hold: overtaken, cancelled, or ended because all was switched off."""
        self._folder_values: dict[Path, Mapping[str, Any]] = {}
        self._folder_settings: dict[Path, Settings] = {}
        self._statistics_file: Path
        self._tasks: set[asyncio.Task[Any]] = set()
        self.configuration: Configuration
        self.context: WorkspaceContext
        self.engine: Engine
        self.service: CompletionService
        self.statistics: Statistics
        self.acceptance: AcceptanceLog
        self.trace: TraceLog
        self.activity = Activity(self)
        self.switch = Switch(server.loop, self.activity.changed)
        self.reports = Reports(server, self.messages, self.activity.changed)
        self.inspecting = Inspecting(self)
        self._watcher: WorkspaceWatcher

    def _name_of(self, path: Path) -> str:
        return self.context.name_of(path) if self.started.is_set() else path.name

    def run(self, coroutine: Any) -> asyncio.Task[Any]:
        """Start a task that is kept until it ends; its failure is logged."""
        task: asyncio.Task[Any] = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.server.log_failure("a background task", error)

    async def start(self) -> None:
        """Start, or say why not; either way requests that wait are answered."""
        try:
            await self._start()
        except Exception as error:
            # our own errors hold no text of the user's
            own = type(error).__module__.startswith("aix_lsp.")
            why = error if own else type(error).__name__
            self.messages.warn(continued(f"the server could not start: {why}", "run `aix-lsp doctor`"))
            raise
        finally:
            self.settled.set()
            self.activity.changed()

    async def _start(self) -> None:
        """Import, read the settings, load the model, index the folders."""
        self.activity.changed()
        parts = await asyncio.to_thread(Parts)
        self.configuration = parts.Configuration()
        problems = self.configuration.read_user_file() + self.configuration.read_environment()
        problems += self.configuration.set_layer("initializationOptions", self.initialization_options)
        problems += self.configuration.set_layer("command line", self.server.command_line)
        settings = self.settings
        self.server.apply_log_settings(settings.log)
        for problem in problems:
            self.messages.warn(problem)
        await self._first_answer()
        settings = self.settings
        self.trace = parts.TraceLog(settings.inspect.requests)
        self.statistics = parts.Statistics(None)
        self.acceptance = parts.AcceptanceLog(self.statistics, self.server.loop, self._text_of)
        self.acceptance.on_outcome = self.trace.outcome
        self._statistics_file = parts.statistics_file()
        self._apply_statistics()
        self.context = parts.WorkspaceContext(settings, self.reports.index_state, parts.cache_folder(), PATIENCE_S)
        self._watcher = parts.WorkspaceWatcher(
            self._paths_changed, self._message_from_thread, mode=settings.workspace.watch
        )
        self.engine = self.server.engine_factory(settings, self.reports.load_event)
        self.activity.is_remote = parts.is_remote(settings)
        self.reports.watch(self.engine, self.context)
        self.service = parts.CompletionService(
            self.engine, self.context, client=self.client_name, client_waits=self.client_waits
        )
        for path in self.folders.values():
            self._begin_folder(path)
        for document in self.documents:
            if document.path is not None:
                self.context.opened_or_changed(document.path, document.text, document.language_id)
        self.started.set()
        self.run(self._save_now_and_then())
        self.run(self.inspecting.serve())
        self.messages.note(f"aix-lsp {self.server.version} started; model: {settings.model.name}")

    async def _first_answer(self) -> None:
        """Wait a moment for the editor's settings, where it can be asked: folders are indexed by them."""
        if self.asks_settings is None:
            return
        # an answer that comes later counts from then on
        _, waiting = await asyncio.wait([self.run(self._ask_settings(self.asks_settings))], timeout=_ANSWER_SECONDS)
        if waiting:
            logger.info("the editor has not told its settings yet")

    async def _ask_settings(self, asks: Callable[[], Awaitable[bool]]) -> None:
        await self.initialized.wait()
        await asks()

    def _apply_statistics(self) -> None:
        enabled = self.settings.statistics.enabled
        self.statistics.keep_in(self._statistics_file if enabled else None)
        if not enabled:
            self.acceptance.forget()

    @property
    def settings(self) -> Settings:
        """The settings of this moment; a request keeps the object it began with."""
        return self.configuration.settings

    def settings_for(self, path: Path | None) -> Settings:
        """Settings for a document: its folder's own answers of workspace/configuration count, and over them what the
        user has switched on for this session."""
        return self.switch.applied(self.told_settings_for(path))

    def told_settings_for(self, path: Path | None) -> Settings:
        """The same without the commands of this session."""
        if path is not None:
            holding = [folder for folder in self._folder_values if path.is_relative_to(folder)]
            if holding:
                innermost = max(holding, key=lambda folder: len(folder.parts))
                if innermost not in self._folder_settings:
                    self._folder_settings[innermost] = self.configuration.for_folder(self._folder_values[innermost])
                return self._folder_settings[innermost]
        return self.settings

    # folders

    def add_folder(self, uri: str) -> None:
        """A workspace folder was opened. URIs that are no files are passed over."""
        path = _local_path(uri)
        if path is None:
            self.messages.note("a workspace folder that is not on this machine's disk was passed over")
            return
        self.folders[normalize(uri)] = path
        if self.started.is_set():
            self._begin_folder(path)

    def remove_folder(self, uri: str) -> None:
        """A workspace folder was closed."""
        path = self.folders.pop(normalize(uri), None)
        if path is not None and self.started.is_set():
            self.context.remove_folder(path)
            self.run(in_thread(self._watcher.remove, path))

    def _begin_folder(self, path: Path) -> None:
        self.context.add_folder(path)
        self.context.begin(path)
        # watching a large tree takes seconds; the loop must not wait for it
        self.run(in_thread(self._watcher.add, path))

    def _paths_changed(self, paths: frozenset[Path]) -> None:
        self._from_thread(lambda: self.context.paths_changed(paths))

    def _message_from_thread(self, text: str) -> None:
        self._from_thread(lambda: self.messages.warn(text))

    def _from_thread(self, call: Callable[[], None]) -> None:
        try:
            self.server.loop.call_soon_threadsafe(call)
        except RuntimeError:
            return  # the loop is closed: the server is going down

    # what the user sees

    def silence(self, request: CompletionRequest) -> str:
        """Why nothing may be offered: switched off or paused by a command, or off by the settings. "" when it may. It
        holds for explicit requests too. The status is from now on that of the request's document."""
        document = request.document
        self.activity.at(document)
        return self.switch.silence(self.told_settings_for(document.path), document.language_id)

    def asked(self) -> None:
        """A request begins. `answered` must follow, whatever becomes of it."""
        self.acceptance.asked()
        self.activity.asked()

    def answered(self, request: CompletionRequest, result: CompletionResult) -> None:
        """A request was answered, with nothing perhaps, or given up."""
        if result.items:
            cached = result.source in ("typed-through", "cached", "prepared")
            language = request.document.language_id
            self.statistics.answered(language, "cached" if cached else "model", result.timings.total)
        self.activity.answered(result)

    def _text_of(self, uri: str) -> str | None:
        document = self.documents.get(uri)
        return document.text if document is not None else None

    # settings

    def configure(
        self, values: Mapping[str, Any], folder_values: Mapping[Path, Mapping[str, Any]] | None = None
    ) -> None:
        """Take over what the client answered to workspace/configuration, or pushed."""
        before = self.settings
        for problem in self.configuration.set_layer("workspace/configuration", values):
            self.messages.warn(problem)
        if folder_values is not None:
            self._folder_values = dict(folder_values)
            for own in folder_values.values():
                for problem in self.configuration.refused(own):
                    self.messages.warn(problem)
        self._folder_settings.clear()
        self.server.apply_log_settings(self.settings.log)
        if not self.started.is_set():
            return
        self._apply_statistics()
        self.activity.changed()
        self.trace.resize(self.settings.inspect.requests)
        changed = self.configuration.restart_needed(before)
        if changed:
            self.messages.warn(f"restart the server for the change of {', '.join(changed)} to take effect")

    def save_statistics(self) -> None:
        """The client goes: what is not decided yet counts as it stands."""
        self.acceptance.closed()
        self.statistics.save()

    async def _save_now_and_then(self) -> None:
        from aix_lsp.engine.memory import give_back_unused

        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await asyncio.to_thread(self.statistics.write, self.statistics.take_unsaved())
            await asyncio.to_thread(give_back_unused)

    async def close(self) -> None:
        """Stop everything; what was counted is saved."""
        for task in list(self._tasks):
            task.cancel()
        self.activity.close()
        self.switch.close()
        self.inspecting.close()
        if self.started.is_set():
            self.service.close()
            self.engine.close()
            self.save_statistics()
            # a watcher that is still setting watches is held; neither the loop nor the end of the indexer waits for it
            await asyncio.gather(in_thread(self._watcher.close), self.context.close())


def _local_path(uri: str) -> Path | None:
    pure = uri_to_path(uri)
    return Path(pure) if pure is not None else None
