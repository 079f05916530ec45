"""`aix-lsp demo`: the real server on a small bundled workspace, driven as an editor drives it.

A file is typed character by character with didChange; at some places inline completions are asked for. What an
editor would show is shown: the code, the ghost text, the snippets that were quoted, and the milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from aix_lsp.cli.assignments import command_line
from aix_lsp.cli.demo_shot import FILE, Shot
from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.lsp_client import LspClient, ServerError
from aix_lsp.uris import path_to_uri

CURSOR = "\N{BLACK RIGHT-POINTING TRIANGLE}"
"""Where the demo's script asks for a completion; not typed."""

_READY_SECONDS = 120.0
_KEY_SECONDS = 0.004


def run(*, as_json: bool, svg: Path | None, model: str | None, assignments: Sequence[str]) -> None:
    """Run the demo in this terminal."""
    options = [f"{name}={json.dumps(value)}" for name, value in command_line(model, assignments).items()]
    if svg is not None and not svg.absolute().parent.is_dir():
        raise UsageError(f"{svg.parent} is no folder")
    bundled = files("aix_lsp").joinpath("data", "demo")
    with as_file(bundled) as source, tempfile.TemporaryDirectory(prefix="aix-demo-") as folder:
        workspace = Path(folder).resolve() / "workspace"
        shutil.copytree(source, workspace, ignore=shutil.ignore_patterns("__pycache__", "*.typed"))
        script = (source / "invoice.py.typed").read_text(encoding="utf-8")
        asyncio.run(_print_json(workspace, script, options) if as_json else _view(workspace, script, options, svg))


async def _print_json(workspace: Path, script: str, options: Sequence[str]) -> None:
    async for shot in _shots(workspace, script, options):
        print(json.dumps(shot.as_json(), ensure_ascii=False), flush=True)  # noqa: T201


async def _view(workspace: Path, script: str, options: Sequence[str], svg: Path | None) -> None:
    from aix_lsp.cli.demo_view import View

    view = View(svg)
    view.begin(FILE)
    async for shot in _shots(workspace, script, options):
        view.show(shot)
    view.end()


async def _shots(workspace: Path, script: str, options: Sequence[str]) -> AsyncIterator[Shot]:
    command = [sys.executable, "-P", "-m", "aix_lsp", "serve", "--stdio"]
    for option in ("statistics.enabled=false", *options):
        command += ["--set", option]
    async with LspClient(command) as client:
        await client.initialize([workspace])
        await _until_ready(client)
        for message in client.notifications:
            if message["method"] == "window/showMessage":
                sys.stderr.write(f"{message['params']['message']}\n")
        path = workspace / FILE
        uri = path_to_uri(path)
        client.open(uri, "")
        typed, version = "", 1
        for part in script.split(CURSOR)[:-1]:
            for character in part:
                version += 1
                line, column = _end(typed)
                client.insert(uri, version, line, column, character)
                typed += character
                await asyncio.sleep(0 if character.isspace() else _KEY_SECONDS)
            line, column = _end(typed)
            items = await client.inline_completion(uri, line, column, timeout=_READY_SECONDS)
            trace = await client.request("workspace/executeCommand", {"command": "aix.trace"})
            if trace is None:
                raise ServerError(0, "the server kept no trace of the completion")
            yield Shot(typed, items[0]["insertText"] if items else "", line + 1, column + 1, trace)
        await client.shutdown()


async def _until_ready(client: LspClient) -> None:
    """Wait for the model and the index. Raises ServerError when the model cannot be loaded, TimeoutError."""
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            status = await client.request("workspace/executeCommand", {"command": "aix.status"})
            if status["state"] == "failed":
                raise ServerError(0, status["message"])
            if status["state"] == "ready" and not any(folder["indexing"] for folder in status["folders"]):
                return
            await asyncio.sleep(0.05)


def _end(text: str) -> tuple[int, int]:
    """Line and character (0-based, UTF-16 units; the script is plain ASCII) of the end of a text."""
    return text.count("\n"), len(text) - text.rfind("\n") - 1
