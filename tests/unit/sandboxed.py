"""What tests of the sandbox share: each way of making one, running an attempt in it, and looking for what is left."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Final

import pytest

from aix_lsp.evaluation import sandbox as module
from aix_lsp.evaluation.sandbox import Sandbox, SandboxResult, why_none
from aix_lsp.evaluation.sandbox_places import python
from aix_lsp.evaluation.sandbox_start import Kind

KINDS: Final[tuple[Kind, ...]] = ("bubblewrap", "namespaces")
GENEROUS_S: Final = 60.0
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux makes the sandbox")


def of_kind(kind: Kind) -> Sandbox:
    """The sandbox of that kind; the test is skipped where it does not work."""
    found = Sandbox.find()
    if found is None:
        pytest.skip(why_none())
    if found.kind == kind:
        return found
    other = Sandbox(kind, "the other one", shutil.which("bwrap") or "")
    if (other.kind == "bubblewrap" and not other.bubblewrap) or module._fails(other):
        pytest.skip(f"no {kind} here")
    return other


def run(sandbox: Sandbox, program: str, **options: Any) -> SandboxResult:
    """How a Python program ends with generous limits; `options` are those of `Sandbox.run`, and its `arguments`."""
    options = {"seconds": GENEROUS_S, "wall_seconds": 4 * GENEROUS_S} | options
    files = {"attempt.py": textwrap.dedent(program), **options.pop("files", {})}
    arguments = options.pop("arguments", [])
    return sandbox.run(files, [python(), "-I", "-S", "attempt.py", *arguments], **options)


def running(mark: str) -> list[int]:
    """Processes that have `mark` in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_until_gone(mark: str) -> None:
    limit = time.monotonic() + GENEROUS_S
    while running(mark):
        assert time.monotonic() < limit, f"{running(mark)} still run"
        time.sleep(0.01)
