"""What a server owes for the messages it was sent, worked out from the bytes alone."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""An id with its type: 1 and "1" are two. ("null", "") is that of an answer to what has no id that can be used."""

NOBODY: Key = ("null", "")
INTERNAL = -32603


def key_of(value: Any) -> Key:
    """The key of an id, `NOBODY` for what is none."""
    if isinstance(value, str):
        return "text", value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number
    return ("number", str(value)) if isinstance(value, int) and not isinstance(value, bool) else NOBODY


def due(body: bytes) -> Key | None:
    """The id under which a message is to be answered, or None for one that is not answered. JSON-RPC 2.0, sections 4
    to 6; LSP has no batches, so that an array is one message that is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return NOBODY
    if not isinstance(message, dict):
        return NOBODY
    number = key_of(message.get("id"))
    if message.get("jsonrpc") != "2.0":
        return number
    if isinstance(message.get("method"), str):
        return number if "id" in message else None
    return None if "method" not in message and ("result" in message or "error" in message) else number


@dataclass
class Judge:
    """Counts what was sent and answered in one session. `runs` is how often the engine ran, as the server last told;
    `broken` are the promises that were, in words."""

    sent: int = 0
    requests: int = 0
    compared: int = 0
    runs: int = 0
    longest: float = 0.0
    broken: list[str] = field(default_factory=list)
    _since: dict[Key, deque[float]] = field(default_factory=dict)
    _codes: Counter[int] = field(default_factory=Counter)

    def was_sent(self, body: bytes) -> None:
        """A message goes out."""
        self.sent += 1
        key = due(body)
        if key is not None:
            self.requests += 1
            self._since.setdefault(key, deque()).append(time.monotonic())

    def answered(self, answer: dict[str, Any]) -> None:
        """An answer came."""
        key = key_of(answer.get("id"))
        error = answer.get("error")
        if isinstance(error, dict):
            self._codes[error["code"]] += 1
            if error["code"] == INTERNAL:
                self.broken.append(f"an internal error: {error['message']}")
        waiting = self._since.get(key)
        if not waiting:
            self.broken.append(f"an answer that nobody waits for, with the id {shown(key)}: answered twice")
            return
        self.longest = max(self.longest, time.monotonic() - waiting.popleft())
        if not waiting:
            del self._since[key]

    @property
    def waiting(self) -> int:
        """Requests without their answer."""
        return sum(len(times) for times in self._since.values())

    def unanswered(self) -> str:
        """The ids of some of them."""
        return ", ".join(shown(key) for key in list(self._since)[:5])


def shown(key: Key) -> str:
    """An id for a reader."""
    return "null" if key == NOBODY else repr(key[1])[:40] if key[0] == "text" else key[1][:40]
