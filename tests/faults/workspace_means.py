"""What faults of the workspace and of the disk need: a document that asks, lesser rights, places of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import snippets_of, status
from tests.faults.fault import Editor, NotHere

ASKING = "from shop.heron import heron_migration\n\nroute = heron_migration("
MARK = "heron_migration(start"
ENOUGH_S = 120.0
"""For what takes a second on a machine at rest."""


TEXT = "def heron_migration(start: str, end: str) -> str:\n    return start + {0} + end\n" + "".join(
    f"\n\nclass {{0}}_{number}:\n" + f"    nest_{number} = {{0}}_{number}\n" * 9 for number in range(3)
)
"""What has the answer, with a word of each file's own, since copies are quoted once. What follows has nothing of it: to
BM25 a term that is in half of all chunks is worthless."""


def heron(path: Path, before: str = "", **writing: Any) -> Path:
    """Write a file that has the answer."""
    path.write_text(before + TEXT.format(path.stem), **writing)
    return path


async def until(what: Callable[[], Awaitable[Any]], seconds: float = ENOUGH_S) -> Any:
    """Ask until the answer is true; that answer. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (answer := await what()):
            await asyncio.sleep(0.05)
        return answer


async def folder_status(editor: Editor) -> dict[str, Any]:
    """What the status tells of the only folder."""
    now = await status(editor.client)
    found: dict[str, Any] = now["folders"][0] if now.get("folders") else {"phase": "waiting", "indexing": True}
    return found


async def settled(editor: Editor, seconds: float = ENOUGH_S) -> dict[str, Any]:
    """Wait for the model and for the indexer, whatever it found; what the status tells of the only folder."""

    async def look() -> dict[str, Any] | None:
        now = await status(editor.client)
        folders = now.get("folders", [])
        busy = any(folder["indexing"] or folder["phase"] == "waiting" for folder in folders)
        return now if now["state"] in ("ready", "degraded") and folders and not busy else None

    (folder,) = (await until(look, seconds))["folders"]
    found: dict[str, Any] = folder
    return found


class Asking:
    """An open document for which `robin.py` has the answer."""

    def __init__(self, editor: Editor, workspace: Path, name: str = "asking.py") -> None:
        self._editor = editor
        self.uri = path_to_uri(workspace / name)
        editor.mirror.open(self.uri, ASKING)

    async def quoted(self) -> list[str]:
        """The files that are quoted with that answer now."""
        place = ASKING.count("\n"), len(ASKING) - ASKING.rfind("\n") - 1
        found = await snippets_of(self._editor.client, self.uri, *place)
        return sorted(snippet["path"] for snippet in found if MARK in snippet["text"])

    async def until(self, *paths: str, seconds: float = ENOUGH_S) -> None:
        """Ask until exactly these files are quoted. Raises AssertionError."""
        now: list[str] = []

        async def look() -> bool:
            nonlocal now
            now = await self.quoted()
            return now == sorted(paths)

        try:
            await until(look, seconds)
        except TimeoutError:
            raise AssertionError(f"quoted are {now}, not {sorted(paths)}") from None


def process_of(editor: Editor) -> psutil.Process:
    """The server's process."""
    assert editor.client.process is not None
    return psutil.Process(editor.client.process.pid)


async def idles(editor: Editor, seconds: float = 1.0, share: float = 0.5) -> float:
    """The share of a core that the server takes while nothing is asked of it, once what it had still to do is done.
    Raises AssertionError where it spins: a minute and more without a calm while."""
    process = process_of(editor)
    for _ in range(max(3, int(60 / seconds))):
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(seconds)
        used = (sum(process.cpu_times()[:2]) - before) / seconds
        if used < share:
            return float(used)
    raise AssertionError(f"the server takes {used:.0%} of a core for nothing")


def lesser_rights() -> list[str]:
    """A command that takes from root what lets it pass by permissions; nothing for others, who have none of it."""
    if sys.platform == "win32":
        raise NotHere("permissions of files are another matter on Windows")
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise NotHere("root passes by permissions, and there is no setpriv to take that from it")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown"]


def namespace(script: str, *arguments: str | Path, mount: bool = False) -> list[str]:
    """A command that runs another in a user namespace of its own, after `script` (its $1, $2 ... are `arguments`)."""
    options = ["-r", *(["-m"] if mount else [])]
    if shutil.which("unshare") is None or subprocess.run(["unshare", *options, "true"], check=False).returncode:
        raise NotHere("no user namespaces here")
    words = list(map(str, arguments))
    return ["unshare", *options, "sh", "-ec", f'{script}\nshift {len(words)}\nexec "$@"', "sh", *words]


def in_namespace_of(editor: Editor, script: str, *arguments: str | Path) -> None:
    """Run a script where the server's file systems are."""
    pid = str(process_of(editor).pid)
    command = ["nsenter", "-t", pid, "-U", "-m", "--preserve-credentials", "sh", "-ec", script, "sh"]
    subprocess.run([*command, *map(str, arguments)], check=True, timeout=60)


def quiet(log: Path) -> list[str]:
    """A command that runs another and keeps what it says on stderr in a file."""
    return ["sh", "-ec", 'log="$1"; shift; exec "$@" 2>>"$log"', "sh", str(log)]


def said_no_traceback(log: Path) -> None:
    """Raises AssertionError where a server printed one: it may hold paths and texts, and hides what matters."""
    text = log.read_text(errors="replace")
    assert "Traceback" not in text, text[-2000:]


def run(command: Sequence[str | Path], folder: Path) -> None:
    """Run a command that must end well within a minute."""
    subprocess.run([str(word) for word in command], cwd=folder, check=True, capture_output=True, timeout=60)
