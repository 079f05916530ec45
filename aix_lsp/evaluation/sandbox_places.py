"""What a program in the sandbox sees of this machine: the operating system's programs and libraries, the Python that
runs this, and what a toolchain brings; all of it to read only, and nothing of the user's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SYSTEM: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store")
_ETC: Final = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mono")
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True, slots=True)
class Places:
    """`shown` are folders and files that stand where they stand outside; `links` are symbolic links (path, target);
    `devices` stand below /dev."""

    shown: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    devices: tuple[str, ...]

    @property
    def scratch(self) -> tuple[str, ...]:
        """Where programs expect a folder to write to: links to their own."""
        return tuple(
            path for path in ("/tmp", "/dev/shm") if not any(f"{seen}/".startswith(f"{path}/") for seen in self.shown)
        )


def places(more: Iterable[Path] = ()) -> Places:
    """The system's folders, Python's and `more`. Raises ValueError for a folder that would show the user's files."""
    shown: list[str] = []
    links: list[tuple[str, str]] = []
    etc = [f"etc/{name}" for name in _ETC] + sorted(f"etc/{path.name}" for path in Path("/etc").glob("java-*"))
    for name in (*_SYSTEM, *etc):
        path = Path("/") / name
        if path.is_symlink() and path.parent == Path("/"):
            links.append((str(path), str(path.readlink())))
        elif path.exists():
            shown.append(str(path))
    for folder in (Path(python_home()), *more):
        resolved = folder.resolve()
        if not resolved.exists():
            raise ValueError(f"{folder} is not there")
        home = Path.home().resolve()
        if resolved == home or resolved in home.parents:
            raise ValueError(f"{folder} cannot be shown to programs: the user's files are in it")
        if not any(resolved.is_relative_to(seen) for seen in shown):
            shown.append(str(resolved))
    devices = tuple(f"/dev/{name}" for name in _DEVICES if Path(f"/dev/{name}").exists())
    return Places(tuple(shown), tuple(links), devices)


def python_home() -> str:
    """The folder of the Python behind a virtual environment."""
    return str(Path(sys.base_prefix).resolve())


def python() -> str:
    """The interpreter behind a virtual environment: what is installed there is none of a program's business."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)
