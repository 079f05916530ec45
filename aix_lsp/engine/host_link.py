"""A window's connection to the model host: the handshake, and a thread that reads what the host says. No torch here."""

from __future__ import annotations

import contextlib
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable

from aix_lsp.engine.base import ModelError, ModelLost
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import PROTOCOL, Message, ProtocolError, Unpacker, pack, proof, proves

_HANDSHAKE_S = 10.0
_QUIET_S = 10.0
"""After so long without a word the host is asked whether it is there; it must answer within three times that."""


class NobodyThere(Exception):
    """No host listens at this place (yet, or any more)."""


class HostLink:
    """An open connection. `state` is the host's latest account of itself; `take` gives everything else in order."""

    def __init__(self, connection: socket.socket, unpacker: Unpacker, on_warning: Callable[[str], None]) -> None:
        self._connection = connection
        self._unpacker = unpacker
        self._on_warning = on_warning
        self._inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._heard = time.monotonic()
        self.state: Message = {}
        self.lost = ""
        """Why the connection is gone; empty while it is there."""
        threading.Thread(target=self._read, name="aix-host-reader", daemon=True).start()

    def send(self, message: Message) -> None:
        """Raises ModelLost when the host is gone."""
        if not self.lost:
            with self._sending:
                try:
                    self._connection.sendall(pack(message))
                    return
                except OSError as error:
                    self._lose(f"the model host has ended ({error.strerror or 'its connection is closed'})")
        raise ModelLost(self.lost)

    def take(self) -> Message | None:
        """The next message, waiting for it; None when `wake` was called or the state is new. Raises ModelLost."""
        # While nobody waits nobody asks, and a host with nothing to say is silent: that counts for nothing.
        began = time.monotonic()
        while True:
            try:
                return self._received(self._inbox.get(timeout=_QUIET_S))
            except queue.Empty:
                if time.monotonic() - max(self._heard, began) > 3 * _QUIET_S:
                    self._lose("the model host does not answer")
                self.send({"op": "ping"})

    def _received(self, message: Message | None) -> Message | None:
        if message is None and self.lost:
            raise ModelLost(self.lost)
        return message

    def wake(self) -> None:
        """From any thread: let `take` return."""
        self._inbox.put(None)

    def close(self) -> None:
        """Leave the host."""
        self._lose("the connection to the model host was closed")

    def _lose(self, reason: str) -> None:
        self.lost = self.lost or reason
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._inbox.put(None)

    def _read(self) -> None:
        """On a thread of its own."""
        data = b""  # what came behind the welcome is in the unpacker already
        try:
            while True:
                for message in self._unpacker.feed(data):
                    self._sort(message)
                try:
                    data = self._connection.recv(1 << 16)
                except TimeoutError:  # meant for sending, to a host that does not read
                    data = b""
                    continue
                if not data:
                    break
                self._heard = time.monotonic()
            self._lose("the model host has ended")
        except OSError:
            self._lose("the model host has ended")
        except ProtocolError as error:
            self._lose(str(error))

    def _sort(self, message: Message) -> None:
        if message["op"] == "state":
            self.state = message
            self._inbox.put(None)
        elif message["op"] == "warning":
            self._on_warning(str(message.get("message", "")))
        elif message["op"] == "refused":
            self._lose(str(message.get("message", "")))
        elif message["op"] != "pong":
            self._inbox.put(message)


def open_link(place: Place, role: str, on_warning: Callable[[str], None]) -> HostLink:
    """Connect to the host at a place. Raises NobodyThere, and ModelError (one line) when the host refuses."""
    try:
        connection, token = place.connect(_HANDSHAKE_S)
    except (OSError, ValueError):
        raise NobodyThere from None
    unpacker = Unpacker()
    try:
        _shake_hands(connection, unpacker, token, role)
        connection.settimeout(3 * _QUIET_S)
    except (OSError, ProtocolError):
        # It ended meanwhile, or somebody else got the port of one that did: nobody of ours.
        connection.close()
        raise NobodyThere from None
    except ModelError:
        connection.close()
        if not place.is_open(token):
            # A new host began between the reading of the token and the connection.
            raise NobodyThere from None
        raise
    return HostLink(connection, unpacker, on_warning)


def _shake_hands(connection: socket.socket, unpacker: Unpacker, token: str, role: str) -> None:
    nonce = secrets.token_hex(16)
    message = _next(connection, unpacker)
    if message["op"] == "hello":
        hello = {"op": "hello", "protocol": PROTOCOL, "nonce": nonce, "role": role}
        connection.sendall(pack({**hello, "proof": proof(token, str(message.get("nonce")), "window")}))
        message = _next(connection, unpacker)
    if message["op"] == "refused":
        raise ModelError(str(message.get("message", "the model host refuses this window")))
    if message["op"] != "welcome" or not proves(message.get("proof"), token, nonce, "host"):
        raise ProtocolError("what listens in place of the model host does not know its token")


def _next(connection: socket.socket, unpacker: Unpacker) -> Message:
    """The next message; more that came with it stays in the unpacker. Raises OSError at the end."""
    data = b""
    while True:
        for message in unpacker.feed(data):
            return message
        data = connection.recv(1 << 16)
        if not data:
            raise ConnectionError("the connection was closed")
