"""A server elsewhere that means ill, and who may come to know the token for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import psutil

from aix_lsp.uris import uri_to_path
from tests.e2e.in_process import Call
from tests.security.attacked import attacked, engine_elsewhere, sent_to
from tests.unit.remote_server import Fault, ModelServer

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


def with_token(server: ModelServer) -> dict[str, str]:
    """Settings of a user who has a token for this server."""
    return {**engine_elsewhere(server), "AIX_LSP_REMOTE__TOKEN": TOKEN}


async def until_told(server: Any, said: str) -> str:
    """What is shown to the user with these words."""
    message = await server.client.wait_for_notification("window/showMessage", said)
    return str(message["params"]["message"])


async def test_what_a_server_writes_is_text_and_nothing_else(workspace: Path, environment: dict[str, str]) -> None:
    async with ModelServer("text", text="x\n") as evil:
        options = {"completion": {"reuse": False}}
        async with attacked(workspace, {**environment, **with_token(evil)}, options=options) as server:
            for number, text in enumerate(EVIL_TEXTS):
                evil.text = text
                items = await server.complete(workspace / f"a{number}.py", f"c = 2\nb = 1\na{number} = ")
                for item in items:
                    assert set(item) <= {"insertText", "range", "filterText", "command"}, "text, and where it goes"
                    assert item.get("command") is None or item["command"]["command"].startswith("aix.")
                    assert not CONTROLS.search(item["insertText"]), repr(item["insertText"])
            await server.everything_shown()
            page = uri_to_path(server.client.shown[-1])
            assert page is not None
            assert not CONTROLS.search(Path(page).read_text("utf-8"))
            assert not CONTROLS.search(server.logged())


async def test_the_token_is_in_no_log_message_status_trace_page_or_process_list_whatever_the_server_answers(
    workspace: Path, environment: dict[str, str], call: Call
) -> None:
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
    async with ModelServer("text", token=TOKEN) as evil:
        values = {**environment, **with_token(evil)}
        async with attacked(workspace, values, options={"completion": {"reuse": False}}) as server:
            assert await server.complete(workspace / "a.py", "a = ")
            assert f"Bearer {TOKEN}" in sent_to(evil)
            for number, fault in enumerate(faults):
                evil.fault = fault
                await server.complete(workspace / f"b{number}.py", f"def secret_sauce():\n    a{number} = ")
            seen = [await server.everything_shown(), server.logged()]
            assert server.client.process is not None
            children = psutil.Process(server.client.process.pid).children(recursive=True)
            seen += [json.dumps([process.cmdline(), process.environ()]) for process in children]
            evil.fault = None
            for words in (["doctor"], ["doctor", "--json"], ["config"], ["config", "--json"], ["doctor", "--nothing"]):
                said_by = await asyncio.to_thread(_quietly, call, words, values)
                seen.append(said_by)
        seen.append(server.logged())
    for text in seen:
        assert TOKEN not in text
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


async def test_code_and_token_follow_no_redirect_and_go_through_no_proxy_that_is_for_other_machines(
    workspace: Path, environment: dict[str, str]
) -> None:
    async with ModelServer("text") as second, ModelServer("text") as proxy, ModelServer("text") as mine:
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"), proxy.url)
        values = {**environment, **with_token(mine), **proxies}
        async with attacked(workspace, values, options={"completion": {"reuse": False}}) as server:
            assert await server.complete(workspace / "a.py", "a = ")
            for status in (301, 302, 303, 307, 308):
                mine.fault = Fault(status, "", headers=(f"Location: {second.url}/v1/completions",))
                assert not await server.complete(workspace / f"r{status}.py", f"a{status} = ")
        assert mine.completions
        assert second.connections == 0
        assert proxy.connections == 0
