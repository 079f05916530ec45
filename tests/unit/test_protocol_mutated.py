"""Messages that mean something else than they seem to: what `make fuzz` has found, one by one."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException, JsonRpcInternalError

from aix_lsp.completion.statistics import sum_of, summary
from aix_lsp.completion.statistics_file import read_rows
from aix_lsp.configuration import Configuration
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import read_json
from aix_lsp.engine.host_place import Place
from aix_lsp.server import protocol as protocol_module
from aix_lsp.server.transport import read_messages
from tests.unit.test_protocol import Peer

ITEM = {"uri": "untitled:a", "languageId": "python", "version": 1, "text": "x"}


@pytest.fixture
def peer() -> Peer:
    peer = Peer()
    peer.initialize()
    return peer


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("uri", "languageId", "text") for value in (5, True, ["a"], {"a": 1})]
    + [("uri", None), ("text", None)]
    + [("version", value) for value in ("5", True, 1.5, float("nan"), [])],
)
def test_a_document_with_a_field_of_another_type_is_not_opened(peer: Peer, name: str, value: Any) -> None:
    opened: list[Any] = []
    peer.server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)(lambda params: opened.append(params))
    peer.send("textDocument/didOpen", {"textDocument": {**ITEM, name: value}})
    assert opened == []
    peer.send("textDocument/didOpen", {"textDocument": {**ITEM, "version": 1.0}})  # one kind of number in JSON
    assert [params.text_document.version for params in opened] == [1]


@pytest.mark.parametrize("value", [{}, "ab", {"text": "x"}, 5, None, [None], ["x"]])
def test_changes_that_are_no_list_of_changes_are_none(peer: Peer, value: Any) -> None:
    changed: list[Any] = []
    peer.server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)(lambda params: changed.append(params))
    document = {"uri": "untitled:a", "version": 2}
    peer.send("textDocument/didChange", {"textDocument": document, "contentChanges": value})
    assert changed == []


def slow(peer: Peer) -> list[asyncio.Future[str]]:
    """A request that is answered when its future is."""
    futures: list[asyncio.Future[str]] = []

    @peer.server.feature("test/slow")
    def handler(params: Any) -> asyncio.Future[str]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    return futures


@pytest.mark.parametrize("reply", [{"result": "mine"}, {"error": {"code": 1, "message": "x"}}, {"error": 5}])
async def test_a_reply_with_the_id_of_the_clients_own_request_is_no_answer_to_it(
    peer: Peer, reply: dict[str, Any]
) -> None:
    futures = slow(peer)
    peer.send("test/slow", {}, id=5)
    peer.raw({"jsonrpc": "2.0", "id": 5, **reply})
    peer.raw({"jsonrpc": "2.0", "id": True, **reply})
    assert peer.wire.messages == []
    futures[0].set_result("done")
    await asyncio.sleep(0)
    assert [message["result"] for message in peer.wire.messages] == ["done"]


@pytest.mark.parametrize("number", [[1], {}, None, True, 1.5])
def test_a_reply_with_an_id_that_is_none_is_dropped(peer: Peer, number: Any) -> None:
    peer.raw({"jsonrpc": "2.0", "id": number, "result": 1})
    assert peer.wire.messages == []


async def test_requests_under_one_id_are_answered_each_and_cancelled_together(peer: Peer) -> None:
    futures = slow(peer)
    for _ in range(3):
        peer.send("test/slow", {}, id="same")
    futures[0].set_result("done")
    await asyncio.sleep(0)
    peer.send("$/cancelRequest", {"id": "same"})
    await asyncio.sleep(0)
    assert [message.get("result", "cancelled") for message in peer.wire.messages] == ["done", "cancelled", "cancelled"]
    assert peer.protocol.unanswered == 0
    assert peer.protocol._running == {}


@pytest.mark.parametrize("method", ["$/cancelRequest", "textDocument/didClose"])
def test_a_notification_that_comes_as_a_request_is_answered(peer: Peer, method: str) -> None:
    peer.server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)(lambda params: None)
    peer.send(method, {"id": 1, "textDocument": {"uri": "untitled:a"}}, id=7)
    assert [number for number, _ in peer.errors()] == [7]


async def test_a_cancelled_command_ends_its_work(peer: Peer) -> None:
    ended: list[str] = []

    @peer.server.command("test.long")
    async def long(*arguments: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    peer.send("workspace/executeCommand", {"command": "test.long"}, id=1)
    await asyncio.sleep(0)
    peer.send("$/cancelRequest", {"id": 1})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ended == ["ended"]
    assert peer.errors() == [(1, -32800)]


async def test_a_question_that_the_client_never_answers_ends_and_leaves_nothing(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol_module, "_ANSWER_SECONDS", 0.0)
    with pytest.raises(JsonRpcInternalError, match="did not answer"):
        await peer.protocol.send_request_async("workspace/configuration", lsp.ConfigurationParams(items=[]))
    assert peer.protocol._request_futures == {}
    assert peer.protocol._result_types == {}


@pytest.mark.parametrize("error", [{"code": -32601, "message": "no"}, {"code": "x"}, 5, [], True])
async def test_a_refusal_is_one_whatever_it_looks_like_and_leaves_nothing(peer: Peer, error: Any) -> None:
    asked = peer.protocol.send_request("workspace/configuration", lsp.ConfigurationParams(items=[]))
    number = peer.wire.messages[-1]["id"]
    peer.raw({"jsonrpc": "2.0", "id": number, "error": error})
    assert isinstance(asked.exception(), JsonRpcException)
    assert peer.protocol._request_futures == {}
    assert peer.protocol._result_types == {}


def test_set_trace_leaves_nothing(peer: Peer) -> None:
    for _ in range(10):
        peer.send("$/setTrace", {"value": "off"})
    peer.send("initialized", {})
    assert peer.protocol._request_futures == {}


@pytest.mark.parametrize("length", [b"9" * 5000, b"9" * 30, b"-1", b"1e3"])
def test_a_length_that_is_none_ends_no_stream(length: bytes) -> None:
    stream = io.BytesIO(b"Content-Length: " + length + b"\r\n\r\n{}\r\n\r\nContent-Length: 2\r\n\r\n[]")
    assert list(read_messages(stream)) == [b"[]"]


def test_files_with_deep_nesting_or_numbers_without_end_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"a":' * 50_000)
    with pytest.raises(ModelError, match="cannot be read"):
        read_json(path)
    path.write_text("a = " + "[" * 50_000)
    (problem,) = Configuration().read_user_file(path)
    assert "\n" not in problem
    row = {"day": "2026-01-31", "language": "python", "offered": 3, "accepted": 1}
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "accepted": 10**400, "model_ms.9": 10**400}) + "\n")
    assert summary(sum_of(read_rows(path)))["accepted_share"] == pytest.approx(1 / 6, abs=1e-3)
    place = Place(tmp_path, "host", unix=False)
    place.token_file.write_text("abc 99999\n")
    with pytest.raises(ValueError, match="port"):
        place.connect(0.1)
