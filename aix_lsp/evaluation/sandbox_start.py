"""How a program gets into a sandbox: the command that builds it (bubblewrap, or an interpreter that does so itself),
and what that command is told."""

from __future__ import annotations

import marshal
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, Final, Literal

from aix_lsp.evaluation.sandbox_places import Places, python

Kind = Literal["bubblewrap", "namespaces", "limits"]

WORK: Final = "/work"
"""The program's folder in a sandbox."""

_START: Final = "import marshal,sys;s=marshal.load(sys.stdin.buffer);n={'__name__':'sandbox_inside'};" + (
    "exec(s['code'],n);n['main'](s)"
)


@dataclass(frozen=True, slots=True)
class Program:
    """What runs: files (relative names), an absolute command, what it reads, and its limits (names of `resource`)."""

    files: Mapping[str, bytes]
    command: Sequence[str]
    stdin: bytes
    environment: Mapping[str, str]
    limits: Mapping[str, int]
    disk: int
    mark: str


def command_of(kind: Kind, bubblewrap: str, places: Places, disk: int) -> list[str]:
    """The command that starts an interpreter where the program is to run."""
    start = [python(), "-I", "-S", "-c", _START]
    return [bubblewrap, *_bubblewrap(places, disk), "--", *start] if kind == "bubblewrap" else start


def fed(kind: Kind, program: Program, places: Places, folder: str) -> bytes:
    """What that interpreter reads."""
    spec: dict[str, Any] = {
        "code": _code("sandbox_inside"),
        "enter": _code("sandbox_namespaces") if kind == "namespaces" else None,
        "filter": _code("sandbox_filter") if kind != "limits" else None,
        "work": folder if kind == "limits" else WORK,
        "shown": places.shown,
        "links": places.links,
        "devices": places.devices,
        "scratch": places.scratch,
        "files": dict(program.files),
        "command": list(program.command),
        "stdin": program.stdin,
        "environment": dict(program.environment),
        "limits": dict(program.limits),
        "disk": program.disk,
        "mark": program.mark,
        "isolated": kind != "limits",
        "parent": os.getpid(),
    }
    return marshal.dumps(spec)


def _bubblewrap(places: Places, disk: int) -> list[str]:
    options = ["--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    options += ["--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--disable-userns"]
    for path in places.shown:
        options += ["--ro-bind", path, path]
    for path, target in places.links:
        options += ["--symlink", target, path]
    options += ["--proc", "/proc", "--size", str(1 << 20), "--tmpfs", "/dev"]
    for path in places.devices:
        options += ["--dev-bind", path, path]
    options += ["--size", str(disk), "--tmpfs", WORK]
    for path in places.scratch:
        options += ["--symlink", WORK, path]
    return [*options, "--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORK]


@cache
def _code(module: str) -> CodeType:
    path = Path(__file__).with_name(f"{module}.py")
    return compile(path.read_text(encoding="utf-8"), f"{module}.py", "exec", dont_inherit=True)
