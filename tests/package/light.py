"""The wheel on Python 3.12 and 3.13 without PyTorch: everything that does not need it works, and what does says so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from aix_lsp.settings_documents import json_schema
from tests.findings import Finding
from tests.package.contents import ROOT
from tests.package.needs_torch import NAMES
from tests.package.rows import row
from tests.package.session import bare, editor, edits_arrive, offer, shown, until_state
from tests.package.tools import new_environment, pip_install, python, run

VERSIONS = ("3.12", "3.13")

FEWEST_TESTS = 4_000
"""Of the tests at least so many need no PyTorch (4,891 of tests/unit alone in November 2026): fewer would mean that
what is to be imported late is imported at a module's top."""

TESTS = ("tests/unit", "tests/security", "tests/fuzz/test_any_text.py", "tests/fuzz/test_protocol_machine.py")
"""What is run. Left out: tests/e2e, faults, soak and the other fuzzing, which are of servers with a model; those of the
checkout (tests/package, tests/audit) and of editors."""

TESTS_S = 5_400.0
"""Against a hang: they take 206 s on two idle cores, and many times as long on busy ones."""


def rows(wheel: Path, folder: Path, version: str, *, tests: bool = True) -> Iterator[Finding]:
    """Install into `folder`, then look at everything; without the unit tests where `tests` is false."""
    installation, place = folder / f"environment-{version}", folder / f"empty-{version}"
    place.mkdir()
    first = row(f"{version}: installs without PyTorch", lambda: install(wheel, installation, version))
    yield first
    if first.state != "ok":
        return
    program = installation / "bin" / "aix-lsp"
    yield row(f"{version}: help of every command", lambda: helps(program, place))
    yield row(f"{version}: aix-lsp config", lambda: config(program, place))
    yield row(f"{version}: aix-lsp doctor", lambda: doctor(program, place))
    yield row(f"{version}: a server without PyTorch", lambda: asyncio.run(alone(program, place)))
    yield row(f"{version}: a server with a model elsewhere", lambda: asyncio.run(remote(program, place)))
    if tests:
        yield row(
            f"{version}: tests that need no PyTorch", lambda: unit_tests(installation, folder / f"tests-{version}")
        )


