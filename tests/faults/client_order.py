"""A client that does things in another order, twice, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aix_lsp.cli.lsp_client import LspClient, ServerError, inline_params
from tests.e2e.conftest import status, until_ready
from tests.faults.client_stage import GONE_S, framed, write
from tests.faults.fault import Editor, Stage, fault

_INVALID_REQUEST = -32600
_ASKS = {
    "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
    "window": {"workDoneProgress": True},
}


@fault("the second initialize is refused, and the session goes on", group="client", quick=False)
async def client_initializes_twice(stage: Stage) -> str:
    """With other folders and settings the second time."""
    editor = await stage.editor()
    before = await status(editor.client)
    with pytest.raises(ServerError) as refused:
        await editor.client.initialize([stage.folder], options={"completion": {"enabled": False}})
    assert refused.value.code == _INVALID_REQUEST
    assert (await status(editor.client))["folders"] == before["folders"]
    await editor.works()
    assert not editor.shown(), editor.shown()
    return "refused with InvalidRequest"


@fault("a client that never says `initialized` is served", group="client", quick=False)
async def client_says_nothing_after_initialize(stage: Stage) -> str:
    """And can be asked for its settings, which the server waits for a moment."""
    editor = await stage.editor(initialize=False, ready=False)
    params = {"processId": None, "rootUri": None, "capabilities": _ASKS, "initializationOptions": {}}
    await editor.client.request("initialize", params)
    await until_ready(editor.client)
    await editor.works()
    return "offers come"


@fault(
    "exit without shutdown ends the server with 1, a shutdown without exit answers nothing more",
    group="client",
    quick=False,
)
async def client_says_exit_without_shutdown(stage: Stage) -> str:
    """Both halves of the end, each alone."""
    editor = await stage.editor(ready=False)
    editor.client.notify("exit", None)
    assert editor.client.process is not None
    assert await asyncio.wait_for(editor.client.process.wait(), GONE_S) == 1
    editor = await stage.editor(ready=False)
    await editor.client.request("shutdown", None)
    with pytest.raises(ServerError) as refused:
        await status(editor.client)
    assert refused.value.code == _INVALID_REQUEST
    editor.client.notify("exit", None)
    assert editor.client.process is not None
    assert await asyncio.wait_for(editor.client.process.wait(), GONE_S) == 0
    return "1 and 0"


class Silent(LspClient):
    """A client that never answers what the server asks."""

    replies: Any = None

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message or "id" not in message:
            super()._take(message)
        elif self.replies is not None:
            write(self, framed({"id": message["id"], **self.replies(message)}))


async def _strange(stage: Stage, replies: Any) -> Editor:
    """An editor whose server asks in vain, with changes of settings that make it ask again."""
    editor = await stage.editor(initialize=False, ready=False)
    editor.client.__class__ = Silent
    editor.client.replies = replies  # type: ignore[attr-defined]
    await editor.client.initialize([stage.workspace], capabilities=_ASKS)
    await until_ready(editor.client)
    for _ in range(50):
        editor.client.notify("workspace/didChangeConfiguration", {"settings": None})
    await editor.works()
    return editor


@fault("a server that is never answered does without", group="client")
async def client_never_answers_the_server(stage: Stage) -> str:
    """workspace/configuration, client/registerCapability and window/workDoneProgress/create stay open."""
    editor = await _strange(stage, None)
    assert not editor.shown(), editor.shown()
    assert await editor.client.shutdown() == 0
    return "offers come, and it ends at shutdown"


@fault(
    "settings of initialize hold, and those that are pushed count once the question has expired",
    group="client",
    quick=False,
)
async def client_never_tells_its_settings(stage: Stage) -> str:
    """workspace/configuration stays open: all is switched off at the start, and on by a push."""
    editor = await stage.editor(initialize=False, ready=False)
    editor.client.__class__ = Silent
    off, on = {"completion": {"enabled": False}}, {"aix": {"completion": {"enabled": True}}}
    await editor.client.initialize([stage.workspace], capabilities=_ASKS, options=off)
    uri = "untitled:settings"
    editor.mirror.open(uri, "def total(amounts):\n    return su")
    await until_ready(editor.client)
    assert not await editor.client.inline_completion(uri, 1, 13, kind=2)
    editor.client.notify("workspace/didChangeConfiguration", {"settings": on})
    async with asyncio.timeout(3 * GONE_S):
        while not await editor.client.inline_completion(uri, 1, 13, kind=2):
            await asyncio.sleep(0.5)
    editor.mirror.close(uri)
    await editor.works()
    assert not editor.shown(), editor.shown()
    return "off, and on by a push"


_REPLIES: dict[str, Any] = {
    "errors": lambda message: {"error": {"code": -32601, "message": "no"}},
    "errors without a code": lambda message: {"error": "no"},
    "nothing at all": lambda message: {},
    "a number": lambda message: {"result": 7},
    "settings that are none": lambda message: {"result": [None, 5, "x", [], {"completion": 7}]},
    "a reply to another question": lambda message: {"id": 10**9, "result": None},
}


@fault("a client that answers with errors and nonsense is served", group="client", quick=False)
async def client_answers_with_errors(stage: Stage) -> str:
    """Each of the server's questions is answered so."""
    for name, replies in _REPLIES.items():
        editor = await _strange(stage, replies)
        assert len(editor.shown()) <= 2, f"{name}: {editor.shown()}"
        assert len(editor.shown()) == len(set(editor.shown())), f"{name}: {editor.shown()}"
        assert await editor.client.shutdown() == 0
    return f"{len(_REPLIES)} kinds of answers"


@fault("cancels of what runs, of what was answered, and of what never was, harm nothing", group="client", quick=False)
async def client_cancels_everything(stage: Stage) -> str:
    """Each id several times, ids of the server's own requests, and ids that are none."""
    editor = await stage.editor()
    uri = "untitled:cancels"
    editor.mirror.open(uri, "def total(amounts):\n    return su")
    numbers, futures = [], []
    for _ in range(40):
        number, future = editor.client.start_request("textDocument/inlineCompletion", inline_params(uri, 1, 13))
        for cancelled in (number, number, number - 1, number + 10_000):
            editor.client.cancel(cancelled)
        numbers.append(number)
        futures.append(future)
    odd: Any
    for odd in (None, "x", [], {}, -1, 1.5):
        editor.client.notify("$/cancelRequest", {"id": odd})
    done = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), GONE_S)
    assert all(isinstance(one, dict) or (isinstance(one, ServerError) and one.code == -32800) for one in done), done
    await editor.works()
    assert all(editor.client.answers[number] == 1 for number in numbers)
    return "40 requests, each answered once"


@fault("two servers for one folder at once do not disturb each other", group="client", quick=False)
async def two_servers_for_one_folder(stage: Stage) -> str:
    """Both begin without a kept index, and both write it."""
    first, second = await asyncio.gather(stage.editor(), stage.editor())
    for _ in range(3):
        await asyncio.gather(first.works(), second.works())
    for editor in (first, second):
        assert not editor.shown(), editor.shown()
        assert await editor.client.shutdown() == 0
    third = await stage.editor()
    await third.works()
    return "and a third begins with what they kept"
