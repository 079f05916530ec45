"""Git is broken, does not answer, or is not there: files are found without it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import psutil

from aix_lsp.uris import path_to_uri
from tests.faults.client_stage import until
from tests.faults.fault import NotHere, Stage, fault
from tests.faults.workspace_means import Asking, heron, run


def _repository(stage: Stage) -> None:
    if shutil.which("git") is None:
        raise NotHere("no git here")
    heron(stage.workspace / "robin.py")
    heron(stage.workspace / "ignored.py")
    (stage.workspace / ".gitignore").write_text("ignored.py\n")
    run(["git", "init", "-q"], stage.workspace)
    run(["git", "add", "."], stage.workspace)


@fault("a repository whose index is garbage is read by its ignore files", group="workspace", quick=False)
async def git_repository_that_is_broken(stage: Stage) -> str:
    _repository(stage)
    (stage.workspace / ".git" / "index").write_bytes(b"garbage" * 100)
    editor = await stage.editor()
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    (stage.workspace / ".git" / "HEAD").write_bytes(b"\xff\0garbage")
    heron(stage.workspace / "crane.py")
    await asking.until("crane.py", "robin.py")
    shutil.rmtree(stage.workspace / ".git")
    (stage.workspace / ".git").write_text("gitdir: " + "/nowhere" * 1000)
    (stage.workspace / "robin.py").unlink()
    heron(stage.workspace / "tern.py")
    await asking.until("crane.py", "tern.py")
    assert not editor.shown(), editor.shown()
    await editor.works()
    return "index, HEAD, then no repository at all"


@fault(
    "a git that never answers is done without after a while, and nothing of it is left when the server or its indexer "
    "ends",
    group="workspace",
    quick=False,
)
async def git_that_hangs(stage: Stage) -> str:
    if os.name != "posix":
        raise NotHere("needs a shell")
    _repository(stage)
    tools = stage.folder / "tools"
    tools.mkdir()
    # its child holds the pipe, as git's own children do
    mark = f"617.{time.time_ns() % 10**9}"  # no other run's
    (tools / "git").write_text(f"#!/bin/sh\nsleep {mark} &\nsleep 618\n")
    (tools / "git").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"

    def hang() -> list[int]:
        """Those that wait for good."""
        processes = psutil.process_iter(["cmdline"])
        return [process.pid for process in processes if process.info["cmdline"] == ["sleep", mark]]

    def none() -> bool:
        return not hang()

    editor = await stage.editor(env={"PATH": path}, ready=False)
    await until(hang)  # asked by the indexer, which ends with the folder
    editor.client.notify(
        "workspace/didChangeWorkspaceFolders",
        {"event": {"added": [], "removed": [{"uri": path_to_uri(stage.workspace), "name": "workspace"}]}},
    )
    await until(none)
    await editor.client.shutdown()
    editor = await stage.editor(env={"PATH": path}, ready=False)
    asking = Asking(editor, stage.workspace)
    await editor.works(offers=False)
    await asking.until("robin.py")
    await editor.works()
    assert not editor.shown(), editor.shown()
    await until(hang)  # asked by the server itself
    assert await editor.client.shutdown() == 0
    await until(none)
    return "snippets after its time limit"


@fault("without git the ignore files count nevertheless", group="workspace", quick=False)
async def git_that_is_missing(stage: Stage) -> str:
    _repository(stage)
    editor = await stage.editor(env={"PATH": str(Path(sys.executable).parent)})
    await Asking(editor, stage.workspace).until("robin.py")
    assert not editor.shown(), editor.shown()
    await editor.works()
    return "read by the ignore files"
