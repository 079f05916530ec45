"""A server elsewhere that means ill, who may come to know the token for it, and what a log may hold whatever it says.

The tests share one server: to start one takes most of their time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import inline_params
from aix_lsp.uris import path_to_uri, uri_to_path
from tests.e2e.conftest import environment_in, workspace_in
from tests.e2e.in_process import Call
from tests.security.attacked import Attacked, attacked, engine_elsewhere, sent_to
from tests.unit.remote_server import Fault, ModelServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN = "CANARY" + "tok" + "9f3Kq7Zx2LmB8vR4"
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
EVIL_TEXTS = (
    "b\x1b]0;title\x07\x1b[2J + c\n",
    "b \u202e+ c\u2066\n",
    "b\x00 + c\n",
    "b\u200b\ufeff + c\n",
    "../../../../etc/passwd; rm -rf ~ # \n",
    'b + c", "command": {"command": "workbench.action.terminal.new"}}\n',
)


BAIT = "def reconcile_ledger(quarterly_totals, exchange_rates):\n    return quarterly_totals * exchange_rates\n"
WORDS = ("open", "typed", "file", "answer", "message", "query", "method", "fault", "command", "header")


def canary(what: str) -> str:
    """A word that stands for what is in that place."""
    return f"CANARY_{what}_zqx"


@dataclass
class Between:
    """A user's server, the one elsewhere that it asks, and one that proxies of the environment lead to."""

    server: Attacked
    evil: ModelServer
    proxy: ModelServer
    workspace: Path
    values: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Between]:
    """All three, with a token, and nothing reused, so that each request is sent."""
    folder = tmp_path_factory.mktemp("elsewhere")
    workspace, environment = workspace_in(folder), environment_in(folder)
    (workspace / "ledger.py").write_text(f"{BAIT}{canary('file')} = 1\n")
    async with ModelServer("text", token=TOKEN) as evil, ModelServer("text") as proxy:
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"), proxy.url)
        values = {**environment, **engine_elsewhere(evil), **proxies, "AIX_LSP_REMOTE__TOKEN": TOKEN}
        async with attacked(workspace, values, options={"completion": {"reuse": False}}) as server:
            yield Between(server, evil, proxy, workspace, values)
        assert TOKEN not in server.logged()
        assert [word for word in WORDS if canary(word) in server.logged()] == []


@pytest_asyncio.fixture(loop_scope="module")
async def between(shared: Between) -> Between:
    """The three, well."""
    shared.evil.fault, shared.evil.text = None, "x\n"
    await until_asked_again(shared.server)
    return shared


async def until_asked_again(server: Attacked) -> None:
    """After a failure the server elsewhere is left alone for half a second, or a minute where it fails again."""
    async with asyncio.timeout(120):
        while (await server.command("aix.status"))["state"] != "ready":
            await asyncio.sleep(0.05)


async def meet(between: Between, fault: Fault, name: str, text: str) -> list[Any]:
    """What is offered in a document while the server fails so; it is well afterwards, and known to be."""
    asked = len(between.evil.completions)
    between.evil.fault = fault
    items = await between.server.complete(between.workspace / name, text)
    between.evil.fault = None
    assert len(between.evil.completions) > asked
    await until_asked_again(between.server)
    return items


async def test_what_a_server_writes_is_text_and_nothing_else(between: Between) -> None:
    server = between.server
    for number, text in enumerate(EVIL_TEXTS):
        between.evil.text = text
        items = await server.complete(between.workspace / f"a{number}.py", f"c = 2\nb = 1\na{number} = ")
        for item in items:
            assert set(item) <= {"insertText", "range", "filterText", "command"}, "text, and where it goes"
            assert item.get("command") is None or item["command"]["command"].startswith("aix.")
            assert not CONTROLS.search(item["insertText"]), repr(item["insertText"])
    await server.everything_shown()
    page = uri_to_path(server.client.shown[-1])
    assert page is not None
    assert not CONTROLS.search(Path(page).read_text("utf-8"))
    assert not CONTROLS.search(server.logged())


async def test_code_and_token_follow_no_redirect_and_go_through_no_proxy_that_is_for_other_machines(
    between: Between,
) -> None:
    async with ModelServer("text") as second:
        assert await between.server.complete(between.workspace / "a.py", "a = ")
        for status in (301, 303, 308):
            fault = Fault(status, "", headers=(f"Location: {second.url}/v1/completions",))
            assert not await meet(between, fault, f"r{status}.py", f"a{status} = ")
        assert second.connections == 0
        assert between.proxy.connections == 0


