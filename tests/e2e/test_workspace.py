"""Folders, files on disk, notebooks: what a completion may quote, and what never."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import StartServer, snippets_of, status, trace

ASKING = "from shop.heron import heron_migration\n\nroute = heron_migration("
HERON = "def heron_migration(start: str, end: str) -> str:\n    return start + end\n"
ENOUGH_SECONDS = 60


@pytest.fixture
def environment(environment: dict[str, str], model_host: dict[str, str]) -> dict[str, str]:
    """With one model for all servers of these tests."""
    return {**environment, **model_host}


async def quoted(client: LspClient, uri: str) -> list[str]:
    found = await snippets_of(client, uri, ASKING.count("\n"), len(ASKING) - ASKING.rfind("\n") - 1)
    return [snippet["path"] for snippet in found if "heron_migration(start" in snippet["text"]]


async def until(client: LspClient, uri: str, paths: list[str]) -> None:
    """Ask until exactly these files are quoted."""
    async with asyncio.timeout(ENOUGH_SECONDS):
        while (now := await quoted(client, uri)) != paths:
            await asyncio.sleep(0.1)
    assert now == paths


async def asking(start: StartServer, *folders: Path) -> tuple[LspClient, str]:
    client = await start(list(folders))
    uri = path_to_uri(folders[0] / "asking.py")
    client.open(uri, ASKING)
    return client, uri


async def test_files_that_come_change_move_and_go_are_followed(start: StartServer, workspace: Path) -> None:
    client, uri = await asking(start, workspace)
    assert await quoted(client, uri) == []
    heron = workspace / "shop" / "heron.py"
    heron.write_text(HERON)
    await until(client, uri, ["shop/heron.py"])
    heron.rename(workspace / "shop" / "bird.py")
    await until(client, uri, ["shop/bird.py"])
    (workspace / "shop" / "bird.py").write_text("x = 1\n")
    await until(client, uri, [])
    (workspace / "more").mkdir()
    (workspace / "more" / "heron.py").write_text(HERON)
    await until(client, uri, ["more/heron.py"])
    (workspace / "more" / "heron.py").unlink()
    await until(client, uri, [])


async def test_a_client_that_watches_files_itself_is_believed(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], arguments=["--set", "workspace.watch=off"])
    uri = path_to_uri(workspace / "asking.py")
    client.open(uri, ASKING)
    (workspace / "heron.py").write_text(HERON)
    changes = [{"uri": path_to_uri(workspace / "heron.py"), "type": 1}]
    client.notify("workspace/didChangeWatchedFiles", {"changes": changes})
    await until(client, uri, ["heron.py"])


async def test_two_folders_are_both_quoted_and_one_can_go(start: StartServer, workspace: Path, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    (other / "heron.py").write_text(HERON)
    client, uri = await asking(start, workspace, other)
    await until(client, uri, ["heron.py"])
    folder = {"uri": path_to_uri(other), "name": "other"}
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [folder]}})
    await until(client, uri, [])
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [folder], "removed": []}})
    await until(client, uri, ["heron.py"])


async def test_secrets_and_ignored_files_are_never_quoted(start: StartServer, workspace: Path) -> None:
    secret = "heron_migration(start, end) key = 'heron_migration'\n" * 3
    (workspace / ".env").write_text(secret)
    (workspace / "server.pem").write_text(secret)
    (workspace / "credentials.json").write_text(secret)
    (workspace / "ignored.py").write_text(HERON)
    (workspace / ".gitignore").write_text("ignored.py\n")
    (workspace / "private.py").write_text(HERON)
    (workspace / ".aixignore").write_text("private.py\n")
    client, uri = await asking(start, workspace)
    client.open(path_to_uri(workspace / ".env"), secret, "dotenv")
    client.open(path_to_uri(workspace / "private.py"), HERON)
    assert await quoted(client, uri) == []
    assert all(snippet["path"].startswith("shop/") for snippet in (await trace(client))["snippets"])
    # nothing is offered inside a file of secrets either
    assert await client.inline_completion(path_to_uri(workspace / ".env"), 1, 0) == []


async def test_cells_of_a_notebook_are_context_for_one_another(start: StartServer, workspace: Path) -> None:
    client = await start([workspace])
    notebook = path_to_uri(workspace / "analysis.ipynb")
    cells = [f"vscode-notebook-cell:{notebook.removeprefix('file:')}#{name}" for name in "abc"]
    texts = ["quarterly_heron_counts = [3, 1, 4]\n", "# Herons\n", "total = sum(quarterly_"]
    client.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {
                "uri": notebook,
                "notebookType": "jupyter-notebook",
                "version": 1,
                "cells": [{"kind": kind, "document": uri} for kind, uri in zip([2, 1, 2], cells, strict=True)],
            },
            "cellTextDocuments": [
                {"uri": uri, "languageId": language, "version": 1, "text": text}
                for uri, language, text in zip(cells, ["python", "markdown", "python"], texts, strict=True)
            ],
        },
    )

    async def prompt() -> str:
        await client.inline_completion(cells[2], 0, len(texts[2]))
        text: str = (await trace(client))["prompt"]["text"]
        return text

    shown = await prompt()
    assert "analysis.ipynb" in shown
    assert "quarterly_heron_counts" in shown
    assert "# Herons" not in shown
    # a cell that is edited, and one that is deleted
    change = {"document": {"uri": cells[0], "version": 2}, "changes": [{"text": "quarterly_stork_counts = [2]\n"}]}
    client.notify(
        "notebookDocument/didChange",
        {"notebookDocument": {"uri": notebook, "version": 2}, "change": {"cells": {"textContent": [change]}}},
    )
    assert "quarterly_stork_counts" in await prompt()
    structure = {"array": {"start": 0, "deleteCount": 1}, "didClose": [{"uri": cells[0]}]}
    client.notify(
        "notebookDocument/didChange",
        {"notebookDocument": {"uri": notebook, "version": 3}, "change": {"cells": {"structure": structure}}},
    )
    assert "stork" not in await prompt()


async def test_a_folder_that_is_not_there_is_told_and_completions_go_on(start: StartServer, tmp_path: Path) -> None:
    client = await start([tmp_path / "nowhere"])
    await client.wait_for_notification("window/showMessage", "nowhere")
    client.open("file:///a.py", "def area(width, height):\n    return width * ")
    assert await client.inline_completion("file:///a.py", 1, 19)


async def test_what_is_over_a_limit_is_told(start: StartServer, workspace: Path) -> None:
    (workspace / "big.py").write_text("x = 1\n" * 1000)
    limits = ["--set", "workspace.max_files=1", "--set", "workspace.max_file_kb=4"]
    client = await start([workspace], arguments=limits)
    await client.wait_for_notification("window/showMessage", "more files than workspace.max_files")
    await client.wait_for_notification("window/logMessage", "1 larger than workspace.max_file_kb")
    (folder,) = (await status(client))["folders"]
    assert (folder["phase"], folder["files"], folder["truncated"]) == ("ready", 1, True)
    assert folder["left_out"] == {"size": 1}
    assert folder["chunks"] > 0
