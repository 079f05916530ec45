"""A folder that somebody else filled is opened: nothing in it is run, and nothing in it decides what is loaded, written
or asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from aix_lsp.configuration import Configuration
from aix_lsp.engine.host_protocol import PROTOCOL, Unpacker, pack
from aix_lsp.settings import Settings, options
from aix_lsp.uris import path_to_uri
from aix_lsp.workspace import git_process
from aix_lsp.workspace.git import find_git_view
from aix_lsp.workspace.scanner import Scanner
from tests.e2e.conftest import INVOICE, environment_in, workspace_in
from tests.model_host import hosts
from tests.security.attacked import attacked, engine_elsewhere
from tests.security.git_attacks import evil_program, git, make_evil
from tests.unit.remote_server import ModelServer

of_this_file = pytest.mark.asyncio(loop_scope="module")
MACHINE = [item for item in options() if item.scope == "machine"]
SHADOWING = (
    *("sitecustomize", "usercustomize", "torch", "numpy", "httpx", "pydantic", "pygls", "json", "logging", "git"),
    *("pathlib", "fnmatch", "urllib", "threading", "shutil"),
)
"""Modules that the server imports by name. (What Python imports by itself before any program, no program can keep it
from: `types`, `typing` and such are not among them.)"""

TOKENS = {
    "AIX_LSP_REMOTE__TOKEN": "CANARY-1",
    "OPENAI_API_KEY": "CANARY-2",
    "AWS_SECRET_ACCESS_KEY": "CANARY-3",
    "MY_OWN": "CANARY-4",
    "AIX_LSP_REMOTE__TOKEN_ENV": "MY_OWN",
    "DATABASE_PASSWORD": "CANARY-5",
    "MYSQL_PWD": "CANARY-6",
    "REDISCLI_AUTH": "CANARY-7",
    "DB_PASS": "CANARY-8",
    "DATABASE_URL": "x://a:CANARY-9@b",
}
"""Of the user's environment."""


def machine_values(folder: Path, url: str) -> dict[str, Any]:
    """A value for each option of scope machine that is another one than the default, and takes effect if it counts."""
    wanted: dict[str, Any] = {
        "model.name": str(folder / "evil-model"),
        "model.adapter": str(folder / "evil-adapter"),
        "remote.url": url,
        "remote.proxy": url,
        "log.file": str(folder / "CANARY.log"),
    }
    values = {}
    for item in MACHINE:
        default = item.default
        if item.name in wanted:
            value = wanted[item.name]
        elif isinstance(default, bool):
            value = not default
        elif isinstance(default, int | float):
            value = default + 1
        else:
            value = "evil"
        values[item.name] = value
    return values


