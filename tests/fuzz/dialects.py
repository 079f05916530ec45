"""Steps of clients that write otherwise than LSP says and mean the same: other kinds of numbers, null for what is not
there, fields that are newer or older. They are taken (`aix_lsp/server/oddities.py`)."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.fuzz.client import Client
from tests.fuzz.steps import anywhere, step
from tests.mirror import PIECES

ENDS = ({"line": 2**31, "character": 0}, {"line": 2**53 - 1, "character": 2**64}, {"line": 1e308, "character": 1e308})
"""Behind every text, in the largest number of some language."""
CONTEXTS: tuple[Any, ...] = (
    None,
    [],
    {},
    {"triggerKind": None},
    {"triggerKind": 9},
    {"triggerKind": 1, "selectedCompletionInfo": []},
)


def as_floats(place: dict[str, int]) -> dict[str, float]:
    """The same place in a language that has one kind of number."""
    return {name: float(number) for name, number in place.items()}


@step(5)
def edits_in_a_dialect(client: Client, chance: Random) -> None:
    document = client.some_document(chance)
    text, new = document.text, chance.choice(PIECES)
    start, end = sorted(client.mirror.settled(text, chance.randint(0, len(text))) for _ in range(2))
    low, high = (as_floats(client.mirror.place(text, at)) for at in (start, end))
    kind = chance.randrange(4)
    change: dict[str, Any] = {"range": {"start": low, "end": high}, "text": new}
    document.text = text[:start] + new + text[end:]
    if kind == 0:
        change["range"]["end"] = chance.choice(ENDS)
        document.text = text[:start] + new
    elif kind == 1:
        change["range"] = None
        document.text = new
    change["rangeLength"] = chance.choice((None, -1, 0.5, end - start))
    document.version += 1
    identifier = {"uri": document.uri, "version": float(document.version), "languageId": None}
    client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change], "more": [{}]})


@step(3)
def asks_in_a_dialect(client: Client, chance: Random) -> None:
    uri, place = anywhere(client, chance)
    params: dict[str, Any] = {"textDocument": {"uri": uri}, "position": as_floats(place)}
    if chance.random() < 0.8:
        params["context"] = chance.choice(CONTEXTS)
    client.request("textDocument/inlineCompletion", params, float(10**6 + chance.randrange(10**6)))
