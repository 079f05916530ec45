"""The server's end of `aix-lsp inspect`: a private socket at which the same user asks what is remembered.

Frames and proofs are those of the model host (`engine/host_protocol.py`): both sides know the token in a file that only
the user can read, and show that they do without sending it. What travels:

    server     hello    protocol, nonce, pid            the first frame on every connection
    inspector  hello    protocol, nonce, proof
    server     welcome  proof, server (what it is, and how the latest requests went)
                                                        or refused {message}, and the connection is closed
    inspector  last {count} | request {number}
    server     record {record}, as many as there are; then end
    inspector  level {level}                            of the log from now on; empty: that of the settings; then end
    inspector  follow                                   from now on a record for each new request

Whatever an inspector says, it harms its own connection at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from aix_lsp.completion.trace import Traced
from aix_lsp.completion.trace_data import traced_to_dict
from aix_lsp.completion.trace_words import summarize
from aix_lsp.engine.base import EngineError
from aix_lsp.engine.host_place import HAS_UNIX_SOCKETS, Place
from aix_lsp.engine.host_protocol import (
    MOST_BYTES,
    Message,
    ProtocolError,
    Unpacker,
    number_of,
    pack,
    proof,
    proves,
)
from aix_lsp.logs import said
from aix_lsp.server import inspection_place

if TYPE_CHECKING:
    from aix_lsp.server.session import Session

logger = logging.getLogger(__name__)

PROTOCOL = 1
SERVER_SIDE = "inspected server"
INSPECTOR_SIDE = "inspector"
_HANDSHAKE_S = 5.0
_LOOK_S = 60.0
_MOST_CONNECTIONS = 16
_LEVELS = ("", "error", "warning", "info", "debug")


class Inspection:
    """Listens as long as the session lives."""

    def __init__(self, session: Session, unix: bool = HAS_UNIX_SOCKETS) -> None:
        self._session = session
        self._unix = unix
        self._token = secrets.token_hex(32)
        self._began = time.time()
        self._place: Place | None = None
        self._lock = -1
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        """Listen until `close`, or until this is cancelled. As long as that cannot be (a full disk, somebody else's
        folder), it is tried again each minute, and one line in the log says why."""
        told = ""
        while True:
            try:
                await self._see_to_it()
                told = ""
            except (EngineError, OSError) as error:
                if told != str(error):
                    told = str(error)
                    logger.info("`aix-lsp inspect` cannot reach this server: %s", said(error))
            await asyncio.sleep(_LOOK_S)

    async def _see_to_it(self) -> None:
        """Listen, where that is not so (any more): what tidies up folders may have removed socket, lock or folder."""
        place = self._place
        if place is None or not place.lock_file.exists():
            place = await self._take()
        if self._server is None or not place.is_open(self._token):
            await self._listen(place)

    async def _take(self) -> Place:
        """A place of ours; the one before has no lock any more, and others would take us for dead."""
        before, self._place = self._place, None
        if before is not None:
            inspection_place.leave(before, self._lock)
        place, self._lock = await asyncio.to_thread(self._claim)
        self._place = place
        return place

    def _claim(self) -> tuple[Place, int]:
        with contextlib.suppress(EngineError, OSError):
            inspection_place.living(self._unix)  # sweeps what dead ones left
        return inspection_place.claim(self._unix)

    async def _listen(self, place: Place) -> None:
        if self._server is not None:
            self._server.close()
        listener = place.listen(self._token)
        start = asyncio.start_unix_server if listener.family != socket.AF_INET else asyncio.start_server
        self._server = await start(self._connected, sock=listener)

    def close(self) -> None:
        """Listen no more, end all connections, remove the files."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._connections):
            writer.transport.abort()
        if self._place is not None:
            inspection_place.leave(self._place, self._lock)
            self._place = None

    @property
    def place(self) -> Place | None:
        """Where it listens; None while it does not."""
        return self._place if self._server is not None else None

    # connections

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._session.run(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        forget: list[Callable[[], None]] = []
        try:
            if len(self._connections) > _MOST_CONNECTIONS:
                raise ProtocolError(f"this server has {_MOST_CONNECTIONS} inspectors already")
            if not _is_same_user(writer):
                raise ProtocolError("this server is another user's")
            messages = _messages(reader)
            async with asyncio.timeout(_HANDSHAKE_S):
                await self._shake_hands(messages, writer)
            async for message in messages:
                await self._answer(message, writer, forget)
        except ProtocolError as error:
            writer.write(pack({"op": "refused", "message": str(error)}))
        except (EOFError, OSError, TimeoutError):
            pass  # it is gone, or never said who it is
        finally:
            for call in forget:
                call()
            self._connections.discard(writer)
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _shake_hands(self, messages: AsyncIterator[Message], writer: asyncio.StreamWriter) -> None:
        nonce = secrets.token_hex(16)
        writer.write(pack({"op": "hello", "protocol": PROTOCOL, "nonce": nonce, "pid": os.getpid()}))
        hello = await anext(messages, None)
        if hello is None:
            raise EOFError
        if hello["op"] != "hello" or hello.get("protocol") != PROTOCOL:
            raise ProtocolError("this server is of another version of aix-lsp; restart it")
        if not proves(hello.get("proof"), self._token, nonce, INSPECTOR_SIDE):
            raise ProtocolError("this server does not know this token")
        said = proof(self._token, str(hello.get("nonce")), SERVER_SIDE)
        writer.write(pack({"op": "welcome", "proof": said, "server": describe(self._session, self._began)}))

    async def _answer(self, message: Message, writer: asyncio.StreamWriter, forget: list[Callable[[], None]]) -> None:
        log = self._session.trace
        op = message["op"]
        if op == "last":
            count = number_of(message, "count")
            for traced in list(log)[-count:] if count else []:
                writer.write(_frame(traced))
                await writer.drain()
        elif op == "request":
            found = log.find(number_of(message, "number"))
            if found is not None:
                writer.write(_frame(found))
        elif op == "level":
            level = str(message.get("level"))
            if level not in _LEVELS:
                raise ProtocolError("this server does not know this level of its log")
            server = self._session.server
            server.log_level = level
            server.apply_log_settings(self._session.settings.log)
        elif op == "follow" and not forget:

            def told(traced: Traced) -> None:
                # one that does not read must not fill the server's memory
                if writer.transport.get_write_buffer_size() > MOST_BYTES:
                    writer.transport.abort()
                elif not writer.transport.is_closing():
                    writer.write(_frame(traced))

            log.listeners.add(told)
            forget.append(lambda: log.listeners.discard(told))
            return
        else:
            raise ProtocolError("this server does not know this op")
        writer.write(pack({"op": "end"}))
        await writer.drain()


def describe(session: Session, began: float) -> dict[str, Any]:
    """What a server is, and how its latest requests went; for people and for choosing among several."""
    engine, now = session.engine, session.activity.status()
    summary = summarize(session.trace, session.given_up)
    latest = session.trace.latest
    return {
        "pid": os.getpid(),
        "version": session.server.version,
        "client": session.client_name,
        "client_version": session.client_version,
        "log": _log_of(session),
        "began": began,
        "folders": [str(path) for path in session.folders.values()],
        "state": now.state,
        "message": now.message,
        "model": engine.model.name if engine.model is not None else "",
        "requests": session.trace.asked,
        "capacity": session.trace.capacity,
        "latest": latest.time if latest is not None else 0.0,
        "asked": summary.asked,
        "offered": summary.offered,
        "accepted": summary.accepted,
        "given_up": summary.given_up,
        "reasons": [list(reason) for reason in summary.reasons],
    }


def _log_of(session: Session) -> str:
    """Where a server keeps its log; empty for nowhere."""
    kept = session.server.logs
    return str(kept.file or "") if kept is not None else ""


def _frame(traced: Traced) -> bytes:
    """A record as a frame; of a prompt too long for one the beginning."""
    record = traced_to_dict(traced)
    try:
        return pack({"op": "record", "record": record})
    except ProtocolError:
        # the protocol's JSON takes up to twelve bytes for a character; all other texts are short
        record["prompt"]["text"] = record["prompt"]["text"][: MOST_BYTES // 24]
        record["prompt"]["cut"].append("this report: the prompt was too long to be shown whole")
        return pack({"op": "record", "record": record})


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """Whole messages until the stream ends. Raises ProtocolError for garbage."""
    unpacker = Unpacker()
    while data := await reader.read(1 << 16):
        for message in unpacker.feed(data):
            yield message


def _is_same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side of a Unix socket is this user's, where the system tells (Linux, SO_PEERCRED in unix(7)).
    The folder's and the token's permissions keep others out already."""
    connection = writer.get_extra_info("socket")
    if not sys.platform.startswith("linux") or connection is None or connection.family == socket.AF_INET:
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())
