"""What an editor does with a server that is installed somewhere: one session over stdio, in a folder without a
repository."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from aix_lsp.cli.lsp_client import LspClient
from tests.mirror import Mirror

BEFORE = "def total(amounts):\n    return su"
"""What is typed where a completion is asked for; the cursor stands at its end."""

UNTITLED = "untitled:invoice"
EDITS = 20


def bare(folder: Path) -> dict[str, str]:
    """An environment with an empty home and nothing of this machine's Python, settings and caches."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": "",
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


@contextlib.asynccontextmanager
async def editor(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
) -> AsyncIterator[LspClient]:
    """A server started in `folder` and greeted; `options` are initializationOptions."""
    with contextlib.chdir(folder):
        client = await LspClient([str(word) for word in command], environment).__aenter__()
    try:
        await client.initialize([folder], options=options, process_id=os.getpid())
        yield client
    finally:
        await client.__aexit__()


async def until_state(client: LspClient, *states: str, seconds: float = 300.0) -> dict[str, Any]:
    """Wait for one of these states; the status then. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            status: dict[str, Any] = await client.request("workspace/executeCommand", {"command": "aix.status"})
            if status["state"] in states and not any(one["indexing"] for one in status["folders"]):
                return status
            await asyncio.sleep(0.05)


async def edits_arrive(client: LspClient) -> None:
    """Random edits; raises AssertionError where the server then holds another text."""
    mirror, chance = Mirror(client.notify), Random(0)
    mirror.open(UNTITLED, BEFORE)
    for _ in range(EDITS):
        mirror.edit_somewhere(UNTITLED, chance)
    await mirror.check(client)
    mirror.close(UNTITLED)


async def offer(client: LspClient) -> str:
    """The first completion behind `BEFORE`; "" where there is none."""
    client.open("untitled:offer", BEFORE)
    items = await client.inline_completion("untitled:offer", 1, len("    return su"))
    return str(items[0]["insertText"]) if items else ""


def shown(client: LspClient, words: str = "") -> list[str]:
    """Messages that opened in the editor and hold these words."""
    texts = [one["params"]["message"] for one in client.notifications if one["method"] == "window/showMessage"]
    return [text for text in texts if words in text]
