"""What a model host and its windows say to one another: frames over a private socket.

A frame is four bytes with its length (big-endian) and a JSON object in UTF-8, at most 4 MiB. Each has an `op`:

    host    hello       protocol, nonce, pid                the first frame on every connection
    window  hello       protocol, nonce, proof, role        role: "window", or "observer" that only looks
    host    welcome     proof                               or refused {message}, and the connection is closed
    host    state       phase, message, percent, windows, pid, epoch, model (null while it loads)
    host    warning     message                             for the user
    window  run         id, epoch, ids, required, limit, temperature, top_p, seed, time_limit, document, background,
                        elsewhere (lists of ids that the prompt had no room for: what is looked up there is guessed),
                        request_id (for the log); and for several candidates: count, first (the plain answer, as it was
                        streamed)
    host    tokens      id, ids, reused, guessed, scores    as they come (scores: logarithms of their probabilities, or
                                                            empty); id, ids, row for several candidates
    window  enough      id, row                             this row of the candidates is long enough
    host    end         id, finish, rows                    rows only for several candidates
    host    error       id, kind, message                   kind: superseded, failed, stale (another epoch),
                                                            lost (the host ends: ask another one)
    window  cancel      id
    window  ping        (host: pong)

Both sides know the token in a file that only the user can read, and prove it by HMAC-SHA256 over the other's nonce: the
token itself never travels, so whoever happens to listen at a port that was a host's learns nothing. An `epoch` is one
model as prompts see it; a request for another one is stale, and its window builds the prompt anew.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.calibration import calibration_of
from aix_lsp.engine.prompt_limits import limits_noted, limits_of
from aix_lsp.types import FimFormat, ModelInfo

PROTOCOL = 2
MOST_BYTES = 4 << 20
_HEADER = 4
_MOST_ROWS = 16
_LEAST_SCORE = -1000.0
_MOST_ID = 2**31

Message = dict[str, Any]


class ProtocolError(EngineError):
    """The other side said what this protocol does not have. One line."""


def pack(message: Mapping[str, Any]) -> bytes:
    """A frame. Raises ProtocolError for one that is too long."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MOST_BYTES:
        raise ProtocolError(f"a message of {len(body):,} bytes is too long")
    return len(body).to_bytes(_HEADER, "big") + body


