"""`$/logTrace`: what a client that asks for it is told of the messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lsprotocol import types as lsp

from aix_lsp.server.app import AixServer
from tests.unit.test_session import Client, asked, opened, scripted

SECRET = "privateText"


def told(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message["params"] for message in messages if message.get("method") == "$/logTrace"]


def set_trace(value: Any) -> dict[str, Any]:
    return {"method": "$/setTrace", "params": {"value": value}}


async def test_nothing_is_told_until_the_client_asks() -> None:
    messages = await Client(scripted).run(opened(f"{SECRET} = "), asked(1, 4))
    assert told(messages) == []


async def test_messages_have_methods_and_times_and_verbose_ones_sizes_too() -> None:
    client = Client(scripted)
    change = {"textDocument": {"uri": "file:///a.py", "version": 2}, "contentChanges": [{"text": SECRET}]}
    messages = await client.run(
        set_trace("messages"),
        opened(f"{SECRET} = "),
        asked(1, 4),
        set_trace("verbose"),
        {"method": "textDocument/didChange", "params": change},
        {"id": "two", "method": "no/such", "params": {"text": SECRET}},
        set_trace("off"),
        asked(3, 4),
    )
    lines = [params["message"] for params in told(messages)]
    sizes = {params["message"].split(" in ")[0]: params.get("verbose") for params in told(messages)}
    assert "came textDocument/didOpen, handled" in sizes
    assert sizes["came textDocument/didOpen, handled"] is None
    assert sizes["came textDocument/didChange, handled"].endswith(" bytes")
    assert " bytes came, " in sizes["answered no/such (two)"]
    assert any(line.endswith("with error -32601") for line in lines)
    assert not any("(3)" in line or "logTrace" in line for line in lines)
    assert SECRET not in json.dumps(told(messages))


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"id": [1], "method": 3}', b"9" * 5000, b'{"id": true, "method": "x"}']
)
def test_messages_that_are_none_are_refused_as_without_a_trace(body: bytes) -> None:
    sent: list[bytes] = []

    class Writer:
        def write(self, data: bytes) -> None:
            sent.append(data)

        def close(self) -> None:
            return

    server = AixServer()
    server.protocol.set_writer(Writer())
    server.protocol.handle_body(body)
    refused = list(sent)
    server.protocol.trace = lsp.TraceValue.Verbose
    sent.clear()
    server.protocol.handle_body(body)
    assert [data for data in sent if b"$/logTrace" not in data] == refused


async def test_a_client_may_ask_at_once() -> None:
    client = Client(scripted)
    send = client.send

    def with_trace(message: dict[str, Any]) -> None:
        if message.get("method") == "initialize":
            message = {**message, "params": {**message["params"], "trace": "messages"}}
        send(message)

    client.send = with_trace  # type: ignore[method-assign]
    messages = await client.run(opened("a = "))
    assert any("textDocument/didOpen" in params["message"] for params in told(messages))
