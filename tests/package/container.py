"""The container: its Dockerfile checked by hadolint, and what it promises tried without one. No image is built: a mount
namespace whose root is read-only, with the Dockerfile's environment and user, stands for `docker run --read-only`."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.findings import Finding
from tests.package.contents import ROOT
from tests.package.rows import NotHere, row
from tests.package.session import editor, edits_arrive, offer, shown, until_state
from tests.package.tools import HADOLINT, run, tool

DOCKERFILE = ROOT / "Dockerfile"
HEALTH_S = 60.0


def rows(installation: Path, folder: Path) -> Iterator[Finding]:
    """hadolint, and a server of the environment `installation` in a root that it cannot write to."""
    yield row("container: hadolint has nothing to say", hadolint)
    yield row("container: root read-only, no network", lambda: asyncio.run(closed(installation, folder)))
    yield row("container: the health check follows the server", lambda: asyncio.run(health(installation, folder)))


def hadolint() -> str:
    """Every rule, from information upwards."""
    program = tool("hadolint", HADOLINT)
    ended = run([program, "--no-color", "--failure-threshold", "style", DOCKERFILE], check=False)
    assert ended.returncode == 0, ended.stdout
    return run([program, "--version"]).stdout.strip()


def environment() -> dict[str, str]:
    """The variables that the Dockerfile sets for the server."""
    text = DOCKERFILE.read_text("utf-8").replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE):
        found |= dict(word.split("=", 1) for word in shlex.split(line))
    return found


def instruction(name: str) -> str:
    """What follows the only instruction of this name (the last of several)."""
    text = DOCKERFILE.read_text("utf-8").replace("\\\n", " ")
    return str(re.findall(rf"^{name} (.*)$", text, re.MULTILINE)[-1])


def inside(installation: Path, folder: Path, workspace: Path) -> list[str]:
    """The beginning of a command that runs in the container's stead: everything read-only but `/tmp`, which is a folder
    of `folder` that all commands share; no network; the Dockerfile's user; nothing of this environment's variables."""
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise NotHere("there is no bubblewrap here")
    user = instruction("USER").partition(":")[0]
    writable = folder / "tmp"
    writable.mkdir(exist_ok=True)
    words = [bubblewrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", str(writable), "/tmp"]
    for path in (installation, workspace):
        words += ["--ro-bind", str(path), str(path)]
    words += ["--unshare-user", "--uid", user, "--gid", user, "--unshare-net", "--unshare-ipc", "--die-with-parent"]
    words += ["--cap-drop", "ALL", "--chdir", "/", "--clearenv"]
    values = {**environment(), "PATH": f"{installation}/bin:/usr/bin:/bin", "OMP_NUM_THREADS": "2"}
    for name, value in values.items():
        words += ["--setenv", name, value]
    probe = [*words, "touch", "/usr/share/aix-lsp", str(workspace / "a")]
    ended = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False)
    if "bwrap:" in ended.stderr:
        raise NotHere(f"no namespaces here: {ended.stderr.strip()}")
    assert ended.stderr.count("Read-only file system") == 2, f"the root can be written to: {ended.stderr}"
    return words


def _workspace(folder: Path) -> Path:
    workspace = folder / "mounted"
    workspace.mkdir(exist_ok=True)
    (workspace / "invoice.py").write_text("def total(amounts):\n    return sum(amounts)\n")
    return workspace


async def closed(installation: Path, folder: Path) -> str:
    """The server does all of its work and tells of nothing that it could not write."""
    workspace = _workspace(folder)
    words = inside(installation, folder, workspace)
    command = [*words, *_entry(installation)]
    async with editor(command, workspace, dict(os.environ)) as client:
        status = await until_state(client, "ready")
        await edits_arrive(client)
        text = await offer(client)
        assert text, "nothing was offered"
        assert not shown(client), shown(client)
        assert await client.shutdown() == 0
    assert status["folders"][0]["files"] == 1, status["folders"]
    home = folder / "tmp" / environment()["HOME"].removeprefix("/tmp/")
    written = sorted({path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()})
    return f"offered {text.strip()!r} as user {instruction('USER')}; wrote {len(written)} files to /tmp alone"


async def health(installation: Path, folder: Path) -> str:
    """Unhealthy before the server runs, healthy while it answers, unhealthy while it is stopped."""
    workspace = _workspace(folder)
    words = inside(installation, folder, workspace)
    check = [*words, *_checked(installation)]

    async def code() -> int:
        ended = await asyncio.to_thread(run, check, timeout=HEALTH_S, check=False)
        return int(ended.returncode)

    seen = [await code()]
    async with editor([*words, *_entry(installation)], workspace, dict(os.environ)) as client:
        await until_state(client, "ready")
        seen.append(await code())
        server = _server_below(client.process.pid if client.process is not None else 0)
        os.kill(server, signal.SIGSTOP)
        try:
            seen.append(await code())
        finally:
            os.kill(server, signal.SIGCONT)
        seen.append(await code())
    assert seen == [1, 0, 1, 0], f"exit codes {seen} before, with, stopped, again"
    return "none: 1, running: 0, stopped: 1, running again: 0"


def _server_below(pid: int) -> int:
    """The Python process that bubblewrap started."""
    import psutil

    return next(
        int(child.pid) for child in psutil.Process(pid).children(recursive=True) if "aix_lsp" in child.cmdline()
    )


def _entry(installation: Path) -> list[str]:
    """ENTRYPOINT and CMD, with this environment's interpreter."""
    return [str(installation / "bin" / "python"), "-m", "aix_lsp", *_words(instruction("CMD"))]


def _checked(installation: Path) -> list[str]:
    """HEALTHCHECK's command, with this environment's interpreter."""
    listed = _words(instruction("HEALTHCHECK").partition(" CMD ")[2])
    assert listed[0] == "aix-lsp", listed
    return [str(installation / "bin" / "python"), "-m", "aix_lsp", *listed[1:]]


def _words(form: str) -> list[str]:
    return [str(word) for word in re.findall(r'"([^"]*)"', form)]
