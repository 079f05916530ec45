"""The host's end of one window's connection: whole messages in, frames out, and what is under way for it."""

from __future__ import annotations

import asyncio
import contextlib

from aix_lsp.engine.host_protocol import Message, Unpacker, pack
from aix_lsp.engine.token_thread import TokenStream

_MOST_UNREAD = 4 << 20
"""Bytes that wait for a window that does not read; past them its connection is ended."""


class Connection:
    """One window (or observer) and its requests."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.client = str(number)
        self.is_welcome = False
        self.is_window = False
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.streams: dict[int, TokenStream] = {}
        self._writer = writer

    def send(self, message: Message) -> None:
        """Queue a message; a window that is gone gets none."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > _MOST_UNREAD:
            transport.abort()
            return
        self._writer.write(pack(message))

    def end(self) -> None:
        """Give up its requests and close."""
        for task in self.tasks.values():
            task.cancel()
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()


class Messages:
    """Whole messages of a stream, one by one. Raises EOFError at its end, ProtocolError for garbage."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._unpacker = Unpacker()
        self._ready: list[Message] = []

    async def next(self) -> Message:
        while not self._ready:
            data = await self._reader.read(1 << 16)
            if not data:
                raise EOFError
            self._ready.extend(self._unpacker.feed(data))
        return self._ready.pop(0)