async def test_the_token_is_in_no_log_message_status_trace_page_or_process_list_whatever_the_server_answers(
    between: Between, call: Call
) -> None:
    server, evil, workspace = between.server, between.evil, between.workspace
    said = f"Bearer {TOKEN} is wrong; you asked: def secret_sauce"
    faults = [
        Fault(401, said),
        Fault(403, json.dumps({"error": {"message": said}})),
        Fault(500, said, headers=(f"X-Echo: {TOKEN}", f"WWW-Authenticate: Bearer {TOKEN}")),
        Fault(302, said, headers=(f"Location: http://127.0.0.1:9/{TOKEN}",)),
        Fault(200, said, headers=("Content-Type: text/plain",)),
        Fault(after=1, ends="garbage"),
        Fault(after=1, ends="error"),
        Fault(after=0, ends="cut"),
    ]
    assert await server.complete(workspace / "a.py", "a = ")
    assert f"Bearer {TOKEN}" in sent_to(evil)
    for number, fault in enumerate(faults):
        await meet(between, fault, f"b{number}.py", f"def secret_sauce():\n    a{number} = ")
    seen = [await server.everything_shown(), server.logged()]
    assert server.client.process is not None
    children = psutil.Process(server.client.process.pid).children(recursive=True)
    seen += [json.dumps([process.cmdline(), process.environ()]) for process in children]
    for words in (["doctor"], ["doctor", "--json"], ["config"], ["config", "--json"], ["doctor", "--nothing"]):
        seen.append(await asyncio.to_thread(_quietly, call, words, between.values))
    seen.append(server.logged())
    assert [number for number, text in enumerate(seen) if TOKEN in text] == []
    assert "secret_sauce" not in server.logged()


def _quietly(call: Call, words: list[str], values: dict[str, str]) -> str:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        done = call(*words)
        return done.stdout + done.stderr
    finally:
        os.environ.clear()
        os.environ.update(before)


async def test_no_text_of_the_user_or_of_a_server_is_logged_whatever_goes_wrong(between: Between) -> None:
    text = f"{canary('open')} = 1\nquarterly_totals = exchange_rates = reconcile_ledger(quarterly_"
    server, evil, workspace = between.server, between.evil, between.workspace
    client, inspect = server.client, canary("query")
    evil.text = f"totals, {canary('answer')})\n"
    client.configuration = {"completion": {"debounce_ms": canary("setting"), canary("setting"): 1}}
    client.notify("workspace/didChangeConfiguration", {"settings": None})
    assert await server.complete(workspace / "report.py", text)
    assert canary("file") in json.dumps(await server.command("aix.trace"))
    uri = path_to_uri(workspace / "typed.py")
    client.open(uri, text)
    client.insert(uri, 2, 0, 0, f"# {canary('typed')}\n")
    client.insert(uri, 3, 9_999_999, 7, canary("typed"))
    client.change(uri, 4, [{"range": canary("typed"), "text": canary("typed")}])
    client.change(path_to_uri(workspace / "never.py"), 5, [{"text": canary("typed")}])
    client.insert(uri, 1, 0, 0, canary("typed"))  # older than what is there
    for fault in (Fault(500, canary("fault"), headers=(f"X-A: {canary('header')}",)), Fault(after=1, ends="garbage")):
        evil.fault = fault
        await client.request("textDocument/inlineCompletion", inline_params(uri, 1, 3))
        evil.fault = None
        await until_asked_again(server)
    for body in (
        {"method": f"workspace/{canary('method')}", "params": {"x": canary("message")}},
        {"method": "textDocument/inlineCompletion", "params": canary("message"), "id": 900},
        {"method": "workspace/executeCommand", "params": {"command": canary("command")}, "id": 901},
        {"method": "aix.accepted", "params": {"x": canary("message")}, "id": 902},
        {"method": "workspace/executeCommand", "params": {"command": "aix.inspect", "arguments": [inspect]}},
        {"id": 903, "result": canary("message")},
        [canary("message")],
    ):
        message = {"jsonrpc": "2.0", **body} if isinstance(body, dict) else body
        client.send_raw(json.dumps(message).encode())
    client.send_raw(canary("message").encode())
    client.send_raw(b'{"jsonrpc": "2.0", "method": "' + canary("message").encode())
    client.send_raw(b"\xff\xfe" + canary("message").encode())
    await server.command("aix.status")
    sent, logged = sent_to(evil), server.logged()
    assert canary("file") in sent
    assert logged, "at level debug something is logged"
    assert [word for word in WORDS if canary(word) in logged] == []
    assert "reconcile_ledger" not in logged
    assert "quarterly_" not in logged
