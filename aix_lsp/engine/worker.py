"""The model thread: one daemon thread owns the model, and the latest request of each document wins.

The loop hands a job over and awaits its future (`front.py`); the thread looks for cancellation between tokens and
answers through `call_soon_threadsafe`. One job runs, and at most one per document waits (`request_queue.py`). A model
that fails is loaded again, one that fails for ever makes way for the embedded one, one that runs out of memory steps
down (`recovery.py`), one that stands still is not waited for (`pulse.py`); whatever happens, every request is answered.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aix_lsp.engine import pulse
from aix_lsp.engine.base import (
    EngineClosed,
    EngineError,
    EngineState,
    LoadEvent,
    ModelChanged,
    ModelError,
    ModelLost,
    OnEvent,
)
from aix_lsp.engine.front import Front
from aix_lsp.engine.generation import Backend, LoadedModel, run
from aix_lsp.engine.import_gate import leave_with
from aix_lsp.engine.job import Job, describe, model_failure
from aix_lsp.engine.pulse import Pulse, Watch
from aix_lsp.engine.recovery import RestartLimit, failed_with, is_out_of_memory
from aix_lsp.logs import of_request
from aix_lsp.text import continued, without_stop
from aix_lsp.types import Generation, GenerationRequest

_MOST_RELOADS = 3
"""How often one request is run anew because its model went away or changed."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What came in the way of a request. No exception: its traceback would hold on to the memory to be freed."""

    kind: Literal["memory", "lost", "changed", "crash"]
    message: str


