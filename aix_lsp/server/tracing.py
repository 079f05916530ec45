"""What `$/setTrace` asks for (LSP 3.18, "SetTrace" and "LogTrace"): a `$/logTrace` for each message that came or went,
with its method, the id of a request and how long its answer took; `verbose` adds sizes. Never a body.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lsprotocol import types as lsp

from aix_lsp.server.protocol import AixProtocol, id_of

message_id: ContextVar[int | str | None] = ContextVar("message_id", default=None)
"""The id of the client's request that is handled, as long as messages are traced."""

_MOST_UNANSWERED = 1_000


class TracedProtocol(AixProtocol):
    """The protocol, which tells of its messages once the client asks for that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked: dict[int | str, tuple[str, float, int]] = {}

    def handle_body(self, body: bytes) -> None:
        """See `AixProtocol.handle_body`."""
        if self.trace == lsp.TraceValue.Off:
            super().handle_body(body)
            return
        began = time.perf_counter()
        method, number = _named(body)
        with _handling(number):
            if number is not None and method and len(self._asked) < _MOST_UNANSWERED:
                self._asked[number] = method, began, len(body)
            super().handle_body(body)
        if number is None and method:
            self._tell(f"came {method}, handled in {_ms_since(began)}", f"{len(body):,} bytes")

    def _send_data(self, data: Any) -> None:
        super()._send_data(data)
        if self.trace == lsp.TraceValue.Off:
            return
        method = _part(data, "method")
        if method == lsp.LOG_TRACE:
            return
        size = self._size(data) if self.trace == lsp.TraceValue.Verbose else 0
        number = _part(data, "id")
        if method is not None:
            self._tell(f"sent {method}" + ("" if number is None else f" ({number})"), f"{size:,} bytes")
        elif number in self._asked:
            asked, began, taken = self._asked.pop(number)
            error = _part(data, "error")
            code = "" if error is None else f" with error {_part(error, 'code')}"
            text = f"answered {asked} ({number}) in {_ms_since(began)}{code}"
            self._tell(text, f"{taken:,} bytes came, {size:,} went")

    def _tell(self, text: str, sizes: str) -> None:
        verbose = sizes if self.trace == lsp.TraceValue.Verbose else None
        self.notify(lsp.LOG_TRACE, lsp.LogTraceParams(message=text, verbose=verbose))

    def _size(self, data: Any) -> int:
        return len(json.dumps(data, default=self._serialize_message).encode("utf-8"))


@contextmanager
def _handling(number: int | str | None) -> Iterator[None]:
    token = message_id.set(number)
    try:
        yield
    finally:
        message_id.reset(token)


def _named(body: bytes) -> tuple[str, int | str | None]:
    """Method and id of a message, of which nothing is known to be as it should."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "", None
    method = _part(data, "method")
    # a client may call its method what it likes
    return (method[:100] if isinstance(method, str) else ""), id_of(data)


def _part(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else getattr(data, name, None)


def _ms_since(moment: float) -> str:
    return f"{(time.perf_counter() - moment) * 1000:.1f} ms"
