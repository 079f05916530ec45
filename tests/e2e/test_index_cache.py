"""The index over several starts of a real server, and a branch switch while it answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import pytest

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import StartServer, snippets_of, status, trace, until_ready

ASKING = "from shop.heron import heron_migration\n\nroute = heron_migration("
HERON = "def heron_migration(start: str, end: str) -> str:\n    return start + end\n"
FILES = 400
ENOUGH_SECONDS = 120
USUAL_RETRIEVAL_MS = 250  # a query takes some milliseconds; the machine may be busy
LONGEST_RETRIEVAL_MS = 2_500  # and once in a while very busy

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def environment(environment: dict[str, str], model_host: dict[str, str]) -> dict[str, str]:
    """With one model for all servers of these tests."""
    return {**environment, **model_host}


async def quoted(client: LspClient, uri: str) -> list[str]:
    found = await snippets_of(client, uri, ASKING.count("\n"), len(ASKING) - ASKING.rfind("\n") - 1)
    return [snippet["path"] for snippet in found if "heron_migration(start" in snippet["text"]]


async def asking(start: StartServer, workspace: Path, *arguments: str) -> tuple[LspClient, str]:
    client = await start([workspace], arguments=arguments)
    uri = path_to_uri(workspace / "asking.py")
    client.open(uri, ASKING)
    return client, uri


async def counts(client: LspClient) -> tuple[int, int]:
    """Files in the index, and those of them that were not read."""
    (folder,) = (await status(client))["folders"]
    return folder["files"], folder["reused"]


def kept_files(environment: dict[str, str]) -> list[Path]:
    return [path for path in Path(environment["XDG_CACHE_HOME"]).rglob("*") if path.is_file()]


async def test_an_unchanged_workspace_is_not_read_again(
    start: StartServer, workspace: Path, environment: dict[str, str]
) -> None:
    (workspace / "shop" / "heron.py").write_text(HERON)
    client, uri = await asking(start, workspace)
    assert await counts(client) == (3, 0)
    assert await quoted(client, uri) == ["shop/heron.py"]
    assert await client.shutdown() == 0
    kept = kept_files(environment)
    assert sorted(path.name for path in kept) == ["chunks", "definitions"]
    assert not any(b"migration" in path.read_bytes() for path in kept)
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
        assert {path.parent.stat().st_mode & 0o777 for path in kept} == {0o700}
    client, uri = await asking(start, workspace)
    assert await counts(client) == (3, 3)
    assert await quoted(client, uri) == ["shop/heron.py"]


async def test_what_changed_between_two_starts_is_seen(start: StartServer, workspace: Path) -> None:
    for name in ("heron", "bird", "tern"):
        (workspace / "shop" / f"{name}.py").write_text(HERON.replace("start +", f"start + {name} +"))
    client, uri = await asking(start, workspace)
    assert sorted(await quoted(client, uri)) == ["shop/bird.py", "shop/heron.py", "shop/tern.py"]
    await client.shutdown()
    (workspace / "shop" / "heron.py").unlink()
    (workspace / "shop" / "bird.py").write_text("x = 1\n")
    (workspace / "crane.py").write_text(HERON)
    client, uri = await asking(start, workspace)
    assert await counts(client) == (5, 3)
    assert sorted(await quoted(client, uri)) == ["crane.py", "shop/tern.py"]


async def test_a_damaged_index_is_noticed_and_made_anew(
    start: StartServer, workspace: Path, environment: dict[str, str]
) -> None:
    (workspace / "shop" / "heron.py").write_text(HERON)
    client, _ = await asking(start, workspace)
    await client.shutdown()
    for path in kept_files(environment):
        with path.open("r+b") as file:
            file.seek(-5, os.SEEK_END)
            file.write(b"\xff")
    client, uri = await asking(start, workspace)
    assert await counts(client) == (3, 0)
    assert await quoted(client, uri) == ["shop/heron.py"]


async def test_nothing_is_kept_when_the_setting_says_so(
    start: StartServer, workspace: Path, environment: dict[str, str]
) -> None:
    client, _ = await asking(start, workspace, "--set", "workspace.cache_index=false")
    await client.shutdown()
    assert kept_files(environment) == []


async def test_two_servers_on_one_workspace_both_answer(start: StartServer, workspace: Path) -> None:
    (workspace / "shop" / "heron.py").write_text(HERON)
    clients = await asyncio.gather(*(asking(start, workspace) for _ in range(2)))
    for client, uri in clients:
        assert await quoted(client, uri) == ["shop/heron.py"]
    for client, _ in clients:
        await client.shutdown()
    client, _ = await asking(start, workspace)
    assert await counts(client) == (3, 3)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@needs_git
async def test_answers_go_on_while_a_branch_is_switched_and_name_no_file_that_is_gone(
    start: StartServer, workspace: Path
) -> None:
    git(workspace, "init")
    for branch in ("main", "other"):
        if branch == "other":
            git(workspace, "checkout", "-b", "other")
            git(workspace, "rm", "-r", "-q", "main")
        (workspace / branch).mkdir()
        for number in range(FILES):
            text = HERON.replace("start +", f"start + {branch}_{number} +")
            (workspace / branch / f"heron{number}.py").write_text(text)
        git(workspace, "add", ".")
        git(workspace, "commit", "-m", branch)
    client, uri = await asking(start, workspace)
    took: list[float] = []
    for branch in ("main", "other", "main"):
        switch = asyncio.create_task(asyncio.to_thread(git, workspace, "checkout", branch))
        began = time.monotonic()
        found: list[str] = []
        while not switch.done() or not found or any(not path.startswith(branch) for path in found):
            gone = switch.done()
            found = await quoted(client, uri)
            assert not gone or all(path.startswith(branch) for path in found), found
            took.append((await trace(client))["timings_ms"]["retrieval"])
            assert time.monotonic() - began < ENOUGH_SECONDS
        await switch
        await until_ready(client)
        assert (await counts(client))[0] == FILES + 2
    assert median(took) < USUAL_RETRIEVAL_MS
    assert max(took) < LONGEST_RETRIEVAL_MS
