"""Every workaround for pygls, held by a test. The server is real, its streams are in memory."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from aix_lsp.server.protocol import AixProtocol

INITIALIZE = {"processId": None, "rootUri": None, "capabilities": {}}


class Wire:
    """Collects what the server writes."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        header, _, body = data.partition(b"\r\n\r\n")
        assert int(header.removeprefix(b"Content-Length: ")) == len(body)
        self.messages.append(json.loads(body))

    def close(self) -> None:
        return


class Peer:
    """A server with our protocol, and its client in one."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.server = LanguageServer("test", "1", protocol_cls=AixProtocol, converter_factory=default_converter)
        self.protocol: AixProtocol = self.server.protocol  # type: ignore[assignment]
        self.protocol.set_writer(self.wire)

    def send(self, method: str, params: Any = None, **more: Any) -> None:
        self.raw({"jsonrpc": "2.0", "method": method, "params": params, **more})

    def raw(self, message: Any) -> None:
        self.protocol.handle_body(json.dumps(message).encode())

    def initialize(self, **more: Any) -> dict[str, Any]:
        self.send("initialize", {**INITIALIZE, **more}, id=0)
        return self.wire.messages.pop()

    def errors(self) -> list[tuple[Any, int]]:
        return [(message["id"], message["error"]["code"]) for message in self.wire.messages if "error" in message]


async def settled() -> None:
    """Let everything run that waits for nothing but its turn: a wait of some milliseconds may end before it on a busy
    machine."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def peer() -> Peer:
    return Peer()


def inline(peer: Peer, seen: list[lsp.InlineCompletionParams]) -> None:
    @peer.server.feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, lsp.InlineCompletionOptions())
    def handler(params: lsp.InlineCompletionParams) -> lsp.InlineCompletionList:
        seen.append(params)
        return lsp.InlineCompletionList(items=[])


def params(**more: Any) -> dict[str, Any]:
    return {
        "textDocument": {"uri": "file:///a.py"},
        "position": {"line": 0, "character": 0},
        "context": {"triggerKind": 2},
        **more,
    }


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_every_trigger_kind_is_taken(peer: Peer, kind: int) -> None:
    seen: list[lsp.InlineCompletionParams] = []
    inline(peer, seen)
    peer.initialize()
    peer.send("textDocument/inlineCompletion", params(context={"triggerKind": kind}), id=1)
    assert seen[0].context.trigger_kind == (kind or 1)
    assert peer.wire.messages == [{"jsonrpc": "2.0", "id": 1, "result": {"items": []}}]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        None,
        [],
        params(position={"line": -1, "character": 0}),
        params(position="here"),
        params(position={"line": 0}),
        params(textDocument={}),
        params(textDocument=None),
    ],
)
def test_params_that_do_not_fit_get_invalid_params(peer: Peer, broken: Any) -> None:
    seen: list[lsp.InlineCompletionParams] = []
    inline(peer, seen)
    peer.initialize()
    peer.send("textDocument/inlineCompletion", broken, id=7)
    assert peer.errors() == [(7, -32602)]
    assert not seen


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"{", (None, -32700)),
        (b"\xff\xfe", (None, -32700)),
        (b"[" * 100_000, (None, -32700)),
        (b"[]", (None, -32600)),
        (b"1", (None, -32600)),
        (b'{"id": 3, "method": "x"}', (3, -32600)),
        (b'{"jsonrpc": "1.0", "id": 3, "method": "x"}', (3, -32600)),
        (b'{"jsonrpc": "2.0", "id": 3}', (3, -32600)),
        (b'{"jsonrpc": "2.0", "id": 3, "method": 5}', (3, -32600)),
        (b'{"jsonrpc": "2.0", "id": [3], "method": "shutdown"}', (None, -32600)),
        (b'{"jsonrpc": "2.0", "id": null, "method": "shutdown"}', (None, -32600)),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "no/such"}', (3, -32601)),
    ],
)
def test_malformed_messages_get_an_error_and_the_server_lives(
    peer: Peer, body: bytes, answer: tuple[int | None, int]
) -> None:
    peer.initialize()
    peer.protocol.handle_body(body)
    assert peer.errors() == [answer]
    peer.send("no/such", id=4)
    assert peer.errors()[-1] == (4, -32601)


def test_notifications_are_never_answered(peer: Peer) -> None:
    peer.initialize()
    peer.send("no/such")
    peer.send("textDocument/didOpen", {"rubbish": 1})
    peer.send("$/cancelRequest", {"id": 99})
    peer.send("$/cancelRequest", {})
    assert peer.wire.messages == []


def test_requests_out_of_order_get_their_error(peer: Peer) -> None:
    peer.send("shutdown", id=1)
    peer.send("textDocument/didOpen", {})
    peer.initialize()
    peer.send("initialize", INITIALIZE, id=2)
    peer.protocol.begin_shutdown()
    peer.send("textDocument/inlineCompletion", params(), id=3)
    assert peer.errors() == [(1, -32002), (2, -32600), (3, -32600)]


def test_a_failed_initialize_can_be_repeated(peer: Peer) -> None:
    peer.send("initialize", [INITIALIZE], id=1)
    assert peer.errors() == [(1, -32602)]
    assert "result" in peer.initialize()


