"""A folder that somebody else filled is opened: nothing in it is run, and nothing in it decides what is loaded, written
or asked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.configuration import Configuration
from aix_lsp.settings import Settings, options
from aix_lsp.uris import path_to_uri
from aix_lsp.workspace.git import find_git_view
from aix_lsp.workspace.scanner import Scanner
from tests.e2e.conftest import INVOICE
from tests.model_host import hosts
from tests.security.attacked import attacked, engine_elsewhere
from tests.security.git_attacks import evil_program, make_evil
from tests.unit.remote_server import ModelServer

MACHINE = [item for item in options() if item.scope == "machine"]
SHADOWING = ("sitecustomize", "usercustomize", "torch", "numpy", "httpx", "pydantic", "pygls", "json", "logging", "git")
"""Modules that Python, or the server, imports by name."""


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


async def test_nothing_of_a_workspace_is_run_and_nothing_in_its_files_decides(
    workspace: Path, environment: dict[str, str], model_host: dict[str, str], tmp_path: Path
) -> None:
    canary = tmp_path / "CANARY"
    async with ModelServer("text") as evil:
        lay_files(workspace, canary, evil.url)
        make_evil(workspace, canary)
        canary.unlink(missing_ok=True)
        inside = [workspace / "bin", workspace / ".venv" / "bin", workspace / "node_modules" / ".bin"]
        path = os.pathsep.join(["", ".", "bin", *map(str, inside), os.environ["PATH"]])
        values = {**environment, **model_host, "PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        # without -P, as somebody might start it by hand: the current folder comes first in what can be imported
        async with attacked(workspace, values, flags=()) as server:
            assert await server.complete(workspace / "shop" / "invoice.py", INVOICE)
            status = await server.command("aix.status")
            assert "aix-mini" in status["model"]
            assert await server.command("aix.models")
            assert not server.shown("settings:")
            assert not evil.seen
            assert evil.connections == 0
    assert not canary.exists(), canary.read_text()
    assert not list(workspace.rglob("CANARY*"))


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


async def test_tokens_of_the_user_are_not_handed_to_the_programs_that_are_started(
    workspace: Path, environment: dict[str, str], tmp_path: Path, short_folder: Path
) -> None:
    tools, seen = tmp_path / "tools", tmp_path / "seen"
    tools.mkdir()
    (tools / "git").write_text(f'#!/bin/sh\nenv >> "{seen}"\nexit 1\n')
    (tools / "git").chmod(0o755)
    secrets = {"AIX_LSP_REMOTE__TOKEN": "CANARY-1", "OPENAI_API_KEY": "CANARY-2", "AWS_SECRET_ACCESS_KEY": "CANARY-3"}
    secrets |= {"MY_OWN": "CANARY-4", "AIX_LSP_REMOTE__TOKEN_ENV": "MY_OWN", "DATABASE_PASSWORD": "CANARY-5"}
    host = {"AIX_LSP_MODEL__NAME": "aix-mini", "AIX_LSP_MODEL__SHARE": "on", "AIX_LSP_MODEL__SHARE_LINGER_S": "0"}
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    values = {**environment, **host, **secrets, "XDG_RUNTIME_DIR": str(short_folder), "PATH": path}
    async with attacked(workspace, values, ready=False):
        async with asyncio.timeout(60):
            while not (found := hosts("HOME", environment["HOME"])) or not seen.exists():
                await asyncio.sleep(0.05)
        for process in found:
            assert "CANARY" not in json.dumps([process.environ(), process.cmdline()])
            process.kill()
    assert seen.exists()
    assert "CANARY" not in seen.read_text()
