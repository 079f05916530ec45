"""Why requests went as they did: asked in the editor and in a terminal, of a real server with the embedded model."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, PRICING, StartServer, trace
from tests.e2e.in_process import Call

MINI = ("--set", "model.name=aix-mini", "--set", "completion.time_limit_ms=60000")
SHOWS = {"window": {"showDocument": {"support": True}}}
AWAY = tuple(
    word
    for option in ("model.name=remote", "remote.url=http://127.0.0.1:9", "remote.fallback=false")
    for word in ("--set", option)
)
"""No model at all, and a start in a second: why a request got none is told all the same."""
LINE, COLUMN = INVOICE.count("\n"), len(INVOICE) - INVOICE.rfind("\n") - 1


@pytest.fixture
def environment(environment: dict[str, str], tmp_path: Path, short_folder: Path) -> dict[str, str]:
    """With a folder of its own for pages, and one for sockets, whose paths must be short."""
    (tmp_path / "tmp").mkdir(mode=0o700)
    kept = {name: value for name, value in environment.items() if name != "AIX_LSP_INSPECT__SOCKET"}
    return {**kept, "XDG_RUNTIME_DIR": str(short_folder), "TMPDIR": str(tmp_path / "tmp")}


def told(call: Call, cwd: Path, *words: str) -> Any:
    """What `aix-lsp inspect --json` prints."""
    done = call("inspect", "--json", *words, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


async def execute(client: LspClient, command: str, *arguments: Any) -> Any:
    return await client.request("workspace/executeCommand", {"command": command, "arguments": list(arguments)})


async def page_of(client: LspClient, count: int) -> Path:
    """The page that was shown last."""
    async with asyncio.timeout(120):
        while len(client.shown) < count:
            await asyncio.sleep(0.02)
    return Path(url2pathname(urlsplit(client.shown[-1]).path))


async def ask(client: LspClient, workspace: Path) -> None:
    """Two requests: one with an offer, one without."""
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    assert await client.inline_completion(uri, LINE, COLUMN)
    assert await client.inline_completion(uri, LINE, 4, kind=2) == []


async def test_the_editor_and_a_terminal_are_told_the_same(
    start: StartServer, workspace: Path, environment: dict[str, str], call: Call, tmp_path: Path, short_folder: Path
) -> None:
    client = await start([workspace], arguments=MINI, capabilities=SHOWS)
    await ask(client, workspace)

    # in the editor
    answer = await execute(client, "aix.inspect")
    first = await page_of(client, 1)
    assert answer == {"path": str(first), "requests": [1, 2]}
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    page = first.read_text(encoding="utf-8")
    assert "code follows the cursor on its line" in page
    assert "def apply_seasonal_rebate" in page
    assert "▁<AIX-SPAN" in page or "<s># the file path is" in page
    await execute(client, "aix.inspect", 1)
    second = await page_of(client, 2)
    assert not first.exists()
    assert "## 2" not in second.read_text(encoding="utf-8")
    assert await execute(client, "aix.inspect", 77) is None
    message = await client.wait_for_notification("window/showMessage", "77")
    assert "request 77 is not remembered (remembered: 1 to 2)" in message["params"]["message"]

    # in a terminal, from a folder inside the workspace
    command = [sys.executable, "-P", "-m", "aix_lsp", "inspect", "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=workspace / "shop", capture_output=True, check=True, timeout=120
    )
    said = json.loads(done.stdout)
    assert client.process is not None
    assert said["server"]["pid"] == client.process.pid
    assert said["server"]["folders"] == [str(workspace)]
    offered, silent = said["requests"]
    assert (offered["number"], silent["number"]) == (1, 2)
    assert offered["completions"][0]["text"].startswith("total")
    assert (offered["file"], offered["line"], offered["column"]) == ("shop/invoice.py", LINE + 1, COLUMN + 1)
    assert PRICING.strip() in offered["prompt"]["text"]
    assert sum(part["tokens"] for part in offered["prompt"]["parts"]) <= offered["prompt"]["tokens"]
    assert offered["spans"]
    assert silent["reason"].startswith("code follows the cursor")
    assert silent == await trace(client)
    assert told(call, workspace, "--last", "1")["requests"] == [silent]
    assert told(call, tmp_path, "--request", "1")["requests"] == [offered]
    doctor = call("doctor", "--json", "--workspace", ".", *MINI, cwd=workspace)
    (finding,) = [item for item in json.loads(doctor.stdout) if item["check"] == "running"]
    assert "2 asked, 1 offered; no offer: code follows the cursor on its line: 1" in finding["detail"]

    # a page for a browser
    html = tmp_path / "why.html"
    done = call("inspect", "--html", str(html), cwd=workspace)
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(html.stat().st_mode) == 0o600
    assert "compute_grand_" in html.read_text(encoding="utf-8")

    # nothing is left behind
    assert await client.shutdown() == 0
    assert not second.exists()
    assert list((tmp_path / "tmp").glob("aix-lsp*")) == []
    assert list(short_folder.iterdir()) == []
    done = call("inspect", cwd=workspace)
    assert done.returncode == 2
    assert done.stderr.startswith("aix-lsp: no aix-lsp server of yours is running")
    assert done.stderr.count("\n") == 1


async def test_the_right_one_of_several_servers_is_asked_and_followed_and_strangers_are_not_heard(
    start: StartServer, workspace: Path, environment: dict[str, str], call: Call, tmp_path: Path, short_folder: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    here, there = await asyncio.gather(*(start([folder], arguments=AWAY, ready=False) for folder in (workspace, other)))
    assert here.process is not None
    assert there.process is not None
    for process in (here.process, there.process):
        async with asyncio.timeout(120):
            while not any((short_folder / "aix-lsp-servers").glob(f"{process.pid}-*.token")):
                await asyncio.sleep(0.05)
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    here.open(uri, INVOICE)
    for _ in range(2):
        assert await here.inline_completion(uri, LINE, 4, kind=2) == []
    assert told(call, workspace)["server"]["pid"] == here.process.pid
    assert told(call, other)["requests"] == []
    asked = told(call, other, "--pid", str(here.process.pid))
    assert len(asked["requests"]) == 2
    done = call("inspect", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("aix-lsp: 2 servers run and none is of this folder; name one with --pid: process ")

    # without showDocument the page is named in a message
    await execute(here, "aix.inspect")
    message = await here.wait_for_notification("window/showMessage", "the page is in")
    page = Path(message["params"]["message"].partition("the page is in ")[2])
    assert page.is_file()
    assert here.shown == []

    command = [sys.executable, "-P", "-m", "aix_lsp", "inspect", "--follow", "--json"]
    following = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert following.stdout is not None
    line = b""
    async with asyncio.timeout(60):
        while not line:  # until it listens
            assert await here.inline_completion(uri, LINE, 4, kind=2) == []
            try:
                line = await asyncio.wait_for(following.stdout.readline(), 0.5)
            except TimeoutError:
                continue
    assert json.loads(line)["reason"].startswith("code follows the cursor")

    # somebody who does not know the token
    (token,) = (short_folder / "aix-lsp-servers").glob(f"{here.process.pid}-*.token")
    known = token.read_text()
    token.write_text(f"{'0' * 64} 0\n")
    done = call("inspect", "--pid", str(here.process.pid), cwd=workspace)
    assert done.returncode == 2
    assert f"aix-lsp: process {here.process.pid}: this server does not know this token" in done.stderr
    token.write_text(known)

    # a server that is killed leaves files, which the next who looks sweeps; those who follow it are told
    here.process.kill()
    await here.process.wait()
    _, errors = await asyncio.wait_for(following.communicate(), 30)
    assert following.returncode == 0
    assert b"the server has ended" in errors
    assert told(call, workspace)["server"]["pid"] == there.process.pid
    left = {path.name.partition("-")[0] for path in (short_folder / "aix-lsp-servers").iterdir()}
    assert left == {str(there.process.pid)}
    assert page.exists()
    await start([other], ready=False, arguments=AWAY)
    async with asyncio.timeout(120):
        while page.exists():
            await asyncio.sleep(0.05)

    # one that is told to end by a signal leaves nothing
    page = Path((await execute(there, "aix.inspect"))["path"])
    assert page.is_file()
    there.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(there.process.wait(), 30) == 128 + signal.SIGTERM
    assert not page.exists()
    assert not any((short_folder / "aix-lsp-servers").glob(f"{there.process.pid}-*"))