def lay_files(root: Path, canary: Path, url: str) -> None:
    """Files by every name that a tool has taken its settings, or its code, from."""
    for name in SHADOWING:
        (root / f"{name}.py").write_text(f"open({str(canary)!r}, 'a').write('{name} was imported\\n')\n")
    values = machine_values(root, url)
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, option = name.partition(".")
        nested.setdefault(section, {})[option] = value
    toml = "".join(
        f"[{section}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items())
        for section, chosen in nested.items()
    )
    for name in ("config.toml", "aix.toml", ".aix.toml", "aix-lsp.toml", ".aix-lsp.toml", ".aix/config.toml"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(toml)
    (root / "pyproject.toml").write_text(toml.replace("[", "[tool.aix.") + toml.replace("[", "[tool.aix-lsp."))
    for name in (".aix", ".aixrc", ".aix.json", "aix.json"):
        if not (root / name).exists():
            (root / name).write_text(json.dumps(nested))
    (root / ".vscode").mkdir()
    (root / ".vscode" / "settings.json").write_text(
        json.dumps({f"aix.{name}": value for name, value in values.items()})
    )
    variables = "".join(f"AIX_LSP_{name.upper().replace('.', '__')}={value}\n" for name, value in values.items())
    for name in (".env", ".envrc", "environment", ".env.local"):
        (root / name).write_text(variables)
    for folder in (root, root / "bin", root / ".venv" / "bin", root / "node_modules" / ".bin"):
        folder.mkdir(parents=True, exist_ok=True)
        if folder != root:
            evil_program(folder, canary).rename(folder / "git")


@dataclass
class Opened:
    """What was seen of a server with a model host of its own, started in a workspace that somebody else filled."""

    ran: str
    status: dict[str, Any]
    warned: list[str]
    asked_elsewhere: int
    left: list[Path]
    started: list[str]
    environment_of_git: str
    refusal: bytes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    """Open the workspace, complete in it, and look at all that was started."""
    folder = tmp_path_factory.mktemp("opened")
    workspace, environment = workspace_in(folder), environment_in(folder)
    canary, tools, seen = folder / "CANARY", folder / "tools", folder / "seen"
    sockets = Path(tempfile.mkdtemp(prefix="aix-"))
    tools.mkdir()
    (tools / "git").write_text(f'#!/bin/sh\nenv >> "{seen}"\nexec {shutil.which("git")} "$@"\n')
    (tools / "git").chmod(0o755)
    found: list[psutil.Process] = []
    try:
        async with ModelServer("text") as evil:
            lay_files(workspace, canary, evil.url)
            make_evil(workspace, canary)
            canary.unlink(missing_ok=True)
            inside = [workspace / "bin", workspace / ".venv" / "bin", workspace / "node_modules" / ".bin"]
            path = os.pathsep.join(["", ".", "bin", *map(str, inside), str(tools), os.environ["PATH"]])
            host = {"AIX_LSP_MODEL__NAME": "aix-mini", "AIX_LSP_MODEL__SHARE": "on", "XDG_RUNTIME_DIR": str(sockets)}
            own = {"PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
            values = {**environment, **host, **TOKENS, **own}
            # without -P, as somebody might start it by hand: the current folder comes first in what can be imported
            async with attacked(workspace, values, flags=()) as server:
                assert await server.complete(workspace / "shop" / "invoice.py", INVOICE)
                status = await server.command("aix.status")
                assert await server.command("aix.models")
                found = hosts("XDG_RUNTIME_DIR", str(sockets))
                started = [json.dumps([process.environ(), process.cmdline()]) for process in found]
                refusal = await asyncio.to_thread(_say_a_wrong_proof, next(sockets.rglob("*.sock")))
                warned = server.shown("settings:")
        ran = canary.read_text() if canary.exists() else ""
        left = [*workspace.rglob("CANARY*")]
        git_saw = seen.read_text()
        yield Opened(ran, status, warned, len(evil.seen) + evil.connections, left, started, git_saw, refusal)
    finally:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(sockets, ignore_errors=True)


def _say_a_wrong_proof(path: Path) -> bytes:
    """What a model host answers to one who does not know its token, until it closes the connection."""
    heard = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        hello = {"op": "hello", "protocol": PROTOCOL, "nonce": "0" * 32, "role": "window", "proof": "0" * 64}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(pack(hello) + pack({"op": "run", "id": 1, "epoch": 1, "ids": [1, 2], "limit": 1}))
            while piece := connection.recv(65536):
                heard += piece
    return heard


@of_this_file
async def test_nothing_of_a_workspace_is_run_and_nothing_in_its_files_decides(opened: Opened) -> None:
    assert opened.ran == ""
    assert opened.left == []
    assert "aix-mini" in opened.status["model"]
    assert opened.warned == []
    assert opened.asked_elsewhere == 0


@of_this_file
async def test_tokens_of_the_user_are_not_handed_to_the_programs_that_are_started(opened: Opened) -> None:
    assert opened.started
    assert [told for told in opened.started if "CANARY-" in told] == []
    assert "PWD=" in opened.environment_of_git
    assert "CANARY-" not in opened.environment_of_git


@of_this_file
async def test_a_model_host_tells_nothing_to_who_does_not_know_its_token(opened: Opened) -> None:
    """Who comes as far as its socket, that is: a folder of mode 0700 is in the way."""
    (hello, last) = Unpacker().feed(opened.refusal)
    assert hello.keys() == {"op", "protocol", "nonce", "pid"}
    assert last["op"] == "refused"


def test_a_package_of_our_name_in_the_workspace_is_not_imported(workspace: Path, environment: dict[str, str]) -> None:
    (workspace / "aix_lsp").mkdir()
    for name in ("__init__", "__main__", "cli", "server"):
        (workspace / "aix_lsp" / f"{name}.py").write_text("raise SystemExit('of the workspace')\n")
    script = Path(sys.executable).with_name("aix-lsp")
    for command in ([sys.executable, "-P", "-m", "aix_lsp"], [str(script)] if script.exists() else []):
        if command:
            said = subprocess.run(
                [*command, "--version"], cwd=workspace, env=environment, capture_output=True, text=True, timeout=60
            )
            assert (said.returncode, said.stderr) == (0, "")


async def test_machine_options_of_a_workspace_are_ignored_and_named_in_one_warning(
    workspace: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    async with ModelServer("text") as mine, ModelServer("text") as evil:
        values = machine_values(tmp_path, evil.url)
        values["remote.token"] = "CANARY-token"
        later = {"remote.url": evil.url + "/v2", "model.device": "cuda"}
        by_folder = {path_to_uri(workspace): {f"aix.{name}": value for name, value in values.items()}}
        async with attacked(
            workspace, {**environment, **engine_elsewhere(mine)}, configuration=values, by_folder=by_folder
        ) as server:
            server.client.configuration = later
            server.client.notify("workspace/didChangeConfiguration", {"settings": {"aix": later}})
            assert await server.complete(workspace / "a.py", "a = ")
            (told,) = server.shown("cannot be set by a workspace")
            for item in MACHINE:
                if item.name != "inspect.socket":  # the environment of these tests has set it so
                    assert item.name in told
            for place in ("config.toml", "AIX_LSP_MODEL__NAME", "initializationOptions"):
                assert place in told
            assert "CANARY" not in json.dumps(server.client.notifications)
            assert not server.shown("restart")
            assert mine.completions
            assert evil.connections == 0
            assert "CANARY" not in server.logged()
    assert not (tmp_path / "CANARY.log").exists()


def test_options_of_one_folder_are_told_as_those_of_all_are() -> None:
    configuration = Configuration()
    assert configuration.set_layer("workspace/configuration", {}) == []
    (told,) = configuration.refused({"aix": {"remote": {"url": "http://x", "token": "CANARY"}, "model": {"name": "y"}}})
    assert told.startswith("settings: remote.url, remote.token, model.name cannot be set by a workspace")
    assert "CANARY" not in told
    assert configuration.refused({"remote.url": "http://another"}) == []
    assert configuration.for_folder({"remote.url": "http://x", "model.name": "y"}) == Settings()


@pytest.mark.parametrize("source", ["user file", "environment", "initializationOptions", "command line"])
def test_a_client_that_repeats_what_the_user_has_set_anywhere_is_not_scolded(source: Any) -> None:
    configuration = Configuration()
    mine = {"remote.url": "http://mine", "remote.token": "x" * 20, "model.threads": 3, "model.idle_minutes": 7.0}
    assert configuration.set_layer(source, mine) == []
    if source != "command line":
        configuration.set_layer("command line", {"remote.url": "http://today"})
    repeated = {**mine, "model.threads": "3", "model.idle_minutes": 7, "model.name": "auto", "log.file": "auto"}
    assert configuration.set_layer("workspace/configuration", {**repeated, "remote.token": ""}) == []
    assert configuration.set_layer("workspace/configuration", repeated) == []
    assert len(configuration.set_layer("workspace/configuration", {"remote.token": "another"})) == 1


def test_git_runs_nothing_that_a_repository_names(tmp_path: Path) -> None:
    root, canary = tmp_path / "repository", tmp_path / "CANARY"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    (root / "b.py").write_text("y = 1\n")
    make_evil(root, canary)
    canary.unlink(missing_ok=True)
    view = find_git_view(root)
    assert view is not None
    assert {"a.py", "b.py"} <= {*(view.files() or ())}
    assert view.last_commits()
    assert {"a.py", "b.py"} <= view.uncommitted()
    assert view.tracked_although_ignored == frozenset()
    assert not canary.exists(), canary.read_text()


@pytest.mark.parametrize("file", ["commondir", "objects/info/alternates", "refs/heads/main"])
def test_a_repository_without_end_takes_little_memory_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    root, killed = tmp_path / "repository", []
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    make_evil(root, tmp_path / "CANARY")
    for name in ("mailmap.file", "core.attributesFile", "diff.orderFile"):
        git(root, "config", name, "/dev/zero")
    view = find_git_view(root)
    assert view is not None
    assert view.last_commits()
    assert "a.py" in view.uncommitted()
    path = root / ".git" / file
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")
    monkeypatch.setattr(git_process, "_MOST_MEMORY", 64 << 20)
    monkeypatch.setattr(git_process, "_kill", lambda process: (process.kill(), killed.append(process)))
    view = find_git_view(root)
    assert view is None or view.last_commits() is None
    if sys.platform == "linux":  # elsewhere it is killed in the end
        assert killed == []


def test_git_reads_no_file_of_patterns_that_a_repository_names(tmp_path: Path) -> None:
    root, outside = tmp_path / "repository", tmp_path / "patterns"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    outside.write_text("a.py\n")
    make_evil(root, tmp_path / "CANARY")
    subprocess.run(["git", "config", "core.excludesFile", str(outside)], cwd=root, check=True, timeout=60)
    (root / "new.py").write_text("x = 1\n")
    outside.write_text("*.py\n")
    view = find_git_view(root)
    assert view is not None
    assert outside not in view.exclude_files
    assert "new.py" in {file.path for file in Scanner(root).scan().files}


@pytest.mark.parametrize("kind", ["file", "bare", "outside"])
def test_a_git_folder_that_points_elsewhere_shows_nothing_of_there(tmp_path: Path, kind: str) -> None:
    root, other = tmp_path / "workspace", tmp_path / "other"
    for folder in (root, other):
        folder.mkdir()
    (other / "CANARY.py").write_text("x = 1\n")
    make_evil(other, tmp_path / "ran")
    (tmp_path / "ran").unlink(missing_ok=True)
    (root / "a.py").write_text("x = 1\n")
    if kind == "file":
        (root / ".git").write_text(f"gitdir: {other / '.git'}\n")
    elif kind == "bare":
        for part in (other / ".git").iterdir():
            part.rename(root / part.name)
    else:
        subprocess.run(["git", "init", "-q"], cwd=root, check=True, timeout=60)
        subprocess.run(["git", "config", "core.worktree", str(other)], cwd=root, check=True, timeout=60)
    scanner = Scanner(root, accepts=lambda path: path.endswith(".py"))
    assert {file.path for file in scanner.scan().files} <= {"a.py", "CANARY.py"}
    assert scanner.read("CANARY.py") is None
    assert scanner.read("../other/CANARY.py") is None
    assert not (tmp_path / "ran").exists()
