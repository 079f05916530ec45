"""Speaking to `nvim --embed`: MessagePack-RPC (github.com/msgpack-rpc/msgpack-rpc), as much as Neovim's API needs."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import IO, Any

_SECONDS = 30.0
_REQUEST, _RESPONSE = 0, 1


class NvimError(Exception):
    """What Neovim answered instead of a result."""


class Nvim:
    """A Neovim process. One thread reads what it says; `notified` is called there with each notification."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        notified: Callable[[str, list[Any]], None] = lambda method, params: None,
    ) -> None:
        self._process = subprocess.Popen(
            arguments, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._notified = notified
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Neovim's process."""
        return self._process.pid

    def request(self, method: str, *params: Any) -> Any:
        """Call a function of the API. Raises NvimError."""
        return self.send(method, *params).result(_SECONDS)

    def send(self, method: str, *params: Any) -> Future[Any]:
        """Call a function of the API without waiting for it."""
        future: Future[Any] = Future()
        with self._lock:
            number = self._next = self._next + 1
            self._waiting[number] = future
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(packed([_REQUEST, number, method, list(params)]))
            self._process.stdin.flush()
        except OSError as error:
            future.set_exception(NvimError(f"Neovim has ended: {error}"))
        return future

    def wait(self, seconds: float) -> tuple[int, str]:
        """Wait for the end of the process: its exit code and what it wrote to its standard error."""
        code = self._process.wait(seconds)
        assert self._process.stderr is not None
        errors = self._process.stderr.read().decode(errors="replace")
        self._close()
        return code, errors

    def kill(self) -> None:
        """End it, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join(_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):  # what was not written yet has no reader any more
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                self._take(unpacked(self._process.stdout))
        except EOFError:
            with self._lock:
                waiting, self._waiting = list(self._waiting.values()), {}
            for future in waiting:
                future.set_exception(NvimError("Neovim has ended"))

    def _take(self, message: list[Any]) -> None:
        if message[0] != _RESPONSE:
            self._notified(message[-2], message[-1])
            return
        with self._lock:
            future = self._waiting.pop(message[1])
        if message[2] is not None:
            future.set_exception(NvimError(str(message[2])))
        else:
            future.set_result(message[3])


def packed(value: Any) -> bytes:
    """A value in MessagePack, in the longest form of its kind: short ones would save nothing here."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        return struct.pack(">BI", 0xDB, len(data)) + data
    if isinstance(value, Mapping):
        items = b"".join(packed(key) + packed(item) for key, item in value.items())
        return struct.pack(">BI", 0xDF, len(value)) + items
    return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(packed, value))


_NUMBERS = {
    0xCA: "f",
    0xCB: "d",
    0xCC: "B",
    0xCD: "H",
    0xCE: "I",
    0xCF: "Q",
    0xD0: "b",
    0xD1: "h",
    0xD2: "i",
    0xD3: "q",
}
_STRINGS = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I"}
_EXTENSIONS = {0xC7: "B", 0xC8: "H", 0xC9: "I"}
_LISTS = {0xDC: "H", 0xDD: "I"}
_MAPS = {0xDE: "H", 0xDF: "I"}


def unpacked(stream: IO[bytes]) -> Any:
    """The next value of a stream; handles of buffers and windows as bytes. Raises EOFError at its end."""
    kind = _exactly(stream, 1)[0]
    if kind <= 0x7F:
        return kind
    if kind <= 0x8F:
        return _map(stream, kind & 0x0F)
    if kind <= 0x9F:
        return [unpacked(stream) for _ in range(kind & 0x0F)]
    if kind <= 0xBF:
        return _text(stream, kind & 0x1F)
    if kind >= 0xE0:
        return kind - 256
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind]
    if kind in _NUMBERS:
        return _number(stream, _NUMBERS[kind])
    if kind in _STRINGS:
        return _text(stream, _number(stream, _STRINGS[kind]))
    if kind in _LISTS:
        return [unpacked(stream) for _ in range(_number(stream, _LISTS[kind]))]
    if kind in _MAPS:
        return _map(stream, _number(stream, _MAPS[kind]))
    size = _number(stream, _EXTENSIONS[kind]) if kind in _EXTENSIONS else 1 << (kind - 0xD4)
    return _exactly(stream, size + 1)[1:]


def _map(stream: IO[bytes], size: int) -> dict[Any, Any]:
    return {unpacked(stream): unpacked(stream) for _ in range(size)}


def _text(stream: IO[bytes], size: int) -> str:
    return _exactly(stream, size).decode("utf-8", "surrogateescape")


def _number(stream: IO[bytes], form: str) -> Any:
    return struct.unpack(f">{form}", _exactly(stream, struct.calcsize(f">{form}")))[0]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
