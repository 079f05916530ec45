"""The page that `aix.inspect` opens in the editor: one file, for the user alone, gone when the server ends.

What a server that was killed left is removed by the next one that starts.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from aix_lsp.server.parent import is_alive

_PREFIX = "aix-lsp-inspect-"
_NAME = re.compile(re.escape(_PREFIX) + r"(\d+)-\w+")


class Page:
    """At most one file at a time."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._pages = 0

    def write(self, text: str) -> Path:
        """Write a page (mode 0600, in a folder of mode 0700) in place of the one before. Raises OSError."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        for before in self._folder.iterdir():
            before.unlink(missing_ok=True)
        self._pages += 1
        # another name each time: an editor would ask whether to load a file anew that it still shows
        path = self._folder / f"inspect-{self._pages}.md"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
        return path

    def close(self) -> None:
        """Remove it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def sweep() -> None:
    """Remove the pages of this user's servers that are dead."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            match = _NAME.fullmatch(folder.name)
            if match is None or is_alive(int(match[1])):
                continue
            with contextlib.suppress(OSError):
                if not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid():
                    shutil.rmtree(folder, ignore_errors=True)
