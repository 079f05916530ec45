"""What clients send against the letter of LSP is taken where it means one thing only."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types as lsp

from aix_lsp.configuration import Configuration
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.server.app import AixServer
from aix_lsp.server.oddities import _MENDS, LARGEST, in_words_of_lsp
from aix_lsp.server.session import Session
from tests.unit.test_protocol import Peer

ITEM = {"uri": "untitled:a", "languageId": "python", "version": 1, "text": "abc\n"}
DOCUMENT = {"uri": "untitled:a"}
START, SECOND = {"line": 0, "character": 0}, {"line": 0, "character": 1}
FIRST_SIGN = {"range": {"start": START, "end": SECOND}, "text": "X"}
CELL = {"kind": 2, "document": "untitled:cell"}
NOTEBOOK = {"uri": "untitled:n", "notebookType": "jupyter-notebook", "version": 1, "cells": [CELL]}


class Started(Peer):
    """The real server, after initialize."""

    def __init__(self) -> None:
        super().__init__()
        self.server: Any = AixServer({}, lambda settings, on_event: ScriptedEngine())
        self.server.loop = asyncio.get_running_loop()
        self.server.session = Session(self.server)
        self.protocol = self.server.protocol
        self.protocol.set_writer(self.wire)
        self.protocol._initialized = True

    @property
    def text(self) -> str | None:
        document = self.server.session.documents.get("untitled:a")
        return None if document is None else document.text


@pytest.fixture
async def started() -> Started:
    return Started()


@pytest.mark.parametrize(
    "odd",
    [
        {"processId": "12"},
        {"processId": -1},
        {"processId": 0},
        {"processId": 2**40},
        {"processId": 4321.0},
        {"workspaceFolders": {}},
        {"workspaceFolders": False},
        {"workspaceFolders": [{"uri": "file:///tmp"}, {"uri": None}, "file:///tmp", None]},
        {"clientInfo": {}},
        {"clientInfo": []},
        {"clientInfo": {"name": "Emacs", "version": 30.1}},
        {"rootPath": False, "rootUri": False},
        {"locale": 5, "workDoneToken": []},
        {"capabilities": [], "trace": None, "initializationOptions": []},
    ],
    ids=str,
)
def test_initialize_is_not_refused_for_what_is_not_needed(odd: dict[str, Any]) -> None:
    peer = Peer()
    seen: list[lsp.InitializeParams] = []
    peer.server.feature(lsp.INITIALIZE)(lambda params: seen.append(params))
    assert "result" in peer.initialize(**odd)
    assert seen[0].process_id in (None, 4321)
    assert [folder.uri for folder in seen[0].workspace_folders or ()] in ([], ["file:///tmp"])


@pytest.mark.parametrize("method", ["initialized", "workspace/didChangeConfiguration"])
@pytest.mark.parametrize("params", [{}, {"params": None}, {"params": []}, {"params": {}}], ids=str)
def test_a_notification_that_needs_no_parameters_comes_through(method: str, params: dict[str, Any]) -> None:
    peer = Peer()
    seen: list[Any] = []
    peer.server.feature(method)(lambda params: seen.append(params))
    peer.initialize()
    peer.raw({"jsonrpc": "2.0", "method": method, **params})
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("odd", "version"),
    [
        ({"languageId": None}, 1),
        ({"version": None}, 0),
        ({"version": 2.0}, 2),
        ({"version": 1_700_000_000_000}, LARGEST),
        ({"version": -1, "more": {}}, -1),
    ],
    ids=str,
)
async def test_a_document_is_opened(started: Started, odd: dict[str, Any], version: int) -> None:
    started.send("textDocument/didOpen", {"textDocument": {**ITEM, **odd}})
    (document,) = started.server.session.documents
    assert (document.text, document.version) == ("abc\n", version)


@pytest.mark.parametrize("name", ["languageId", "version"])
async def test_a_document_without_a_language_or_a_version_is_opened(started: Started, name: str) -> None:
    started.send("textDocument/didOpen", {"textDocument": {key: value for key, value in ITEM.items() if key != name}})
    assert started.text == "abc\n"


@pytest.mark.parametrize(
    ("version", "change", "text"),
    [
        (2, {**FIRST_SIGN, "rangeLength": -1}, "Xbc\n"),
        (2, {**FIRST_SIGN, "rangeLength": None}, "Xbc\n"),
        (2, {"range": None, "rangeLength": None, "text": "X"}, "X"),
        (2, {"range": {"start": START, "end": {"line": 2**32 - 1, "character": 2**64}}, "text": "X"}, "X"),
        (2.0, {"range": {"start": START, "end": {"line": 0.0, "character": 1.0}}, "text": "X"}, "Xbc\n"),
        (1_700_000_000_000, FIRST_SIGN, "Xbc\n"),
        (None, FIRST_SIGN, "Xbc\n"),
    ],
)
async def test_a_change_is_applied(started: Started, version: Any, change: dict[str, Any], text: str) -> None:
    started.send("textDocument/didOpen", {"textDocument": ITEM})
    identifier = {**DOCUMENT, "version": version}
    started.send("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]})
    assert started.text == text


async def test_changes_without_versions_are_applied_in_their_order(started: Started) -> None:
    started.send("textDocument/didOpen", {"textDocument": {**ITEM, "version": 7}})
    for sign in "XYZ":
        change = {"range": {"start": START, "end": START}, "text": sign}
        started.send("textDocument/didChange", {"textDocument": DOCUMENT, "contentChanges": [change]})
    assert started.text == "ZYXabc\n"


@pytest.mark.parametrize(
    ("notebook", "items"),
    [
        ({"version": None, "notebookType": None, "metadata": []}, None),
        ({"cells": [{**CELL, "executionSummary": {"executionOrder": -1, "success": None}, "metadata": []}]}, {}),
        ({"cells": [{"document": "untitled:cell"}]}, [{**ITEM, "uri": "untitled:cell", "version": None}]),
    ],
    ids=str,
)
async def test_a_notebook_is_opened_changed_and_closed(started: Started, notebook: dict[str, Any], items: Any) -> None:
    opened = {"notebookDocument": {**NOTEBOOK, **notebook}, "cellTextDocuments": items}
    started.send("notebookDocument/didOpen", opened)
    structure = {"array": {"start": 1, "deleteCount": 0, "cells": [{"document": "untitled:a"}]}, "didOpen": [ITEM]}
    content = {"document": DOCUMENT, "changes": [{"range": None, "text": "changed"}]}
    cells = {"structure": {**structure, "didClose": None}, "data": None, "textContent": [content]}
    change = {"metadata": [], "cells": cells}
    started.send("notebookDocument/didChange", {"notebookDocument": {"uri": "untitled:n"}, "change": change})
    assert started.text == "changed"
    store = started.server.session.documents
    assert [(cell.key, cell.is_code) for cell in store._notebooks["untitled:n"].cells] == [
        ("untitled:cell", True),
        ("untitled:a", True),
    ]
    started.send("notebookDocument/didClose", {"notebookDocument": {"uri": "untitled:n"}, "cellTextDocuments": None})
    assert started.text is None


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        ({}, 2),
        ({"context": None}, 2),
        ({"context": []}, 2),
        ({"context": {"triggerKind": 0}}, 1),
        ({"context": {"triggerKind": 1.0}}, 1),
        ({"context": {"triggerKind": 9}}, 2),
        ({"context": {"triggerKind": "1"}}, 2),
        ({"context": {"triggerKind": [1], "selectedCompletionInfo": []}}, 2),
        ({"context": {"triggerKind": 1, "selectedCompletionInfo": {"text": "x", "range": None}}}, 1),
        ({"context": {"triggerKind": 1}, "workDoneToken": [], "partialResultToken": {}}, 1),
    ],
    ids=str,
)
def test_a_request_is_answered_whatever_its_context_says(context: dict[str, Any], kind: int) -> None:
    peer = Peer()
    seen: list[lsp.InlineCompletionParams] = []
    peer.server.feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION)(lambda params: seen.append(params))
    peer.initialize()
    place = {"line": 0.0, "character": 2**32 - 1}
    peer.send("textDocument/inlineCompletion", {"textDocument": DOCUMENT, "position": place, **context}, id=8.0)
    assert [message["id"] for message in peer.wire.messages] == [8]
    assert (seen[0].context.trigger_kind, seen[0].context.selected_completion_info) == (kind, None)
    assert seen[0].position == lsp.Position(0, LARGEST)


def test_folders_and_files_that_can_be_read_count_beside_those_that_cannot() -> None:
    folders = {"added": [{"uri": "file:///a"}, {"name": "b"}], "removed": None}
    event = in_words_of_lsp("workspace/didChangeWorkspaceFolders", {"event": folders})["event"]
    assert event == {"added": [{"uri": "file:///a", "name": ""}], "removed": []}
    changes = [{"uri": "file:///a", "type": 0}, {"uri": None}, 5]
    assert in_words_of_lsp("workspace/didChangeWatchedFiles", {"changes": changes}) == {
        "changes": [{"uri": "file:///a", "type": 2}]
    }


@pytest.mark.parametrize("arguments", [{}, {"arguments": None}, {"arguments": {}}, {"arguments": []}], ids=str)
def test_a_command_without_arguments_has_none(arguments: dict[str, Any]) -> None:
    peer = Peer()
    seen: list[Any] = []
    peer.server.command("test.note")(lambda *given: seen.append(given))
    peer.initialize()
    peer.send("workspace/executeCommand", {"command": "test.note", **arguments}, id=1)
    assert seen == [()]


@pytest.mark.parametrize("number", [[1], {"a": 1}, None, True, 1.5, "", {}])
async def test_a_cancellation_of_what_has_no_id_ends_nothing(number: Any, caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    futures: list[asyncio.Future[None]] = []

    @peer.server.feature("test/slow")
    def slow(params: Any) -> asyncio.Future[None]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    peer.initialize()
    for own in (0, 1, "x"):
        peer.send("test/slow", {}, id=own)
    peer.send("$/cancelRequest", {"id": number})
    assert not any(future.cancelled() for future in futures)
    assert caplog.records == []
    peer.send("$/cancelRequest", {"id": 0})
    assert [future.cancelled() for future in futures] == [True, False, False]


@pytest.mark.parametrize("params", [None, 5, [], {}, "x"])
def test_nothing_that_comes_raises(params: Any) -> None:
    values = (params, {"textDocument": params, "contentChanges": params, "context": params, "position": params})
    deep = {name: {"cells": {"structure": {"array": params}, "textContent": [params]}} for name in ("change", "event")}
    listed = dict.fromkeys(("notebookDocument", "changes", "arguments", "cellTextDocuments"), params)
    for method in _MENDS:
        for value in (*values, deep, listed):
            in_words_of_lsp(method, value)


async def test_wrong_values_without_end_are_told_briefly_and_not_all_remembered(started: Started) -> None:
    messages = started.server.session.messages
    for number in range(1_100):
        value = f"{number}" + "x" * 200
        for problem in Configuration().set_layer("workspace/configuration", {"completion.max_lines": value}):
            messages.warn(problem)
    assert len(messages._shown) == 1_000
    assert max(map(len, messages._shown)) < 300
