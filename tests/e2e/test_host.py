"""Two real servers, as two windows of an editor start them, that share one model in a host process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, StartServer, status
from tests.model_host import hosts as hosts_with

SHARED = tuple(
    part
    for option in (
        "model.name=aix-mini",
        "model.share=on",
        "model.share_linger_s=1",
        "completion.time_limit_ms=60000",  # this is no test of speed
        "completion.reuse=false",  # each request is to reach the host
    )
    for part in ("--set", option)
)


def hosts(environment: dict[str, str]) -> list[int]:
    """Ids of the host processes of this test: those with its home."""
    return [process.pid for process in hosts_with("HOME", environment["HOME"])]


async def complete(client: LspClient, uri: str) -> str:
    line = INVOICE.count("\n")
    items = await client.inline_completion(uri, line, len(INVOICE) - INVOICE.rfind("\n") - 1)
    return str(items[0]["insertText"])


async def until_gone(environment: dict[str, str]) -> None:
    async with asyncio.timeout(120):
        while hosts(environment):
            await asyncio.sleep(0.1)


async def test_windows_share_one_host_survive_its_death_and_it_ends_with_them(
    start: StartServer, workspace: Path, environment: dict[str, str], short_folder: Path
) -> None:
    (short_folder / "run").mkdir(mode=0o700)
    environment["XDG_RUNTIME_DIR"] = str(short_folder / "run")
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    windows = await asyncio.gather(*(start([workspace], arguments=SHARED) for _ in range(2)))
    for window in windows:
        window.open(uri, INVOICE)
    texts = await asyncio.gather(*(complete(window, uri) for window in windows))
    assert all(text.startswith("total") for text in texts)
    (host,) = hosts(environment)
    assert [(await status(window))["sharing"] for window in windows] == [
        f"shared with 2 windows, host process {host}"
    ] * 2
    said = await asyncio.to_thread(_doctor, environment, workspace)
    assert said["sharing"].startswith(f"shared with 2 windows, host process {host}: aix-mini is ready")
    # neither window has loaded PyTorch itself
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "serve" in command and "model.share=on" in command and process.environ().get("HOME") == environment["HOME"]:
            assert not any("libtorch" in library.path for library in process.memory_maps())

    os.kill(host, signal.SIGKILL)
    # a key that could not be answered before the host was there again is the one slow answer
    texts = await asyncio.gather(*(complete(window, uri) for window in windows))
    assert all(text.startswith("total") for text in texts)
    (another,) = hosts(environment)
    assert another != host

    await windows[0].shutdown()
    assert (await complete(windows[1], uri)).startswith("total")
    assert hosts(environment) == [another]
    await windows[1].shutdown()
    await until_gone(environment)
    left = [path.suffix for path in (short_folder / "run" / "aix-lsp").iterdir()]
    assert left == [".lock"]


def _doctor(environment: dict[str, str], workspace: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "aix_lsp", "doctor", "--json", "--workspace", str(workspace), *SHARED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return {finding["check"]: finding["detail"] for finding in json.loads(done.stdout)}
