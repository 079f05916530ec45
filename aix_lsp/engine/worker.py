"""The model thread: one daemon thread owns the model, and the latest request wins.

The loop hands a job over and awaits its future; the thread looks for cancellation between tokens and
answers through `call_soon_threadsafe`. There is no queue to fill up: one job runs, at most one waits.
"""

from __future__ import annotations

import _imp
import asyncio
import atexit
import contextlib
import threading
import time
import weakref

from aix_lsp.engine.base import (
    EngineClosed,
    EngineError,
    EngineState,
    LoadEvent,
    ModelError,
    OnEvent,
    Superseded,
)
from aix_lsp.engine.generation import Backend, LoadedModel, run
from aix_lsp.engine.job import Job, describe, post, settle
from aix_lsp.types import Generation, GenerationRequest, ModelInfo

_EXIT_WAIT_S = 1.0
"""How long the interpreter's exit waits for the current token. A thread that is inside native code while the
interpreter goes away can bring the process down with an error."""


class ModelThread:
    """An `Engine` that drives a backend on a thread of its own.

    The thread starts with `start`, or with the first request. Futures belong to the loop of whoever awaits
    them; `on_event` is called on the loop that started the engine.
    """

    def __init__(self, backend: Backend, on_event: OnEvent | None = None) -> None:
        self._backend = backend
        self._on_event = on_event
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Guards everything below; notified when there is work, or none to come.
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self._running: Job | None = None
        self._watchers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[ModelInfo]]] = []
        self._loaded: LoadedModel | None = None
        self._failure: EngineError | None = None
        self._state = EngineState("loading", "not started")

    @property
    def model(self) -> ModelInfo | None:
        """The loaded model; None until the load is done, and when it failed."""
        return self._loaded.info if self._loaded else None

    @property
    def state(self) -> EngineState:
        """Where the engine stands."""
        return self._state

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin loading. Events go to `loop`, by default the running one. Further calls do nothing."""
        with self._changed:
            if self._thread is not None or self._failure is not None:
                return
            self._loop = loop or asyncio.get_running_loop()
            self._state = EngineState("loading", "starting")
            self._thread = threading.Thread(target=self._main, name="aix-model", daemon=True)
            # With a weak reference, so that an engine that is no longer used can go; the thread's end, in which the
            # model's memory is freed, is waited for all the same.
            atexit.register(_leave, weakref.ref(self), self._thread)
            self._thread.start()

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

    async def generate(self, request: GenerationRequest) -> Generation:
        """Run `request` in place of every one before it; see `Engine.generate`."""
        self.start()
        job = Job(request, asyncio.get_running_loop())
        with self._changed:
            self._refuse_if_failed()
            for older in (self._waiting, self._running):
                if older is not None:
                    older.abandon(Superseded("a newer request took its place"))
            self._waiting = job
            self._changed.notify()
        try:
            return await job.future
        finally:
            # However the wait ended, an answer that is still being made is of no use any more.
            job.cancelled = True
            with self._changed:
                if self._waiting is job:
                    self._waiting = None

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
            jobs = [job for job in (self._waiting, self._running) if job is not None]
            watchers, self._watchers = self._watchers, []
            self._waiting = None
            self._changed.notify()
        for job in jobs:
            job.abandon(type(reason)(str(reason)))
        for loop, future in watchers:
            post(loop, settle, future, type(reason)(str(reason)))

    @property
    def is_loading(self) -> bool:
        """Whether the thread may be in the middle of an import."""
        return self._loaded is None and self._failure is None

    # On the model thread from here on.

    def _main(self) -> None:
        try:
            # A library that calls sys.exit ends this thread, not the process, and without a traceback.
            with contextlib.suppress(SystemExit):
                loaded = self._load()
                while loaded is not None and (job := self._next()) is not None:
                    self._serve(job, loaded)
        finally:
            self._end(EngineClosed("the model's thread has ended"))

    def _load(self) -> LoadedModel | None:
        try:
            loaded = self._backend.load(self._report)
        except EngineClosed:
            return None
        except ModelError as error:
            self._load_failed(error)
            return None
        except Exception as error:  # noqa: BLE001  # whatever it was, those who wait must hear of it
            self._load_failed(ModelError(f"the model could not be loaded: {describe(error)}"))
            return None
        with self._changed:
            if self._failure is not None:
                return None
            self._loaded = loaded
            message = f"{loaded.info.name} is ready ({loaded.info.device}, {loaded.info.dtype})"
            self._state = EngineState("ready", message)
            watchers, self._watchers = self._watchers, []
        for loop, future in watchers:
            post(loop, settle, future, loaded.info)
        self._tell(LoadEvent("ready", message, 100))
        return loaded

    def _load_failed(self, error: ModelError) -> None:
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

    def _next(self) -> Job | None:
        """The job to run, waiting for one; None when the engine was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._failure is not None)
            if self._failure is not None:
                return None
            self._running, self._waiting = self._waiting, None
            return self._running

    def _serve(self, job: Job, loaded: LoadedModel) -> None:
        try:
            generation = run(
                job.request,
                loaded,
                self._backend,
                cancelled=lambda: job.cancelled,
                show=job.show,
                queue_ms=(time.perf_counter() - job.submitted) * 1000,
            )
        except EngineError as error:
            job.answer(error)
        else:
            job.answer(generation)
        # Not for what ends the thread: `_end` still has to answer this job then.
        with self._changed:
            self._running = None


def _leave(engine: weakref.ref[ModelThread], thread: threading.Thread) -> None:
    """At interpreter exit: stop, and wait a moment for the token that is being computed and the memory that is freed.

    A load is not waited for. The thread may be in the middle of an import then, and must not take the
    import lock with it (seen: the exit hangs for ever in an import of its own): this thread keeps it.
    """
    left = engine()
    loading = left is not None and left.is_loading
    if left is not None:
        left.close()
    del left
    thread.join(0 if loading else _EXIT_WAIT_S)
    if thread.is_alive():
        _imp.acquire_lock()