CAPTURED = {
    "neovim": {
        "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
        "textDocument": {"inlineCompletion": {"dynamicRegistration": False}},
    },
    "vscode": {
        "general": {"positionEncodings": ["utf-16"], "staleRequestSupport": {"cancel": True}},
        "workspace": {"configuration": True, "workspaceFolders": True},
        "textDocument": {"inlineCompletion": {"dynamicRegistration": True}, "newerThing": {"valueSet": [99]}},
    },
    "emacs lsp-mode": {
        "general": {"positionEncodings": ["utf-32", "utf-16"]},
        "textDocument": {"inlineCompletion": None},
    },
    "eglot": {"workspace": {"applyEdit": True}, "experimental": {}},
    "jetbrains lsp4ij": {"workspace": {"symbol": {"symbolKind": {"valueSet": ["odd"]}}}, "window": None},
    "none": {},
}


@pytest.mark.parametrize("client", list(CAPTURED))
def test_capabilities_of_real_clients_are_taken(peer: Peer, client: str) -> None:
    encoding = {"neovim": "utf-8", "emacs lsp-mode": "utf-32"}.get(client, "utf-16")
    inline(peer, [])
    answer = peer.initialize(capabilities=CAPTURED[client], trace="compact")
    capabilities = answer["result"]["capabilities"]
    assert capabilities["positionEncoding"] == encoding
    assert capabilities["inlineCompletionProvider"] == {}


def test_a_key_jsonrpc_deep_inside_is_data(peer: Peer) -> None:
    seen: list[Any] = []
    peer.server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)(lambda params: seen.append(params.settings))
    peer.initialize()
    peer.send("workspace/didChangeConfiguration", {"settings": {"jsonrpc": "2.0", "method": "initialize", "id": 1}})
    assert seen == [{"jsonrpc": "2.0", "method": "initialize", "id": 1}]


async def test_a_handler_that_returns_a_task_runs_while_its_message_is_dispatched(peer: Peer) -> None:
    order: list[str] = []

    @peer.server.feature("test/slow")
    def slow(params: Any) -> asyncio.Future[str]:
        order.append("asked")
        return asyncio.ensure_future(asyncio.sleep(0, "done"))

    peer.server.feature("test/change")(lambda params: order.append("changed"))
    peer.initialize()
    peer.send("test/slow", {}, id=1)
    peer.send("test/change", {})
    await settled()
    assert order == ["asked", "changed"]
    assert peer.wire.messages == [{"jsonrpc": "2.0", "id": 1, "result": "done"}]


async def test_a_cancelled_request_is_answered_once_and_forgotten(peer: Peer) -> None:
    @peer.server.feature("test/slow")
    async def slow(params: Any) -> None:
        await asyncio.sleep(60)

    peer.initialize()
    for number in range(1, 50):
        peer.send("test/slow", {}, id=number)
        await asyncio.sleep(0)
        peer.send("$/cancelRequest", {"id": number})
    await settled()
    assert peer.errors() == [(number, -32800) for number in range(1, 50)]
    assert peer.protocol._request_futures == {}


async def test_no_future_is_kept_for_notifications(peer: Peer) -> None:
    @peer.server.feature("test/note")
    async def note(params: Any) -> None:
        await asyncio.sleep(0)

    peer.initialize()
    for _ in range(50):
        peer.send("test/note", {})
    await settled()
    assert peer.protocol._request_futures == {}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failing_handler_quotes_nothing(
    peer: Peer, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    def fail(params: Any) -> None:
        raise KeyError("the user's source text")

    async def fail_later(params: Any) -> None:
        fail(params)

    peer.server.report_server_error = lambda error, source: None  # type: ignore[method-assign]
    peer.server.feature("test/fail")(fail_later if asynchronous else fail)
    peer.initialize()
    with caplog.at_level(logging.DEBUG):
        peer.send("test/fail", {"text": "the user's source text"}, id=1)
        await settled()
    assert peer.errors() == [(1, -32603)]
    assert "source text" not in json.dumps(peer.wire.messages) + caplog.text


async def test_a_reply_that_comes_after_the_wait_has_ended_is_dropped(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.initialize()
    future = peer.protocol.send_request_async("workspace/configuration", lsp.ConfigurationParams(items=[]))
    number = peer.wire.messages.pop()["id"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(future, 0)
    peer.raw({"jsonrpc": "2.0", "id": number, "result": [{"a": 1}]})
    assert peer.wire.messages == []
    assert peer.protocol._request_futures == {}
    assert caplog.records == []


async def test_replies_that_cannot_be_read_end_the_wait(peer: Peer) -> None:
    peer.initialize()
    future = peer.protocol.send_request_async("workspace/configuration", lsp.ConfigurationParams(items=[]))
    number = peer.wire.messages.pop()["id"]
    peer.raw({"jsonrpc": "2.0", "id": number, "result": [{"a": 1}], "error": None})
    assert len(await asyncio.wait_for(future, 60)) == 1
    peer.raw({"jsonrpc": "2.0", "id": "nobody asked", "result": 1})
    assert peer.wire.messages == []
