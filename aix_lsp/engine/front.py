"""The side of a model thread that event loops see: requests go in, answers come out, nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod

from aix_lsp.engine.base import EngineClosed, EngineError, EngineState, LoadEvent, ModelError, OnEvent, Superseded
from aix_lsp.engine.generation import LoadedModel
from aix_lsp.engine.job import Job, post, settle
from aix_lsp.engine.known_models import NON_COMMERCIAL
from aix_lsp.engine.request_queue import RequestQueue
from aix_lsp.types import Generation, GenerationRequest, ModelInfo


class Front(ABC):
    """Takes requests and answers them. Whoever runs them takes them from `_queue` on a thread of its own.

    Futures belong to the loop of whoever awaits them; `on_event` is called on the loop that started the engine.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._loop: asyncio.AbstractEventLoop | None = None
        # Guards everything below; notified when there is work, or none to come.
        self._changed = threading.Condition()
        self._queue: RequestQueue[Job] = RequestQueue()
        self._watchers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[ModelInfo]]] = []
        self._loaded: LoadedModel | None = None
        self._failure: EngineError | None = None
        self._state = EngineState("loading", "not started")

    @abstractmethod
    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin loading. Events go to `loop`, by default the running one. Further calls do nothing."""

    @abstractmethod
    def _wake(self) -> None:
        """A request was cancelled, or nobody wants any more answers: look at that soon."""

    @property
    def model(self) -> ModelInfo | None:
        """The loaded model; None until the load is done, and when it failed."""
        loaded = self._loaded
        return loaded.info if loaded is not None and self._state.phase != "failed" else None

    @property
    def state(self) -> EngineState:
        """Where the engine stands."""
        return self._state

    async def ready(self) -> ModelInfo:
        """Wait for the load; see `Engine.ready`."""
        self.start()
        loop = asyncio.get_running_loop()
        with self._changed:
            self._refuse_if_failed()
            if self._loaded is not None:
                return self._loaded.info
            future: asyncio.Future[ModelInfo] = loop.create_future()
            watcher = (loop, future)
            self._watchers.append(watcher)
        try:
            return await future
        finally:
            with self._changed:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)

    async def generate(self, request: GenerationRequest, *, client: str = "") -> Generation:
        """Run `request` when its turn comes; see `Engine.generate`. `client` tells apart who share this engine:
        documents of two of them are never the same, and both get their turns."""
        self.start()
        job = Job(request, asyncio.get_running_loop(), client)
        with self._changed:
            self._refuse_if_failed()
            for older in self._queue.put(job):
                older.abandon(Superseded("a newer request took its place"))
            self._changed.notify()
        self._wake()
        try:
            return await job.future
        finally:
            # However the wait ended, an answer that is still being made is of no use any more.
            job.cancelled = True
            with self._changed:
                self._queue.drop(job)
            self._wake()

    def close(self) -> None:
        """Stop at the next token and refuse what comes after; see `Engine.close`."""
        self._end(EngineClosed("the engine was closed"))

    def _refuse_if_failed(self) -> None:
        if self._failure is not None:
            # A fresh exception each time: one that is raised twice would drag its old traceback along.
            raise type(self._failure)(str(self._failure))

    def _end(self, reason: EngineError) -> None:
        """Answer everybody who waits with `reason`, and let the thread run out."""
        with self._changed:
            if self._failure is None:
                self._failure = reason
                self._state = EngineState("failed", str(reason))
            jobs = self._queue.clear()
            watchers, self._watchers = self._watchers, []
            self._changed.notify()
        for job in jobs:
            job.abandon(type(reason)(str(reason)))
        for loop, future in watchers:
            post(loop, settle, future, type(reason)(str(reason)))
        self._wake()

    @property
    def is_loading(self) -> bool:
        """Whether the thread may be in the middle of an import."""
        return self._loaded is None and self._failure is None

    # For the thread.

    def _take_over(self, loaded: LoadedModel) -> bool:
        """Serve with this model from now on. False when nobody wants it any more."""
        with self._changed:
            if self._failure is not None:
                return False
            self._loaded = loaded
            message = f"{loaded.info.name} is ready ({loaded.info.device}, {loaded.info.dtype})"
            if loaded.info.note.startswith(NON_COMMERCIAL):
                message += f". {loaded.info.note}"
            self._state = EngineState("ready", message)
            watchers, self._watchers = self._watchers, []
        for loop, future in watchers:
            post(loop, settle, future, loaded.info)
        self._tell(LoadEvent("ready", message, 100))
        return True

    def _fail(self, error: ModelError) -> None:
        with self._changed:
            # before it is told: whoever hears of it looks at the state
            if self._failure is None:
                self._failure = error
                self._state = EngineState("failed", str(error))
        self._tell(LoadEvent("warning", str(error)))
        self._end(error)

    def _report(self, event: LoadEvent) -> None:
        """Tell how the load goes. Raises EngineClosed when nobody wants the model any more."""
        with self._changed:
            self._refuse_if_failed()
            if event.kind == "progress":
                self._state = EngineState("loading", event.message)
        self._tell(event)

    def _tell(self, event: LoadEvent) -> None:
        if self._on_event is not None and self._loop is not None:
            post(self._loop, self._on_event, event)
