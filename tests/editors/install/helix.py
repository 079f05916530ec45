"""Helix from Debian's package, with its run-time files."""

from __future__ import annotations

from pathlib import Path

from tests.editors.install.debian import SUITE, loader, unpack
from tests.editors.install.place import Editor, command, installed

_SECONDS = 60


def install() -> Editor:
    """Helix, unpacked unless it is there already. Raises NotInstalledError."""
    folder = installed("helix", f"Debian {SUITE}, 1", lambda place: _checked(_editor(unpack(["hx"], place))))
    return _editor(folder / "root", _version(folder / "root"))


def _editor(root: Path, version: str = "") -> Editor:
    start = (*loader(root), str(root / "usr" / "lib" / "hx" / "hx"))
    return Editor("helix", version, start, {"HELIX_RUNTIME": str(root / "usr" / "lib" / "hx" / "runtime")})


def _checked(editor: Editor) -> None:
    """Raises NotInstalledError when it does not start."""
    command([*editor.command, "--version"], seconds=_SECONDS)


def _version(root: Path) -> str:
    return command([*_editor(root).command, "--version"], seconds=_SECONDS).removeprefix("helix ").strip()
