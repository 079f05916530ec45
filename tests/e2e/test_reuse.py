"""Typing into offers, with the real server and the embedded model: what is known already is answered at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import LspClient, ServerError, inline_params
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, environment_in, servers, status, trace, workspace_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINE, COLUMN = INVOICE.count("\n"), len(INVOICE) - INVOICE.rfind("\n") - 1


class Editor:
    """A document with a cursor at its end, and what an editor sends about it."""

    def __init__(self, client: LspClient, uri: str) -> None:
        self.client, self.uri, self.version = client, uri, 1
        self.line, self.column = LINE, COLUMN
        client.open(uri, INVOICE)

    def type(self, keys: str) -> None:
        """One edit that inserts text without a line break."""
        self.version += 1
        self.client.insert(self.uri, self.version, self.line, self.column, keys)
        self.column += len(keys)

    def delete(self, count: int) -> None:
        """Take the last characters away: deleting, or undo."""
        self.version += 1
        place = {"line": self.line, "character": self.column - count}
        end = {"line": self.line, "character": self.column}
        self.client.change(self.uri, self.version, [{"range": {"start": place, "end": end}, "text": ""}])
        self.column -= count

    def send(self, kind: int = 2) -> tuple[int, asyncio.Future[Any]]:
        """An automatic request at the cursor."""
        params = inline_params(self.uri, self.line, self.column, kind)
        return self.client.start_request("textDocument/inlineCompletion", params)

    async def ask(self, kind: int = 2) -> list[tuple[str, str]]:
        """Text and id of each item at the cursor."""
        answer = await asyncio.wait_for(self.send(kind)[1], 60)
        place = {"line": self.line, "character": self.column}
        assert all(item["range"] == {"start": place, "end": place} for item in answer["items"])
        return [(item["insertText"], item["command"]["arguments"][0]) for item in answer["items"]]


async def asked_the_model(client: LspClient) -> bool:
    """Whether the latest request did: a prompt was built for it."""
    return bool((await trace(client)).get("prompt"))


QUIET = {"completion": {"prepare_next": False, "confidence": "off", "debounce": "fixed"}}
"""Nothing is worked out ahead, and nothing kept back."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace_in(tmp_path_factory.mktemp("reuse"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(workspace: Path) -> AsyncIterator[LspClient]:
    """One server for all; each test has a document of its own."""
    async with servers(environment_in(workspace.parent)) as start:
        yield await start([workspace], options=QUIET)


@pytest_asyncio.fixture(loop_scope="module")
async def editor(client: LspClient, workspace: Path, request: pytest.FixtureRequest) -> AsyncIterator[Editor]:
    uri = path_to_uri(workspace / "shop" / f"{request.node.name[:40]}.py")
    yield Editor(client, uri)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


async def test_an_offer_is_typed_through_undone_and_asked_for_explicitly_with_one_run_of_the_model(
    client: LspClient, editor: Editor
) -> None:
    ((offer, number),) = await editor.ask()
    assert offer.startswith("total")
    assert await asked_the_model(client)
    for end in range(1, 5):
        editor.type(offer[end - 1])
        assert await editor.ask() == [(offer[end:], number)]
        assert not await asked_the_model(client)
        assert (await trace(client))["timings_ms"]["retrieval"] == 0
    editor.delete(3)
    assert await editor.ask() == [(offer[1:], number)]
    editor.type(offer[1:4])
    assert await editor.ask() == [(offer[4:], number)]
    # what disagrees is the model's business again, and undone it agrees
    editor.type("x")
    assert (offer[5:], number) not in await editor.ask()
    assert await asked_the_model(client)
    editor.delete(1)
    assert await editor.ask() == [(offer[4:], number)]
    # several candidates, the one that is shown in the first place, all kept
    several = await editor.ask(kind=1)
    assert several[0] == (offer[4:], number)
    assert len({text for text, _ in several}) == len(several) <= 3
    assert await editor.ask(kind=1) == several
    assert not await asked_the_model(client)


async def test_after_an_accept_the_next_offer_is_there(client: LspClient, editor: Editor) -> None:
    ahead = {"aix": {"completion": {**QUIET["completion"], "prepare_next": True}}}
    client.notify("workspace/didChangeConfiguration", {"settings": ahead})
    before = (await status(client))["engine"]["background_runs"]
    ((offer, _),) = await editor.ask()
    # nothing is asked meanwhile: what follows the accept is worked out, in about the time that this answer took
    took_ms = (await trace(client))["timings_ms"]["total"]
    async with asyncio.timeout(60):
        while (await status(client))["engine"]["background_runs"] == before:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5 + took_ms / 100)
    editor.type(offer)
    await editor.ask()
    assert not await asked_the_model(client)
    client.notify("workspace/didChangeConfiguration", {"settings": {"aix": QUIET}})


@pytest.mark.parametrize("cancels_first", [False, True])
async def test_a_cancel_as_one_types_on_leaves_the_model_at_work_for_the_next_request(
    client: LspClient, editor: Editor, cancels_first: bool
) -> None:
    # as VS Code does at each key: the change, the cancel of the request before, the next request; others cancel first
    number, request = editor.send()
    requests = [(number, request)]
    for key in "tot":
        await asyncio.sleep(0.02)
        if cancels_first:
            client.cancel(requests[-1][0])
        editor.type(key)
        if not cancels_first:
            client.cancel(requests[-1][0])
        requests.append(editor.send())
    answer = await asyncio.wait_for(requests[-1][1], 60)
    (item,) = answer["items"]
    assert item["insertText"].startswith("al")
    for sent, future in requests[:-1]:
        (outcome,) = await asyncio.gather(future, return_exceptions=True)
        assert (isinstance(outcome, ServerError) and outcome.code == -32800) or outcome == {"items": []}
        assert client.answers[sent] == 1
    # and the offer is typed on
    editor.type("al")
    ((rest, again),) = await editor.ask()
    assert (rest, again) == (item["insertText"][2:], item["command"]["arguments"][0])


async def test_a_document_that_is_closed_is_forgotten(client: LspClient, workspace: Path) -> None:
    uri = path_to_uri(workspace / "shop" / "closed.py")
    editor = Editor(client, uri)
    before = await editor.ask()
    assert await editor.ask() == before
    assert not await asked_the_model(client)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert [text for text, _ in await Editor(client, uri).ask()] == [text for text, _ in before]
    assert await asked_the_model(client)
