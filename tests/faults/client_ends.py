"""A client that dies, or goes without a word: the server ends, and with it every process that it started."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from functools import partial

import psutil

from tests.faults.client_stage import (
    GONE_S,
    family,
    holder,
    many_files,
    process_of,
    until,
    until_gone,
)
from tests.faults.fault import ALONE, NotHere, Stage, fault

_INDEXER = "aix_lsp.completion.indexer"
_NO_MODEL = {"AIX_LSP_MODEL__NAME": "remote", "AIX_LSP_REMOTE__URL": "http://127.0.0.1:9"}
"""For faults in which no model is asked: the server is there in a second."""


@fault("the server ends within seconds of its editor, with all its processes", group="client")
async def client_is_killed(stage: Stage) -> str:
    """SIGKILL to the process that alone holds the pipes."""
    async with holder(stage, **_NO_MODEL) as (editor, server):
        await until(lambda: len(server.threads()) > 3)
        there = family(server)
        editor.kill()
        return f"gone after {await until_gone(there):.1f} s"


@fault("the server ends though the model is just being loaded", group="client", quick=False)
async def client_is_killed_while_the_model_loads(stage: Stage) -> str:
    """SIGKILL at several moments of the first seconds, with a model in the server's own process."""
    seconds = []
    for moment in (0.0, 0.3, 0.8, 1.5):
        async with holder(stage, **ALONE) as (editor, server):
            await asyncio.sleep(moment)
            there = family(server)
            editor.kill()
            seconds.append(await until_gone(there))
    return f"at 4 moments, gone after at most {max(seconds):.1f} s"


def _indexers(server: psutil.Process) -> list[psutil.Process]:
    try:
        return [child for child in server.children() if _INDEXER in child.cmdline()]
    except psutil.Error:
        return []


def _reads_files(indexer: psutil.Process) -> bool:
    """Its imports are done, and it is at its work."""
    return indexer.cpu_times().user > 0.5


@fault("the indexer ends with the server, whichever way that went", group="client", quick=False)
async def client_or_server_is_killed_while_indexing(stage: Stage) -> str:
    """SIGKILL to the editor, and SIGKILL to the server itself, while 3,000 files are read."""
    many_files(stage.workspace / "many", 3000)
    seconds = []
    for whom in ("editor", "server"):
        async with holder(stage, **_NO_MODEL) as (editor, server):
            (indexer,) = await until(partial(_indexers, server))
            await until(partial(_reads_files, indexer))
            (editor if whom == "editor" else server).kill()
            left = [indexer] if whom == "server" else [indexer, server]
            used = indexer.cpu_times().user
            seconds.append(await until_gone(left))
            assert seconds[-1] < 5 + used, f"the indexer went on for {seconds[-1]:.0f} s after the {whom} was killed"
    return f"gone after {seconds[0]:.1f} s (editor), {seconds[1]:.1f} s (server)"


@fault("a client that closes its end without exit ends the server", group="client", quick=False)
async def client_closes_the_pipe(stage: Stage) -> str:
    """In the middle of a request."""
    editor = await stage.editor(env=_NO_MODEL, ready=False)
    there = family(process_of(editor.client))
    editor.client.start_request("workspace/executeCommand", {"command": "aix.status"})
    assert editor.client.process is not None
    assert editor.client.process.stdin is not None
    editor.client.process.stdin.close()
    seconds = await until_gone(there)
    assert await asyncio.wait_for(editor.client.process.wait(), GONE_S) == 1
    return f"gone after {seconds:.1f} s"


@fault("the server ends with the editor's process though the pipe stays open", group="client", quick=False)
async def client_dies_and_the_pipe_stays_open(stage: Stage) -> str:
    """`processId` names a process that is killed; somebody else holds the pipes."""
    window = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        editor = await stage.editor(env=_NO_MODEL, ready=False, process_id=window.pid)
        there = family(process_of(editor.client))
    finally:
        window.kill()
        window.wait()
    return f"gone after {await until_gone(there):.1f} s"


_NOT_IGNORED = (
    "import os, signal, sys\n"
    "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
    "    signal.signal(number, signal.SIG_DFL)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


@fault("a signal ends the server and its processes, with the exit code that says which", group="client", quick=False)
async def server_is_told_to_end_by_a_signal(stage: Stage) -> str:
    """SIGTERM, SIGINT, SIGHUP, which a shell may have set to be ignored for what it runs in the background."""
    if sys.platform == "win32":
        raise NotHere("signals differ on Windows")
    seconds = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        editor = await stage.editor(env=_NO_MODEL, ready=False, wrapper=[sys.executable, "-c", _NOT_IGNORED])
        there = family(process_of(editor.client))
        await editor.client.request("workspace/executeCommand", {"command": "aix.status"})
        assert editor.client.process is not None
        editor.client.process.send_signal(number)
        seconds.append(await until_gone(there))
        assert await asyncio.wait_for(editor.client.process.wait(), GONE_S) == 128 + number
    return f"gone after at most {max(seconds):.1f} s"


@fault("a server that was stopped goes on where it was, and loses nothing", group="client", quick=False)
async def server_is_stopped_and_goes_on(stage: Stage) -> str:
    """SIGSTOP, edits and requests, SIGCONT."""
    if sys.platform == "win32":
        raise NotHere("signals differ on Windows")
    editor = await stage.editor()
    process = process_of(editor.client)
    editor.mirror.open("untitled:stopped", "one\n")
    process.suspend()
    try:
        for _ in range(200):
            editor.mirror.edit("untitled:stopped", (0, 0, "x"))
        asked = [editor.client.start_request("workspace/executeCommand", {"command": "aix.status"}) for _ in range(20)]
    finally:
        process.resume()
    for _, future in asked:
        await asyncio.wait_for(future, GONE_S)
    assert all(editor.client.answers[number] == 1 for number, _ in asked)
    await editor.mirror.check(editor.client)
    await editor.works()
    return "200 edits and 20 requests while it stood still"
