"""Neovim from Debian's package, with its run-time files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.editors.install.debian import SUITE, loader, unpack
from tests.editors.install.place import Editor, NotInstalledError, command, installed

OLDEST = (0, 12)
"""The first version with `vim.lsp.inline_completion`."""

_SECONDS = 60


def install() -> Editor:
    """Neovim, unpacked unless it is there already. Raises NotInstalledError."""
    folder = installed("neovim", f"Debian {SUITE}, 1", _unpack)
    return _editor(folder / "root")


def _unpack(folder: Path) -> None:
    _editor(unpack(["neovim"], folder))


def _editor(root: Path) -> Editor:
    """The program there. Raises NotInstalledError where it does not start or is too old."""
    start = (*loader(root), str(root / "usr" / "bin" / "nvim"))
    environment = {"VIMRUNTIME": str(root / "usr" / "share" / "nvim" / "runtime")}
    told = command([*start, "--version"], seconds=_SECONDS, env={**os.environ, **environment})
    version = re.match(r"NVIM v(\d+)\.(\d+)\S*", told)
    if version is None:
        raise NotInstalledError(f"{start[-1]} does not tell its version")
    if (int(version[1]), int(version[2])) < OLDEST:
        raise NotInstalledError(f"the mirror has {version[0]}, and the tests need {'.'.join(map(str, OLDEST))}")
    # the folder of its parsers is compiled in, and another one here
    parsers = ("--cmd", f"set runtimepath+={root / 'usr' / 'lib' / 'nvim'}")
    return Editor("neovim", version[0].removeprefix("NVIM v"), (*start, *parsers), environment)