class Unpacker:
    """Takes bytes as they arrive and gives whole messages. Raises ProtocolError for anything else."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """All messages that are whole with these bytes."""
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            size = int.from_bytes(self._buffer[:_HEADER], "big")
            if size > MOST_BYTES:
                raise ProtocolError(f"a message of {size:,} bytes is too long")
            if len(self._buffer) < _HEADER + size:
                return
            body = bytes(self._buffer[_HEADER : _HEADER + size])
            del self._buffer[: _HEADER + size]
            yield _message(body)


def _message(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise ProtocolError("a message is no JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        raise ProtocolError("a message is no object with an op")
    return message


def proof(token: str, nonce: str, side: str) -> str:
    """What shows that `side` ("host" or "window") knows the token."""
    return hmac.new(token.encode(), f"{side} {nonce}".encode("utf-8", "replace"), "sha256").hexdigest()


def proves(said: object, token: str, nonce: str, side: str) -> bool:
    """Whether that was the right proof."""
    expected = proof(token, nonce, side)
    return isinstance(said, str) and hmac.compare_digest(said.encode("utf-8", "replace"), expected.encode())


@dataclass(frozen=True, slots=True)
class Run:
    """A `run` message, checked. `time_limit` is in seconds, from the moment the model begins with it."""

    id: int
    epoch: int
    ids: tuple[int, ...]
    limit: int
    required: str = ""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    time_limit: float | None = None
    document: str = ""
    background: bool = False
    elsewhere: tuple[tuple[int, ...], ...] = ()
    count: int = 1
    first: tuple[int, ...] = ()
    request_id: str = ""

    def to_message(self) -> Message:
        """The message again."""
        return {"op": "run", **asdict(self)}


def run_of(message: Mapping[str, Any]) -> Run:
    """What a window wants. Raises ProtocolError when anything in it is not as it should be."""
    count = _integer(message, "count", 1, _MOST_ROWS, default=1)
    return Run(
        id=_integer(message, "id", 0, 2**53),
        epoch=_integer(message, "epoch", 0, 2**53),
        ids=_ids(message, "ids"),
        limit=_integer(message, "limit", 1, _MOST_ID),
        required=_text(message, "required"),
        temperature=_number(message, "temperature", 0.0, 100.0, default=0.0),
        top_p=_share(message, "top_p"),
        seed=None if message.get("seed") is None else _integer(message, "seed", 0, 2**63),
        time_limit=None if message.get("time_limit") is None else _number(message, "time_limit", 0.0, 86_400.0),
        document=_text(message, "document"),
        background=message.get("background") is True,
        elsewhere=_lists(message, "elsewhere"),
        count=count,
        first=_ids(message, "first") if count > 1 else (),
        request_id=_text(message, "request_id"),
    )


def model_to_message(info: ModelInfo, folder: Path) -> Message:
    """A model as a `state` message has it."""
    limits = limits_noted(info.limits)
    return {**asdict(info), "languages": list(info.languages), "limits": limits, "folder": str(folder)}


def model_of(message: Mapping[str, Any]) -> tuple[ModelInfo, Path]:
    """The model of a `state` message and its folder. Raises ProtocolError."""
    known = {field.name for field in fields(ModelInfo)}
    try:
        values = {name: value for name, value in message.items() if name in known}
        values["languages"] = tuple(str(language) for language in message["languages"])
        calibration = message.get("calibration")
        values["calibration"] = None if calibration is None else calibration_of(calibration)
        values["limits"] = limits_of(message.get("limits", {}))
        info = ModelInfo(**values)
        folder = Path(message["folder"])
        valid = isinstance(info.max_positions, int) and info.format in get_args(FimFormat)
    except (KeyError, TypeError, ValueError):
        valid = False
    if not valid:
        raise ProtocolError("the model host describes its model in a way that is not understood")
    return info, folder


def rounded(scores: Iterable[float]) -> list[float]:
    """Logarithms of probabilities as they travel: to four places, and never one that JSON has no number for."""
    return [_LEAST_SCORE if math.isnan(score) else round(min(max(score, _LEAST_SCORE), 0.0), 4) for score in scores]


def scores_of(message: Mapping[str, Any], count: int) -> list[float]:
    """The scores in a `tokens` message, one for each of its `count` tokens; none where the model tells none. Raises
    ProtocolError."""
    value = message.get("scores", [])
    if not isinstance(value, list) or not all(type(score) in (int, float) and score <= 0 for score in value):
        raise ProtocolError("scores holds what is no logarithm of a probability")
    return value if len(value) == count else []


def number_of(message: Mapping[str, Any], name: str = "id") -> int:
    """A count or number of a message. Raises ProtocolError."""
    return _integer(message, name, 0, 2**53)


def _integer(message: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = message.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ProtocolError(f"{name} is no whole number from {least} to {most}")
    return value


def _number(message: Mapping[str, Any], name: str, least: float, most: float, default: float | None = None) -> float:
    value = message.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ProtocolError(f"{name} is no number")
    if not least <= value <= most:
        raise ProtocolError(f"{name} is not between {least} and {most}")
    return float(value)


def _share(message: Mapping[str, Any], name: str) -> float:
    value = _number(message, name, 0.0, 1.0, default=1.0)
    if value == 0:
        raise ProtocolError(f"{name} is not above 0")
    return value


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name, "")
    if not isinstance(value, str):
        raise ProtocolError(f"{name} is no text")
    return value


def _lists(message: Mapping[str, Any], name: str) -> tuple[tuple[int, ...], ...]:
    value = message.get(name, [])
    if not isinstance(value, list):
        raise ProtocolError(f"{name} is no list")
    return tuple(_tokens(part, name) for part in value)


def _ids(message: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return _tokens(message.get(name, []), name)


def _tokens(value: object, name: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ProtocolError(f"{name} is no list of tokens")
    if not all(type(token) is int and 0 <= token < _MOST_ID for token in value):
        raise ProtocolError(f"{name} holds what is no token")
    return tuple(value)
