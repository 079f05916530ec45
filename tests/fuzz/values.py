"""JSON values that no client should send, and messages with such values somewhere inside."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

HUGE = "1" + "0" * 40
RAW = "\x00raw:"
"""In front of a string that is written into the message as it stands, without quotes."""

STRINGS = (
    "",
    "x",
    "no such thing",
    "\ud800",
    "\udfff\ud800",
    "\x00",
    "\u2028\x85",
    "é" * 50,
    "😀",
    "9" * 5000,
    "a" * 70_000,
    "constructor",
    "__proto__",
    "%",
    "%ff%00",
    "file://[",
    "untitled:wild-other",
    "\r\n",
)
NUMBERS = (0, -0.0, 1, -1, 2, 0.5, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**64, -(2**200), 1e308)
RAW_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", HUGE, "1.0", "0.1e-400", "-0", "9" * 4000)


def junk(chance: Random, depth: int = 0) -> Any:
    """A value of any type. `dumped` writes what JSON of Python cannot."""
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() < 0.5
    if kind == 2:
        return chance.choice(NUMBERS)
    if kind == 3:
        return RAW + chance.choice(RAW_NUMBERS)
    if kind in (4, 5):
        return chance.choice(STRINGS)
    if kind == 6:
        return [junk(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return {chance.choice(STRINGS)[:20]: junk(chance, depth + 1) for _ in range(chance.randrange(4))}
    return nested(chance.choice((3, 40, 150, 400, 600, 3000)), chance.random() < 0.5)


def nested(depth: int, as_list: bool) -> Any:
    """Lists in lists, or objects in objects. Python's JSON refuses what is nested deeper than its stack has room, which
    is 1,000 less the calls of the moment: `junk` keeps away from that border, where nobody knows what is due."""
    front, back = ("[", "]") if as_list else ('{"a":', "}")
    return RAW + front * depth + "1" + back * depth


def dumped(value: Any) -> bytes:
    """A message as bytes; parts that `junk` has marked are written as they are."""
    text = json.dumps(value)
    if "\\u0000raw:" in text:
        pieces = text.split('"\\u0000raw:')
        text = pieces[0] + "".join(_unquoted(piece) for piece in pieces[1:])
    return text.encode()


def _unquoted(piece: str) -> str:
    end = 0
    while piece[end] != '"':
        end += 2 if piece[end] == "\\" else 1
    raw: str = json.loads(f'"{piece[:end]}"')
    return raw + piece[end + 1 :]


Place = tuple[Any, ...]


def places(value: Any, at: Place = ()) -> list[Place]:
    """Where every value inside another one is, leaves and what holds them."""
    found: list[Place] = [at] if at else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*at, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found += places(item, (*at, number))
    return found


def put(value: Any, at: Place, new: Any) -> None:
    """Replace what is at a place."""
    for key in at[:-1]:
        value = value[key]
    value[at[-1]] = new


def mutated(message: dict[str, Any], chance: Random) -> dict[str, Any]:
    """The message with one to three values replaced, dropped, added or wrapped."""
    message = copy.deepcopy(message)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        below = [place for place in places(message) if place[0] not in ("id", "jsonrpc", "method")]
        if not below:
            break
        at = chance.choice(below)
        holder: Any = message
        for key in at[:-1]:
            holder = holder[key]
        kind = chance.randrange(6)
        if kind <= 2:
            holder[at[-1]] = junk(chance)
        elif kind == 3:
            del holder[at[-1]]
        elif kind == 4:
            holder[at[-1]] = [holder[at[-1]]] if chance.random() < 0.5 else {"x": holder[at[-1]]}
        elif isinstance(holder, dict):
            holder[chance.choice(STRINGS)[:30]] = junk(chance)
        elif isinstance(holder, list):
            holder.extend([holder[at[-1]]] * chance.choice((1, 3, 50)))
    return message
