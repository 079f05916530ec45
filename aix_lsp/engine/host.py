"""The model host: one process that holds one model for all windows of one user, over a private socket.

`host_protocol.py` says what travels, `host_place.py` where it is met, `host_process.py` how it is started. Nothing that
a window says can harm it: what does not belong to the protocol ends that window's connection and nothing else. It
leaves when the last window has been gone for a while, and when its model has failed for good: a new process is the only
cure for a broken one, and the windows start it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Callable

from aix_lsp.engine.base import EngineClosed, EngineError, LoadEvent, ModelError, Superseded
from aix_lsp.engine.generation import Backend
from aix_lsp.engine.host_connection import Connection, Messages
from aix_lsp.engine.host_protocol import (
    PROTOCOL,
    Message,
    ProtocolError,
    Run,
    model_to_message,
    number_of,
    proof,
    proves,
    rounded,
    run_of,
)
from aix_lsp.engine.token_thread import StaleModel, TokenRequest, Tokens, TokenStream, TokenThread, token_request
from aix_lsp.logs import fields, of_request, said

logger = logging.getLogger(__name__)

_HANDSHAKE_S = 5.0
_FAREWELL_S = 0.2
"""How long last words to the windows may take."""

_NO_MODEL_S = 3.0
"""How long a host whose model cannot be loaded tells why to those who come."""

_MOST_CONNECTIONS = 64
_MOST_REQUESTS = 64


class Host:
    """Serves windows with one model until nobody needs it."""

    def __init__(
        self,
        backend: Backend,
        token: str,
        *,
        linger_s: float,
        idle_s: float | None = None,
        first_wait_s: float = 30.0,
    ) -> None:
        """`linger_s` is for how long it stays without a window, `first_wait_s` for the one that started it."""
        self._token = token
        self._linger_s = linger_s
        self._first_wait_s = first_wait_s
        self._had_windows = False
        self._engine = TokenThread(backend, self._event, idle_s=idle_s, on_end=self._ended)
        self._connections: set[Connection] = set()
        self._numbers = 0
        self._over: asyncio.Future[None]
        self._servers: list[asyncio.AbstractServer] = []
        self._leaving: asyncio.TimerHandle | None = None
        self._progress: tuple[str, int | None] = ("starting", None)
        self._warned: list[str] = []
        """What still holds, for windows that come later: another model answers, memory ran out."""

    async def serve(
        self,
        listen: Callable[[], socket.socket],
        is_open: Callable[[], bool] = lambda: True,
        *,
        on_open: Callable[[], None] = lambda: None,
        look_s: float = 5.0,
    ) -> None:
        """Serve until the last window is gone for `linger_s` seconds, or the model has failed.

        `listen` opens the socket. Every `look_s` seconds `is_open` tells whether it can still be found: what tidies up
        folders may have removed it, and then it is opened anew, or tried to at the next look. `on_open` is called when
        windows can come. Raises OSError when the socket cannot be opened at the start.
        """
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        servers = self._servers = [await self._open(listen())]
        on_open()
        logger.info("the model host listens")
        self._engine.start(loop)
        self._maybe_leave()

        async def watch() -> None:
            while True:
                await asyncio.sleep(look_s)
                if not is_open():
                    # Nobody finds the old ones any more.
                    for server in servers:
                        server.close()
                    servers.clear()
                    with contextlib.suppress(OSError):
                        servers.append(await self._open(listen()))

        watching = asyncio.ensure_future(watch())
        try:
            await self._over
        finally:
            logger.info("the model host leaves", extra=fields(windows=self._windows))
            watching.cancel()
            for server in servers:
                server.close()
            self._engine.close()
            for connection in list(self._connections):
                connection.end()

    async def _open(self, listener: socket.socket) -> asyncio.AbstractServer:
        if listener.family == socket.AF_INET:
            return await asyncio.start_server(self._connected, sock=listener)
        return await asyncio.start_unix_server(self._connected, sock=listener)

    def leave(self) -> None:
        """Stop serving."""
        if not self._over.done():
            self._over.set_result(None)

    @property
    def _windows(self) -> int:
        return sum(connection.is_window for connection in self._connections)

    def _maybe_leave(self) -> None:
        """Begin to wait for the end when there is no window, and stop waiting when there is one."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._windows:
            self._had_windows = True
        else:
            patience = self._linger_s if self._had_windows else max(self._linger_s, self._first_wait_s)
            self._leaving = asyncio.get_running_loop().call_later(patience, self.leave)

    # connections

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._numbers += 1
        connection = Connection(self._numbers, writer)
        self._connections.add(connection)
        try:
            if len(self._connections) > _MOST_CONNECTIONS:
                raise ProtocolError(f"the model host has {_MOST_CONNECTIONS} connections already")
            messages = Messages(reader)
            async with asyncio.timeout(_HANDSHAKE_S):
                await self._shake_hands(connection, messages)
            self._maybe_leave()
            self._tell_state()
            for message in self._warned if connection.is_window else ():
                connection.send({"op": "warning", "message": message})
            while True:
                self._take(connection, await messages.next())
        except ProtocolError as error:
            connection.send({"op": "refused", "message": str(error)})
        except (EOFError, ConnectionError, TimeoutError):
            pass  # it is gone, or never said who it is
        finally:
            self._connections.discard(connection)
            connection.end()
            if connection.is_window:
                self._maybe_leave()
                self._tell_state()

    async def _shake_hands(self, connection: Connection, messages: Messages) -> None:
        nonce = secrets.token_hex(16)
        connection.send({"op": "hello", "protocol": PROTOCOL, "nonce": nonce, "pid": os.getpid()})
        hello = await messages.next()
        if hello["op"] != "hello" or hello.get("protocol") != PROTOCOL:
            raise ProtocolError(
                f"the model host (process {os.getpid()}) belongs to another version of aix-lsp; restart the other "
                "windows, or set model.share to off"
            )
        if not proves(hello.get("proof"), self._token, nonce, "window"):
            raise ProtocolError("the model host does not know this token")
        connection.is_window = hello.get("role") == "window"
        connection.is_welcome = True
        connection.send({"op": "welcome", "proof": proof(self._token, str(hello.get("nonce")), "host")})

    def _take(self, connection: Connection, message: Message) -> None:
        op = message["op"]
        if op == "run":
            self._begin(connection, run_of(message))
        elif op == "cancel":
            task = connection.tasks.get(number_of(message))
            if task is not None:
                task.cancel()
        elif op == "enough":
            stream = connection.streams.get(number_of(message))
            if stream is not None:
                stream.enough(number_of(message, "row"))
        elif op == "ping":
            connection.send({"op": "pong"})
        else:
            raise ProtocolError("the model host does not know this op")

    # requests

    def _begin(self, connection: Connection, run: Run) -> None:
        if not connection.is_window or run.id in connection.tasks or len(connection.tasks) >= _MOST_REQUESTS:
            raise ProtocolError("this is not the time for a request")

        def receive(tokens: Tokens) -> None:
            message = {"op": "tokens", "id": run.id, "ids": tokens.ids}
            if run.count > 1:
                connection.send({**message, "row": tokens.row})
                return
            counts = {"reused": tokens.reused, "guessed": tokens.guessed, "scores": rounded(tokens.scores)}
            connection.send({**message, **counts})

        stream = TokenStream(asyncio.get_running_loop(), receive)
        connection.streams[run.id] = stream
        connection.tasks[run.id] = asyncio.ensure_future(self._answer(connection, run, token_request(run, stream)))

    async def _answer(self, connection: Connection, run: Run, request: TokenRequest) -> None:
        try:
            generation = await self._engine.generate(request, client=connection.client)
        except EngineError as error:
            with of_request(run.request_id):
                logger.debug("not answered", extra=fields(error=type(error)))
            # ModelError is for those who wait while the model thread ends; the one that broke it has its own answer
            kinds = {Superseded: "superseded", StaleModel: "stale", ModelError: "lost", EngineClosed: "lost"}
            kind = kinds.get(type(error), "failed")
            connection.send({"op": "error", "id": run.id, "kind": kind, "message": str(error)})
        else:
            with of_request(run.request_id):
                logger.debug("answered", extra=fields(finish=generation.finish, tokens=generation.tokens))
            connection.send({"op": "end", "id": run.id, "finish": generation.finish, "rows": request.rows})
        finally:
            connection.tasks.pop(run.id, None)
            connection.streams.pop(run.id, None)

    # the model

    def _event(self, event: LoadEvent) -> None:
        if event.kind != "progress":
            logger.log(logging.WARNING if event.kind == "warning" else logging.INFO, "%s", said(event.message))
        if event.kind == "warning":
            if event.message not in self._warned:
                self._warned.append(event.message)
            for connection in self._connections:
                if connection.is_window:
                    connection.send({"op": "warning", "message": event.message})
            return
        if event.kind == "progress":
            self._warned.clear()  # a load begins anew
        self._progress = (event.message, event.percent)
        self._tell_state()

    def _tell_state(self) -> None:
        epoch, loaded = self._engine.now()
        state = self._engine.state
        message, percent = self._progress if state.phase == "loading" else (state.message, None)
        model = None
        if loaded is not None and loaded.folder is not None:
            model = model_to_message(loaded.info, loaded.folder)
        text = {"op": "state", "phase": state.phase, "message": message, "percent": percent, "epoch": epoch}
        for connection in self._connections:
            if connection.is_welcome:
                connection.send({**text, "windows": self._windows, "pid": os.getpid(), "model": model})

    def _ended(self) -> None:
        """The model thread serves no more: say so, and leave when that was heard."""
        if self._over.done():
            return
        self._tell_state()
        never_loaded = self._engine.now()[1] is None
        if not never_loaded:
            # A new host may well do better, and no window is to meet this one any more.
            for server in self._servers:
                server.close()
        asyncio.get_running_loop().call_later(_NO_MODEL_S if never_loaded else _FAREWELL_S, self.leave)