class ModelThread(Front):
    """An `Engine` that drives a backend on a thread of its own.

    The thread starts with `start`, or with the first request. After `idle_s` seconds without a request the backend
    may free its memory (None: never); the next request loads the model again.
    """

    def __init__(
        self,
        backend: Backend,
        on_event: OnEvent | None = None,
        *,
        idle_s: float | None = None,
        restarts: RestartLimit | None = None,
    ) -> None:
        super().__init__(on_event)
        self._backend = backend
        self._idle_s = idle_s
        self._restarts = restarts or RestartLimit()
        self._thread: threading.Thread | None = None
        # The model thread's own: whether the model is in memory, and whether a failure of it was told.
        self._present = False
        self._told_of_failure = False
        self._retreat = ""
        self._pulse = Pulse()
        self._stuck: EngineError | None = None

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
            atexit.register(leave_with, weakref.ref(self), self._thread)
            self._thread.start()

    @property
    def sharing(self) -> str:
        """Who else uses the model, for a person; empty when it is this process's own."""
        return self._backend.sharing

    async def generate(self, request: GenerationRequest, *, client: str = "") -> Generation:
        """See `Front.generate`. Raises EngineError as well where the model stands still."""
        watch = Watch(asyncio.get_running_loop(), self._pulse, self._look)
        try:
            return await super().generate(request, client=client)
        finally:
            watch.end()

    def _refuse_if_failed(self) -> None:
        super()._refuse_if_failed()
        if self._stuck is not None:
            raise EngineError(str(self._stuck))

    def _look(self) -> None:
        """Answer all who wait for a model that stands still. It may come back: then it serves on."""
        with self._changed:
            if self._failure is not None or self._stuck is not None or not self._pulse.stands_still:
                return
            message = (
                f"the model has not moved for {pulse.STUCK_S:g} seconds, as if a driver or a disk hangs; if it does "
                "not come back, restart the server and run `aix-lsp doctor`"
            )
            self._stuck = EngineError(message)
            self._state = EngineState("failed", message)
            jobs = self._queue.clear()
        self._tell(LoadEvent("warning", message))
        for job in jobs:
            job.abandon(EngineError(message))

    def _wake(self) -> None:
        self._backend.wake()

    # On the model thread from here on.

    def _main(self) -> None:
        try:
            # A library that calls sys.exit ends this thread, not the process, and without a traceback.
            with contextlib.suppress(SystemExit):
                alive = self._load()
                while alive and (job := self._next()) is not None:
                    self._serve(job)
        finally:
            self._end(EngineClosed("the model's thread has ended"))
            self._backend.close()

    def _load(self) -> bool:
        """Have the model in memory. False when there is none and none to come: everybody has been told then."""
        try:
            loaded = self._backend.load(self._report)
        except EngineClosed:
            return False
        except ModelError as error:
            self._fail(error)
            return False
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever it was, those who wait must hear of it
            self._fail(ModelError(f"the model could not be loaded: {describe(error)}"))
            return False
        self._present = True
        if self._retreat:
            self._tell(LoadEvent("warning", self._retreat))
            self._retreat = ""
        return self._take_over(loaded)

    def _next(self) -> Job | None:
        """The job to run, waiting for one; None when the engine was closed."""
        while True:
            with self._changed:
                something = self._changed.wait_for(
                    lambda: len(self._queue) > 0 or self._failure is not None,
                    self._idle_s if self._present else None,
                )
                if self._failure is not None:
                    return None
                if something:
                    return self._queue.take()
            self._rest()

    def _rest(self) -> None:
        """Free the memory of a model that nobody has asked for a while."""
        if not self._backend.unload():
            self._idle_s = None
            return
        self._present = False
        with self._changed:
            if self._failure is None and self._loaded is not None:
                message = f"{self._loaded.info.name} was unloaded, as it was idle; the next request loads it again"
                self._state = EngineState("ready", message)

    def _serve(self, job: Job) -> None:
        """Answer a job, or everybody where the model is gone for good."""
        reloads = 0
        failure = step = ""
        while not job.cancelled:
            if not self._present and not self._load():
                return  # everybody has been answered
            outcome = self._attempt(job)
            if isinstance(outcome, _Trouble) and outcome.kind == "memory" and (taken := self._relieve()):
                step = taken  # of several steps for one request the last says where it has come to
                continue
            if step and not isinstance(outcome, _Trouble):  # else the request's own reason says more
                self._tell(LoadEvent("warning", step))
            step = ""
            if not isinstance(outcome, _Trouble):
                if isinstance(outcome, Generation) and not job.cancelled:
                    self._restarts.served()
                job.answer(outcome)
                break
            if outcome.kind in ("lost", "changed") and reloads < _MOST_RELOADS:
                self._present = False
                reloads += 1
                if outcome.kind == "lost" and not self._may_restart(outcome.message):
                    return
                continue
            if outcome.kind == "crash":
                failure = outcome.message
            job.answer(EngineError(failed_with(failure) if failure else outcome.message))
            break
        if step:
            self._tell(LoadEvent("warning", step))
        with self._changed:
            self._queue.done(job)
        if failure:
            self._restart(failure)

    def _attempt(self, job: Job) -> Generation | EngineError | _Trouble:
        assert self._loaded is not None
        self._alive()
        try:
            with of_request(job.request.request_id):
                return self._run(job, self._loaded)
        except ModelLost as error:
            return _Trouble("lost", str(error))
        except ModelChanged as error:
            return _Trouble("changed", str(error))
        except EngineError as error:
            return _Trouble("memory", str(error)) if is_out_of_memory(error) else error
        except BaseException as error:  # noqa: BLE001  # whatever broke, the request is answered
            if is_out_of_memory(error):
                return _Trouble("memory", f"memory ran out: {model_failure(error)}")
            return _Trouble("crash", model_failure(error))
        finally:
            self._moved()

    def _alive(self) -> None:
        """The thread moves. One that waits for a host may wait for long: the host watches its own."""
        if self._backend.timed_out is None:
            self._pulse.beat()

    def _moved(self) -> None:
        """A request is over: whoever stood still serves again."""
        self._pulse.rest()
        with self._changed:
            came_back, self._stuck = self._stuck is not None, None
        if came_back and self._loaded is not None:
            self._tell(LoadEvent("progress", "the model moves again"))  # as in a load: what was warned of is over
            self._take_over(self._loaded)

    def _cancelled(self, job: Job) -> Callable[[], bool]:
        """Whether a job need not go on; whoever asks is alive."""

        def look() -> bool:
            self._alive()
            return job.cancelled

        return look

    def _run(self, job: Job, loaded: LoadedModel) -> Generation:
        return run(
            job.request,
            loaded,
            self._backend,
            cancelled=self._cancelled(job),
            show=job.show,
            queue_ms=(time.perf_counter() - job.submitted) * 1000,
        )

    def _relieve(self) -> str:
        """Take a step that needs less memory; what to tell of it. "" when there is none left, or nobody to serve."""
        try:
            step = self._backend.relieve(self._report)
        except EngineClosed:
            return ""
        except Exception as error:  # noqa: BLE001  # a step that breaks the model is a failure of the model
            self._restart(describe(error))
            return ""
        if step is None:
            return ""
        loaded, message = step
        return message if self._take_over(loaded) else ""

    def _restart(self, error: str) -> None:
        """After a failure of the model: load it again, and say so the first time."""
        self._present = False
        if not self._may_restart(f"the model failed: {error}"):
            return
        if not self._told_of_failure:
            self._told_of_failure = True
            self._tell(LoadEvent("warning", failed_with(error)))
        self._load()

    def _may_restart(self, reason: str) -> bool:
        """Whether a model may be loaded once more: one that fails for ever makes way for another, where the backend has
        one. Where it may not, everybody is told, and this is the end."""
        if self._restarts.allows(time.monotonic()):
            return True
        often = f"{without_stop(reason)}, {self._restarts.often}" if self._restarts.most else reason
        advice = "restart the server, and run `aix-lsp doctor` if it comes again"
        if other := self._backend.retreat():
            self._restarts = RestartLimit(self._restarts.most)
            self._retreat = continued(often, f"the embedded model {other} answers from now on; {advice}")
            return True
        self._fail(ModelError(continued(often, advice)))
        return False
