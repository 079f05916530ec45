"""Framing of LSP messages on a byte stream, and the streams themselves (stdio or one TCP client).

LSP 3.18, "Base Protocol": header lines end in CRLF, names are compared without case, an empty line ends the
header. A thread reads, because a blocked read must not hold the event loop; at most `IN_FLIGHT` messages of
`IN_FLIGHT_BYTES` wait for the loop, so that a client that floods is slowed down and does not fill the memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from aix_lsp.addresses import is_loopback

logger = logging.getLogger(__name__)

IN_FLIGHT = 1024
IN_FLIGHT_BYTES = 32 * 1024 * 1024
"""One message that is larger waits alone."""
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
MAX_UNREAD_BYTES = 64 * 1024 * 1024
_MOST_PASSED_OVER = 4 * 1024 * 1024 * 1024
"""No editor sends that much: a header that says more is damaged, and says nothing of what follows it."""
_PIECE_BYTES = 64 * 1024
_LONGEST_HEADER = 64


def read_messages(stream: BinaryIO, on_large: Callable[[int], None] = lambda size: None) -> Iterator[bytes]:
    """Bodies of the messages on a stream, until its end. One that is too large is passed over; `on_large` is told its
    bytes. A header without a usable Content-Length is passed over, with one line in the log until a message is read
    again; what follows it is read as the next header, and since a body ends without a line break, that may stand at the
    end of a line."""
    length: int | None = None
    begun, told = b"", False
    while line := stream.readline(_PIECE_BYTES):
        header = (begun + line).strip()
        begun = b"" if line.endswith(b"\n") else line[-_LONGEST_HEADER:]
        if header:
            _, found, value = header.lower().rpartition(b"content-length")
            if found and value.lstrip().startswith(b":"):
                length = _content_length(value.lstrip()[1:].strip())
                if length is None and not told:
                    logger.error("a message header with a Content-Length that cannot be used was passed over")
                    told = True
        elif length is not None and length > MAX_MESSAGE_BYTES:
            on_large(length)
            if not _pass_over(stream, length):
                return
            length = None
        elif length is not None:
            body = stream.read(length)
            if len(body) < length:
                return
            length, told = None, False
            yield body


def _content_length(value: bytes) -> int | None:
    # Python refuses to read a number of thousands of digits
    if not value.isdigit() or len(value) > 19 or int(value) > _MOST_PASSED_OVER:
        return None
    return int(value)


def _pass_over(stream: BinaryIO, size: int) -> bool:
    """Read so many bytes and keep none; False where the stream ends before."""
    while size > 0:
        piece = stream.read(min(size, _PIECE_BYTES))
        if not piece:
            return False
        size -= len(piece)
    return True


class StreamWriter:
    """Writes whole messages in a thread of its own, because a client that does not read would block the event loop.

    After the first failure, or with more than `MAX_UNREAD_BYTES` that the client has not read, it is broken: it drops
    everything and calls `on_broken` once, on the thread where that was noticed.
    """

    def __init__(self, stream: BinaryIO, on_broken: Callable[[], None]) -> None:
        self._stream = stream
        self._on_broken = on_broken
        self._broken = threading.Event()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._unread = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="aix-writer", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Send one framed message; returns at once. A client that is gone is no error of ours."""
        if self._broken.is_set():
            return
        with self._lock:
            self._unread += len(data)
            too_much = self._unread > MAX_UNREAD_BYTES
        if too_much:
            self._break()
        else:
            self._queue.put(data)

    def close(self, timeout: float = 2.0) -> None:
        """Wait up to `timeout` seconds until everything is written. The stream's owner closes it."""
        self._queue.put(None)
        self._thread.join(timeout)
        self._broken.set()

    def _run(self) -> None:
        while (data := self._queue.get()) is not None and not self._broken.is_set():
            try:
                self._stream.write(data)
                self._stream.flush()
            except (OSError, ValueError):
                self._break()
                return
            with self._lock:
                self._unread -= len(data)

    def _break(self) -> None:
        if not self._broken.is_set():
            self._broken.set()
            self._on_broken()


class _Room:
    """Where messages wait: `enter` waits until there is place. One thread enters."""

    def __init__(self) -> None:
        self._messages = self._bytes = 0
        self._changed = threading.Condition()

    def enter(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._takes(size))
            self._messages += 1
            self._bytes += size

    def leave(self, size: int) -> None:
        with self._changed:
            self._messages -= 1
            self._bytes -= size
            self._changed.notify()

    def _takes(self, size: int) -> bool:
        return not self._messages or (self._messages < IN_FLIGHT and self._bytes + size <= IN_FLIGHT_BYTES)


def pump(
    stream: BinaryIO,
    loop: asyncio.AbstractEventLoop,
    handle: Callable[[bytes], None],
    on_end: Callable[[], None],
    on_large: Callable[[int], None] = lambda size: None,
) -> None:
    """Start the thread that reads `stream` and has `handle` called on the loop for every message, in order; `on_large`
    with the bytes of one that was too large, and `on_end` at the end."""
    room = _Room()

    def handle_one(body: bytes) -> None:
        room.leave(len(body))
        handle(body)

    def too_large(size: int) -> None:
        loop.call_soon_threadsafe(on_large, size)

    def run() -> None:
        try:
            for body in read_messages(stream, too_large):
                room.enter(len(body))
                loop.call_soon_threadsafe(handle_one, body)
        except (OSError, ValueError, MemoryError):  # of a message that is half read nothing behind it can be found
            logger.info("the client's stream broke")
        except RuntimeError:  # the loop is closed: the server is going down
            return
        try:
            loop.call_soon_threadsafe(on_end)
        except RuntimeError:
            return

    threading.Thread(target=run, name="aix-reader", daemon=True).start()


def claim_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The process's stdin and stdout for the protocol alone. What anything else prints goes to stderr from
    here on: one stray line from a library on stdout would break the stream for good."""
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin, stdout


def accept_one(host: str, port: int, *, force: bool, announce: Callable[[str], None]) -> tuple[BinaryIO, BinaryIO]:
    """Wait for one TCP client. An address other machines can reach is refused unless forced, because whoever
    connects reads the workspace through the server. Raises ValueError (refused), OSError (cannot listen)."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ValueError(f"{host} is no address of this machine: {error.strerror}") from error
    if not all(is_loopback(str(item[4][0])) for item in addresses):
        if not force:
            raise ValueError(
                f"{host} can be reached from other machines, and the connection is neither encrypted nor asks for a "
                "password; use 127.0.0.1 (with an SSH tunnel from elsewhere), or --force"
            )
        announce(f"warning: whoever reaches {host}:{port} can read the files that this server sees")
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as listener:
        if os.name == "posix":  # on Windows it lets another program take the same port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
        shown = listener.getsockname()
        announce(f"listening on {shown[0]}:{shown[1]}")
        client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client.makefile("rb"), client.makefile("wb")
