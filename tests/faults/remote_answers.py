"""A model's server that sends what is no completion."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.faults.fault import Stage, fault
from tests.faults.remote_stage import SERVER_TEXT, fails_and_comes_back, remote_editor, served, told_once, until_offers
from tests.unit.remote_server import Fault, ModelServer

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]

_STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def sends(head: str, *content: bytes) -> Reply:
    """Sends these bytes and closes."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"".join(content))
        await writer.drain()

    return reply


def event(data: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def choice(**fields: Any) -> bytes:
    """An event with one choice."""
    return event({"choices": [{"index": 0, "text": "b", **fields}]})


_WORDS = SERVER_TEXT.encode()
_EVENTS: dict[str, tuple[bytes, str]] = {
    "no JSON": (event(_WORDS), "sent text that is no JSON"),
    "bytes that are no text": (event(b"\xff\xfe\x00" + _WORDS), "sent text that is no JSON"),
    "JSON a thousand lists deep": (event(b"[" * 100_000), "sent text that is no JSON"),
    "a number of 5,000 digits": (choice()[:-4] + b'"x": ' + b"9" * 5000 + b"}]}\n\n", "sent text that is no JSON"),
    "a list": (event([SERVER_TEXT]), "sent JSON of another shape"),
    "choices that are none": (event({"choices": SERVER_TEXT}), "sent JSON of another shape"),
    "a choice that is none": (event({"choices": [SERVER_TEXT]}), "sent JSON of another shape"),
    "a text that is a number": (choice(text=7), "sent JSON of another shape"),
    "an index that is a list": (choice(index=[]), "sent JSON of another shape"),
    "an error": (event({"error": {"message": SERVER_TEXT}}), "sent an error of its own"),
    "tokens that no model has": (choice(token_ids=[10**12]), "sent tokens that the model does not have"),
    "an event of five megabytes": (event(_WORDS * 300_000), "sent more than an answer can be"),
    "a stream that ends at once": (b"", "broke off its answer"),
}
_HEADS: dict[str, tuple[str, str]] = {
    "nothing": ("", "broke off its answer"),
    "no HTTP": (f"220 {SERVER_TEXT} ESMTP\r\n\r\n", "does not speak HTTP as expected"),
    "headers without end": (f"HTTP/1.1 200 OK\r\nX: {'x' * 300_000}", "does not speak HTTP as expected"),
    "half of what it announces": (
        f"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{SERVER_TEXT}",
        "broke off its answer",
    ),
    "a page": (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 31\r\n\r\n<b>{SERVER_TEXT:<28}",
        "sent text that is no JSON",
    ),
    "a chunk of no size": (
        _STREAM.replace("Connection: close", "Transfer-Encoding: chunked") + "zz\r\n",
        "does not speak HTTP as expected",
    ),
}


@fault("what is no completion is told in one line of our own, and offers come back", group="remote")
async def remote_sends_garbage(stage: Stage) -> str:
    """Everything that a stream may hold instead of a completion, one after the other."""
    async with served(stage) as (server, editor):
        for name, (content, words) in _EVENTS.items():
            server.fault = Fault(reply=sends(_STREAM, content))
            await _one(server, editor, name, words)
        for name, (head, words) in _HEADS.items():
            server.fault = Fault(reply=sends(head))
            await _one(server, editor, name, words)
        expected = {words for _, words in (*_EVENTS.values(), *_HEADS.values())}
        others = [told for told in editor.shown() if not any(words in told for words in expected)]
        assert not others, f"was told otherwise: {others}"
        return f"{len(_EVENTS) + len(_HEADS)} kinds in {len(expected)} messages"


async def _one(server: ModelServer, editor: Any, name: str, words: str) -> None:
    """One kind of garbage; those that are told alike are told once for all of them."""
    try:
        await fails_and_comes_back(server, editor, words)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{name}: {str(error) or 'was not told'}; told: {editor.shown()[-1:]}") from error


_LISTS: tuple[tuple[Any, str], ...] = (
    (5, "sent no list where its models were expected"),
    ({"data": [[[]]] * 3, "x": SERVER_TEXT}, "lists no model"),
    ({"data": [{"id": f"\x1b[31m{'m' * 5000}\u202e"}]}, "has no model aix-mini"),
)
"""What `/v1/models` may answer instead of a list with our model."""


@fault(
    "a list of models that is none is told in one line, and the server is found when it has one",
    group="remote",
    quick=False,
)
async def remote_lists_garbage(stage: Stage) -> str:
    """At the start, when the server is looked at for the first time."""
    async with ModelServer() as server:
        for content, words in _LISTS:
            server.fault = Fault(200, json.dumps(content), everywhere=True)
            model = "aix-mini" if "aix-mini" in words else ""
            editor = await remote_editor(stage, server, ready=False, model=model)
            await told_once(editor, words)
            await editor.works(offers=False)
            if "expected" in words:
                server.fault = None
                await until_offers(editor)
            assert len(editor.shown()) == 1, editor.shown()
            await editor.client.shutdown()
    return f"{len(_LISTS)} lists"


@fault(
    "what a stream had before it broke is not offered as if it were whole, and offers come back",
    group="remote",
    quick=False,
)
async def remote_cuts_the_stream(stage: Stage) -> str:
    """The connection ends in the middle of an answer, cleanly and by a reset."""

    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(_STREAM.encode() + choice(text="b +"))
        await writer.drain()
        writer.transport.abort()

    async with served(stage) as (server, editor):
        for broken in (Fault(after=2, ends="cut"), Fault(reply=reset)):
            server.fault = broken
            told = await fails_and_comes_back(server, editor, "broke off its answer")
        server.fault = Fault(after=2, ends="hang")
        await editor.works()
        server.fault = None
        await until_offers(editor)
        return told
