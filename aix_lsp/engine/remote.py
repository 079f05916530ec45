"""The engine that lets a server elsewhere run the model: vLLM, llama.cpp's, any with OpenAI's `/v1/completions`.

The server is checked at start (`remote_check.py`). When it goes away, requests are answered at once with the reason,
and it is looked at again after half a second, then less often, at most every few seconds while somebody types. One that
asks to be left alone for a while (429 with a Retry-After) is, and is then asked as before.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping

from aix_lsp.engine.base import (
    Engine,
    EngineClosed,
    EngineError,
    EngineState,
    LoadEvent,
    ModelError,
    OnEvent,
    Superseded,
)
from aix_lsp.engine.job import describe, named
from aix_lsp.engine.remote_answer import answer
from aix_lsp.engine.remote_check import RemoteServer, check
from aix_lsp.engine.remote_errors import RemoteError
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.text import continued
from aix_lsp.types import Generation, GenerationRequest, ModelInfo

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_IDLE_AFTER_S = 300.0
"""When nobody has asked for so long, a server that is away is looked at more rarely."""
_IDLE_PAUSE_S = 60.0
"""Before the next look, where nobody asks, or where only the user can mend what is wrong."""
_LONGEST_WAIT_S = 300.0
"""A server that wants to be left alone for longer is asked once more after this time: it may be free by then."""


class _Job:
    """A request on its way, and what its caller is told when another takes its place."""

    def __init__(self, task: asyncio.Task[Generation], *, background: bool) -> None:
        self.task = task
        self.background = background
        self.reason: EngineError | None = None

    def end(self, reason: EngineError) -> None:
        """Close its stream, and so stop the server."""
        if not self.task.done():
            self.reason = reason
            self.task.cancel()


class RemoteEngine:
    """An `Engine` whose model runs on another machine. Use it on one event loop.

    The latest request of a document takes the place of its earlier ones; requests of different documents run side by
    side, since a server batches. A background request is refused while another runs, and gives way to any.
    `fallback` makes the engine that answers while the server cannot.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        on_event: OnEvent | None = None,
        *,
        fallback: Callable[[], Engine] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._on_event = on_event
        self._make_fallback = fallback
        self._fallback: Engine | None = None
        self._environment = environment
        self._client: RemoteClient | None = None
        self._server: RemoteServer | None = None
        self._waiting: RemoteServer | None = None
        """The server that was checked, while it wants to be left alone."""
        self._busy_until = 0.0
        self._state = EngineState("loading", "not started")
        self._watch: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed = False
        self._first_look = asyncio.Event()
        self._lost = asyncio.Event()
        self._wanted = asyncio.Event()
        self._last_request = time.monotonic()
        self._jobs: dict[str, _Job] = {}

    @property
    def model(self) -> ModelInfo | None:
        """The served model, or the one that answers meanwhile; None before the first look and while none answers."""
        if self._server is not None:
            return self._server.info
        return self._fallback.model if self._fallback is not None else None

    @property
    def state(self) -> EngineState:
        """Where the server stands."""
        return self._state

    @property
    def server(self) -> RemoteServer | None:
        """What the check found; None while the server is not to be reached."""
        return self._server

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to look for the server. Call it on `loop`, by default the running one. Further calls do nothing."""
        if self._watch is None and not self._closed:
            self._state = EngineState("loading", "looking for the server")
            self._watch = (loop or asyncio.get_running_loop()).create_task(self._look_after_server())

    async def ready(self) -> ModelInfo:
        """Wait for the first look at the server; see `Engine.ready`. Raises RemoteError while it is away and no other
        model answers."""
        self._note_request()
        await self._first_look.wait()
        self._refuse_if_closed()
        if self._server is not None:
            return self._server.info
        if self._fallback is not None:
            return await self._fallback.ready()
        raise self._away()

    async def generate(self, request: GenerationRequest) -> Generation:
        """Ask the server; see `Engine.generate`."""
        await self.ready()
        if self._client is None or self._server is None:
            if self._fallback is None:
                raise self._away()
            return await self._fallback.generate(request)
        self._make_way(request)
        task = asyncio.create_task(answer(self._client, self._server, request, self._settings))
        job = self._jobs[request.document] = _Job(task, background=request.background)
        try:
            await asyncio.wait({task})
        finally:
            # However the wait ended, nobody reads this stream any more.
            task.cancel()
            if self._jobs.get(request.document) is job:
                del self._jobs[request.document]
        if job.reason is not None:
            # Whatever the closing of its stream came to.
            if not task.cancelled():
                task.exception()
            raise job.reason
        error = task.exception()
        if isinstance(error, RemoteError) and error.down:
            self._gone(error)
        if error is not None and not isinstance(error, EngineError):
            raise EngineError(f"the request failed: {named(error)}") from error
        return task.result()

    def close(self) -> None:
        """End every request, and with them the server's work; see `Engine.close`."""
        if self._closed:
            return
        self._closed = True
        self._state = EngineState("failed", "the engine was closed")
        for job in self._jobs.values():
            job.end(EngineClosed("the engine was closed"))
        if self._fallback is not None:
            self._fallback.close()
        self._first_look.set()
        if self._watch is not None and not self._watch.get_loop().is_closed():
            self._watch.cancel()
            if self._client is not None:
                self._closing = self._watch.get_loop().create_task(self._client.close())

    async def wait_closed(self) -> None:
        """Wait until every connection is closed, after `close`."""
        for task in (self._watch, self._closing):
            if task is not None:
                await asyncio.wait({task})

    def _away(self) -> RemoteError:
        """For a request that cannot be sent."""
        return RemoteError(self._state.message, down=True, wait_s=self._busy_s)

    @property
    def _busy_s(self) -> float:
        """For how many seconds the server still wants to be left alone."""
        return max(0.0, self._busy_until - time.monotonic())

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineClosed("the engine was closed")

    def _note_request(self) -> None:
        self._refuse_if_closed()
        self._last_request = time.monotonic()
        self._wanted.set()
        self.start()

    def _make_way(self, request: GenerationRequest) -> None:
        """End what this request takes the place of. Raises Superseded for one that has to stand back itself."""
        if request.background and any(not job.background for job in self._jobs.values()):
            raise Superseded("a request of the user runs")
        for document, job in self._jobs.items():
            if document == request.document or job.background:
                job.end(Superseded("a newer request took its place"))

    # looking after the server

    async def _look_after_server(self) -> None:
        """Check the server, wait until it is lost, and begin anew."""
        pause = _FIRST_PAUSE_S
        while True:
            mends_itself = True
            try:
                await self._look()
            except (EngineError, OSError) as error:
                # The server may come back; another tokenizer, model or address is up to the user.
                mends_itself = isinstance(error, RemoteError) or not isinstance(error, ModelError)
                self._gone(error)
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001  # whatever it was, those who wait must hear of it
                self._gone(RemoteError(f"the server could not be checked: {describe(error)}"))
            self._first_look.set()
            while self._server is not None:
                pause = _FIRST_PAUSE_S
                await self._lost.wait()
                await self._leave_alone()
            await self._rest(max(pause if mends_itself else _IDLE_PAUSE_S, self._busy_s))
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _look(self) -> None:
        if self._client is None:
            self._client = await asyncio.to_thread(RemoteClient, self._settings, self._environment)
        if self._state.phase == "loading":
            self._tell(LoadEvent("progress", f"looking for the server at {self._client.address.shown}", 10))
        server = await check(self._client, self._settings)
        for warning in server.warnings:
            self._tell(LoadEvent("warning", warning))
        self._there(server, self._client.address.shown)

    def _there(self, server: RemoteServer, place: str) -> None:
        self._lost.clear()
        self._server = server
        message = f"{server.info.name} is ready (at {place}, prompts as {server.prompt})"
        self._state = EngineState("ready", message)
        self._tell(LoadEvent("ready", message, 100))

    async def _leave_alone(self) -> None:
        """Wait as long as the server has asked for. It is not checked anew then, which would be several requests at
        once, unless it has failed in another way meanwhile."""
        await asyncio.sleep(self._busy_s)
        if self._busy_s:  # the answer to another request has asked for more
            await self._leave_alone()
        elif self._waiting is not None and self._client is not None:
            self._there(self._waiting, self._client.address.shown)
            self._waiting = None

    def _gone(self, error: Exception) -> None:
        """The server cannot answer for now. Told once for each time that it goes away, and when the reason changes."""
        message = str(error) or type(error).__name__
        known = self._state.phase == "failed" and self._state.message == message
        wait_s = error.wait_s if isinstance(error, RemoteError) else 0.0
        if wait_s:
            self._busy_until = max(self._busy_until, time.monotonic() + min(wait_s, _LONGEST_WAIT_S))
        self._waiting = (self._server or self._waiting) if wait_s else None
        self._server = None
        self._state = EngineState("failed", message)
        self._lost.set()
        if self._make_fallback is not None and self._fallback is None and not self._closed:
            self._fallback = self._make_fallback()
        if not known and not self._closed:
            if self._fallback is not None:
                message = continued(message, "the embedded model answers meanwhile")
            self._tell(LoadEvent("warning", message))

    async def _rest(self, pause: float) -> None:
        """Wait before the next look: longer when nobody asks, and until somebody does."""
        await asyncio.sleep(pause)
        if time.monotonic() - self._last_request > _IDLE_AFTER_S:
            self._wanted.clear()
            try:
                async with asyncio.timeout(_IDLE_PAUSE_S):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    def _tell(self, event: LoadEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)
