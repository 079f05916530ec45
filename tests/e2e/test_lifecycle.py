"""Start, capabilities, and every way to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, StartServer

BARE = """
from pygls.lsp.server import LanguageServer
LanguageServer("bare", "1").start_io()
"""
ALLOWED_SECONDS = 0.15
"""Or half of what bare pygls takes, where a machine is slow."""
AWAY = tuple(
    word
    for option in ("model.name=remote", "remote.url=http://127.0.0.1:9", "remote.fallback=false")
    for word in ("--set", option)
)
"""No model at all, and a start in a second, where nothing is asked of it."""
ALONE = {"AIX_LSP_MODEL__SHARE": "off"}
"""A model in the server's own process."""


@pytest.fixture
def environment(environment: dict[str, str], model_host: dict[str, str]) -> dict[str, str]:
    """With one model for all servers of these tests, but those that say `ALONE`."""
    return {**environment, **model_host}


async def seconds_to_initialize(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    async with LspClient(command, environment) as client:
        await client.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        return time.perf_counter() - began


async def test_initialize_is_answered_hardly_later_than_by_bare_pygls(environment: dict[str, str]) -> None:
    ours: list[float] = []
    bare: list[float] = []
    # the least of several runs: everything else on the machine only adds to it, and where much else runs it takes more

    def allowed() -> float:
        return max(ALLOWED_SECONDS, min(bare) / 2)

    while len(ours) < 3 or (len(ours) < 20 and min(ours) - min(bare) >= allowed()):
        bare.append(await seconds_to_initialize([sys.executable, "-c", BARE], environment))
        ours.append(await seconds_to_initialize([sys.executable, "-m", "aix_lsp", "serve"], environment))
    assert min(ours) - min(bare) < allowed()


async def test_what_is_advertised(start: StartServer, workspace: Path) -> None:
    client = await start([], initialize=False)
    answer = await client.initialize([workspace])
    capabilities = answer["capabilities"]
    assert answer["serverInfo"]["name"] == "aix-lsp"
    assert capabilities["inlineCompletionProvider"] == {}
    sync = capabilities["textDocumentSync"]
    assert (sync["openClose"], sync["change"]) == (True, 2)
    assert capabilities["workspace"]["workspaceFolders"] == {"supported": True, "changeNotifications": True}
    assert capabilities["notebookDocumentSync"]["notebookSelector"]
    assert "aix.accepted" in capabilities["executeCommandProvider"]["commands"]
    assert "completionProvider" not in capabilities


async def test_loading_is_shown_as_progress(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], env=ALONE)
    kinds = [item["params"]["value"]["kind"] for item in client.notifications if item["method"] == "$/progress"]
    titles = [
        item["params"]["value"].get("title", "") for item in client.notifications if item["method"] == "$/progress"
    ]
    assert kinds.count("begin") == kinds.count("end") == 2
    assert {"aix: loading the model", "aix: indexing"} <= set(titles)


async def test_no_progress_for_a_client_that_shows_none(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], capabilities={"general": {}})
    assert not any(item["method"] == "$/progress" for item in client.notifications)


async def test_shutdown_and_exit_end_with_0(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], ready=False)
    assert await client.shutdown() == 0


async def test_exit_without_shutdown_ends_with_1(start: StartServer) -> None:
    client = await start([], ready=False)
    client.notify("exit", None)
    assert client.process is not None
    assert await asyncio.wait_for(client.process.wait(), 60) == 1


async def test_a_closed_stdin_ends_the_server(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], env=ALONE)
    assert client.process is not None
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert await asyncio.wait_for(client.process.wait(), 60) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_the_server_as_its_client_would(
    start: StartServer, number: signal.Signals, tmp_path: Path
) -> None:
    client = await start([], ready=False, env={"TMPDIR": str(tmp_path)}, arguments=AWAY)
    page = None
    async with asyncio.timeout(60):
        while page is None:
            page = await client.request("workspace/executeCommand", {"command": "aix.inspect"})
    assert Path(page["path"]).is_file()
    assert client.process is not None
    client.process.send_signal(number)
    assert await asyncio.wait_for(client.process.wait(), 60) == 128 + number
    assert not list(tmp_path.glob("aix-lsp*"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
async def test_a_killed_editor_ends_the_server_though_the_pipe_stays_open(start: StartServer) -> None:
    editor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    client = await start([], process_id=editor.pid)
    editor.send_signal(signal.SIGKILL)
    editor.wait()
    assert client.process is not None
    assert await asyncio.wait_for(client.process.wait(), 60) == 1


async def test_an_editor_that_cannot_be_seen_from_here_is_not_waited_for(start: StartServer) -> None:
    """In a container the editor's process id means nothing."""
    client = await start([], process_id=2**22 + 1)
    await asyncio.sleep(0.5)
    assert (await client.request("workspace/executeCommand", {"command": "aix.status"}))["state"] == "ready"


async def test_malformed_messages_get_an_error_and_completions_go_on(start: StartServer, workspace: Path) -> None:
    client = await start([workspace])
    for body in (b"{", b"[]", b'{"jsonrpc": "2.0", "id": {}, "method": "x"}', b"\xff" * 10):
        client.send_raw(body)
    client.send_raw(json.dumps({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": 5}).encode())
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    assert await client.inline_completion(uri, INVOICE.count("\n"), 200)


async def test_tcp_serves_one_client(environment: dict[str, str], workspace: Path) -> None:
    command = [sys.executable, "-m", "aix_lsp", "serve", "--tcp", "127.0.0.1:0"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(line.rsplit(":", 1)[1]))
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": os.getpid(), "capabilities": {}}}
    ).encode()
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert b"Content-Length" in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    await writer.wait_closed()
    assert await asyncio.wait_for(process.wait(), 60) == 1
    await process.stderr.read()


def test_tcp_refuses_to_listen_beyond_this_machine(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "aix_lsp", "serve", "--tcp", "0.0.0.0:0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--force" in done.stderr
