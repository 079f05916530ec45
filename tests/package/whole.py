"""The wheel with all that it needs, in an empty environment of Python 3.11: every promise of a first start."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import aix_lsp
from tests.findings import Finding
from tests.package.contents import ROOT
from tests.package.rows import row
from tests.package.session import bare, editor, edits_arrive, offer, shown, until_state
from tests.package.tools import new_environment, pip_install, python, run

VERSION = "3.11"
SOURCE = "def total(amounts):\n    return su\n\n\nprint(total([1, 2]))\n"


def rows(wheel: Path, folder: Path) -> Iterator[Finding]:
    """Install into `folder`, then use it there. Where it cannot be installed, nothing else is looked at."""
    place = folder / "empty"
    place.mkdir()
    program = program_in(folder)
    installation = program.parent.parent
    first = row(f"{VERSION}: installs with constraints.txt", lambda: install(wheel, installation))
    yield first
    if first.state != "ok":
        return
    yield row(f"{VERSION}: aix-lsp --version", lambda: says_version(program, place))
    yield row(f"{VERSION}: aix-lsp demo", lambda: demo(program, place))
    yield row(f"{VERSION}: aix-lsp doctor", lambda: doctor(program, place))
    yield row(f"{VERSION}: aix-lsp complete", lambda: complete(program, place))
    yield row(f"{VERSION}: an editor's session", lambda: asyncio.run(session(program, place)))


def program_in(folder: Path) -> Path:
    """`aix-lsp` of the environment that `rows` makes in a folder."""
    return folder / "environment" / "bin" / "aix-lsp"


def install(wheel: Path, installation: Path) -> str:
    """`pip install` of the wheel and everything it needs, at the versions that were tested. TORCH_INDEX names where
    PyTorch comes from, as in the Makefile."""
    new_environment(python(VERSION), installation)
    pinned = (ROOT / "constraints.txt").read_text("utf-8").split()
    torch = next(line for line in pinned if line.startswith("torch=="))
    index = os.environ.get("TORCH_INDEX")
    if index:
        pip_install(installation, "--index-url", index, torch)
    pip_install(installation, "-c", ROOT / "constraints.txt", wheel)
    packages = json.loads(run([installation / "bin" / "python", "-m", "pip", "list", "--format", "json"]).stdout)
    assert not (installation / "src").exists()
    listed = {package["name"]: package["version"] for package in packages}
    assert listed["aix-lsp"] == aix_lsp.__version__
    pins = dict(line.split("==") for line in pinned)
    other = [name for name, pin in pins.items() if listed.get(name, pin).partition("+")[0] != pin]
    assert not other, f"{other} are not as constraints.txt has them"
    return f"{len(packages)} packages, {size(installation) / 1e9:.1f} GB, PyTorch {listed['torch']}"


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def says_version(program: Path, place: Path) -> str:
    """The version, and that the code is the installed one."""
    said = run([program, "--version"], env=bare(place), cwd=place).stdout.strip()
    assert said.endswith(aix_lsp.__version__), said
    where = [program.with_name("python"), "-c", "import aix_lsp; print(aix_lsp.__file__)"]
    assert str(program.parent.parent) in run(where, env=bare(place), cwd=place).stdout
    return said


def demo(program: Path, place: Path) -> str:
    """The demo's completions, and that snippets were quoted."""
    lines = run([program, "demo", "--json"], env=bare(place), cwd=place, timeout=600).stdout.splitlines()
    shots = [json.loads(line) for line in lines]
    offers = [shot for shot in shots if shot["completions"]]
    assert offers, "the demo offered nothing"
    return f"{len(offers)} offers at {len(shots)} places"


def doctor(program: Path, place: Path) -> str:
    """Nothing fails."""
    said = run([program, "doctor", "--json", "--load"], env=bare(place), cwd=place, timeout=600).stdout
    findings = json.loads(said)
    failed = [finding["detail"] for finding in findings if finding["status"] == "fail"]
    assert not failed, "; ".join(failed)
    warned = [finding["check"] for finding in findings if finding["status"] == "warn"]
    return f"{len(findings)} checks, none failed" + (f"; warned of: {', '.join(warned)}" if warned else "")


def complete(program: Path, place: Path) -> str:
    """A completion in a file."""
    file = place / "invoice.py"
    file.write_text(SOURCE)
    said = run([program, "complete", "--json", f"{file}:2:14"], env=bare(place), cwd=place, timeout=600).stdout
    texts = [item["text"] for item in json.loads(said)["completions"]]
    assert texts, "nothing was offered"
    return f"offered {texts[0]!r}"


async def session(program: Path, place: Path) -> str:
    """Starts, takes edits, offers, shows no warning, ends with 0, and leaves the workspace as it was."""
    workspace = place / "workspace"
    workspace.mkdir()
    (workspace / "invoice.py").write_text(SOURCE)
    async with editor([program, "serve", "--stdio"], workspace, bare(place)) as client:
        await until_state(client, "ready")
        await edits_arrive(client)
        text = await offer(client)
        assert text, "nothing was offered"
        assert await client.shutdown() == 0
        assert not shown(client), shown(client)
    assert [path.name for path in workspace.iterdir()] == ["invoice.py"]
    shutil.rmtree(workspace)
    return f"offered {text.strip()!r}"