def requirements() -> tuple[list[str], list[str]]:
    """What pyproject.toml declares for running and, besides, for the tests; without what needs PyTorch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    tests = [item for name in ("eval", "train", "dev") for item in extras[name] if not item.startswith("aix-lsp")]
    return _light(project["dependencies"]), _light(tests)


def _light(items: Sequence[str]) -> list[str]:
    return [item for item in items if re.split(r"[<>=\[ ]", item)[0] not in NAMES]


def install(wheel: Path, installation: Path, version: str) -> str:
    """Everything but PyTorch at the versions that were tested, and the wheel by itself."""
    new_environment(python(version), installation)
    constraints = installation / "constraints.txt"
    pins = (ROOT / "constraints.txt").read_text("utf-8").split()
    constraints.write_text("\n".join(pin for pin in pins if pin.partition("==")[0] not in NAMES) + "\n")
    run_time, tests = requirements()
    pip_install(installation, "-c", constraints, *run_time, *tests)
    pip_install(installation, "--no-deps", wheel)
    interpreter = installation / "bin" / "python"
    for name in NAMES:
        found = run([interpreter, "-I", "-c", f"import {name}"], check=False)
        assert found.returncode != 0, f"{name} is installed"
    packages = json.loads(run([interpreter, "-m", "pip", "list", "--format", "json"]).stdout)
    return f"{len(packages)} packages"


def commands() -> list[tuple[str, ...]]:
    """Every command, and every command of a command."""
    from aix_lsp.cli.app import app

    found: list[tuple[str, ...]] = []

    def walk(command: object, words: tuple[str, ...]) -> None:
        found.append(words)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def helps(program: Path, place: Path) -> str:
    """Each says what it is for."""
    listed = commands()
    for words in listed:
        said = run([program, *words, "--help"], env=bare(place), cwd=place).stdout
        assert said.lstrip().lower().startswith(" ".join(("usage: aix-lsp", *words))), words
    return f"{len(listed)} commands"


def config(program: Path, place: Path) -> str:
    """The effective settings, and the schema as the checkout has it."""
    said = run([program, "config"], env=bare(place), cwd=place).stdout
    assert "model.name" in said or "[model]" in said, said[:80]
    schema = json.loads(run([program, "config", "--schema"], env=bare(place), cwd=place).stdout)
    assert schema == json.loads(json.dumps(json_schema())), "the schema is another one"
    return f"{len(schema['properties'])} options"


def doctor(program: Path, place: Path) -> str:
    """PyTorch is the only thing that fails, with what to do about it."""
    said = run([program, "doctor", "--json"], env=bare(place), cwd=place, check=False)
    findings = {one["check"]: one for one in json.loads(said.stdout)}
    failed = [name for name, one in findings.items() if one["status"] == "fail"]
    assert failed == ["torch"], [findings[name] for name in failed]
    assert "pip install torch" in findings["torch"]["remedy"]
    assert said.returncode == 1
    return f"{len(findings)} checks; {findings['torch']['detail']}"


async def alone(program: Path, place: Path) -> str:
    """Greets, takes edits, answers with nothing, says once what is missing, and ends with 0."""
    async with editor([program, "serve", "--stdio"], place, bare(place)) as client:
        await edits_arrive(client)
        assert await offer(client) == ""
        status = await until_state(client, "failed")
        assert "PyTorch is missing" in status["message"], status["message"]
        assert await client.inline_completion("untitled:offer", 1, 13) == []
        told = shown(client)
        assert len(told) == 1, told
        assert "pip install torch" in told[0], told
        assert await client.shutdown() == 0
    return "told once: " + told[0].partition(":")[2].strip()[:40] + "…"


async def remote(program: Path, place: Path) -> str:
    """Completes with a server that has the model; only its tokenizer is needed here."""
    from tests.unit.remote_server import ModelServer

    async with ModelServer(text="m(amounts)\n") as server:
        options = {"remote": {"url": server.url, "tokenizer": "aix-mini"}}
        async with editor([program, "serve", "--stdio"], place, bare(place), options) as client:
            await until_state(client, "ready")
            await edits_arrive(client)
            text = await offer(client)
            assert text.startswith("m(amounts)"), repr(text)
            assert not shown(client), shown(client)
            assert await client.shutdown() == 0
    return f"offered {text.strip()!r}"


def unit_tests(installation: Path, folder: Path) -> str:
    """The tests that need no PyTorch, on the installed code: the checkout's files lie beside it in `folder`."""
    folder.mkdir()
    interpreter = installation / "bin" / "python"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.startswith("aix_lsp/") and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    where = run([interpreter, "-I", "-c", "import aix_lsp; print(aix_lsp.__path__[0])"], cwd=folder).stdout.strip()
    assert Path(where).is_relative_to(installation), where
    (folder / "aix_lsp").symlink_to(where)
    environment = {**bare(folder), "PATH": os.environ.get("PATH", "")}
    command = [interpreter, "-m", "pytest", "-p", "tests.package.needs_torch", *TESTS, "-q", "--tb=line"]
    ended = run([*command, "-p", "no:cacheprovider"], env=environment, cwd=folder, timeout=TESTS_S, check=False)
    return counted(ended.stdout)


def counted(printed: str) -> str:
    """What a run of pytest comes to; raises AssertionError where a test failed or too few ran."""
    lines = printed.strip().splitlines()
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", lines[-1] if lines else "")}
    failed = [line.partition(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    assert not failed, f"{len(failed)} failed: {'; '.join(failed[:5])}"
    assert counts.get("passed", 0) >= FEWEST_TESTS, f"too few ran: {lines[-1] if lines else 'nothing was printed'}"
    needing = sum(int(number) for number in re.findall(r"^SKIPPED \[(\d+)\].*needs PyTorch$", printed, re.MULTILINE))
    other = counts.get("skipped", 0) - needing
    return f"{counts['passed']:,} passed, {needing} need PyTorch, {other} skipped"
