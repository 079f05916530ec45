"""What the faults of a client are made with: clients that are processes of their own, and who is left when they end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.faults.fault import Stage
from tests.model_host import HOST

GONE_S = 60.0
"""A server ends within a few seconds; a machine under load takes longer."""

_HOLDER = """
import json, subprocess, sys, time
def framed(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body
server = subprocess.Popen([sys.executable, "-m", "aix_lsp", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
folder = {"uri": sys.argv[1], "name": "project"}
params = {"processId": None, "rootUri": None, "capabilities": {}, "workspaceFolders": [folder]}
server.stdin.write(framed({"id": 1, "method": "initialize", "params": params}))
server.stdin.write(framed({"method": "initialized", "params": {}}))
server.stdin.flush()
print(server.pid, flush=True)
while server.stdout.read1(65536):
    pass
"""


@asynccontextmanager
async def holder(stage: Stage, **env: str) -> Any:
    """An editor that is a process of its own and alone holds the server's pipes; it and the server's process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _HOLDER,
        path_to_uri(stage.workspace),
        stdout=asyncio.subprocess.PIPE,
        env={**stage.environment, **env},
    )
    assert process.stdout is not None
    server = psutil.Process(int(await asyncio.wait_for(process.stdout.readline(), GONE_S)))
    try:
        yield process, server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        with suppress(psutil.Error):
            server.kill()


def family(server: psutil.Process) -> list[psutil.Process]:
    """The server and the processes that it started, without the model's host, which serves other windows too."""
    with suppress(psutil.Error):
        return [server, *(child for child in server.children(recursive=True) if not _is_host(child))]
    return []


def _is_host(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return HOST in process.cmdline()
    return False


def process_of(client: LspClient) -> psutil.Process:
    """The server's process."""
    assert client.process is not None
    return psutil.Process(client.process.pid)


async def until_gone(processes: Iterable[psutil.Process]) -> float:
    """Wait until none of them runs; how long that took, in seconds. Raises AssertionError for those that stay."""
    began = asyncio.get_running_loop().time()
    left = list(processes)
    while left:
        if asyncio.get_running_loop().time() - began > GONE_S:
            raise AssertionError(f"{len(left)} processes are left: {[' '.join(one.cmdline()[-2:]) for one in left]}")
        left = [one for one in left if _runs(one)]
        await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - began


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


async def until(condition: Callable[[], Any], seconds: float = GONE_S) -> Any:
    """Wait for something that becomes true; what it was. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found


def resident_mb(process: psutil.Process) -> float:
    """The process's memory now."""
    return float(process.memory_info().rss) / (1 << 20)


def framed(message: dict[str, Any]) -> bytes:
    """A message as it goes over the pipe."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def write(client: LspClient, content: bytes) -> None:
    """Bytes to the server as they are."""
    assert client.process is not None
    assert client.process.stdin is not None
    client.process.stdin.write(content)


async def drain(client: LspClient) -> None:
    """Wait until the pipe has taken what was written."""
    assert client.process is not None
    assert client.process.stdin is not None
    await asyncio.wait_for(client.process.stdin.drain(), GONE_S)


def many_files(folder: Path, count: int) -> None:
    """Files of 800 lines, which take an indexer a while."""
    folder.mkdir()
    for number in range(count):
        names = (f"measure_{number}_{line}" for line in range(400))
        text = "".join(f"def {name}(width, height):\n    return width * height\n" for name in names)
        (folder / f"module_{number}.py").write_text(text)
