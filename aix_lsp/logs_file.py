"""The log file: JSON lines that several servers append to, small, and gone through by rotation.

All servers of a user write one file. A line is one `write` to a file opened for appending, which systems do not mix
with another's; and the file is opened anew for each batch of lines, so nobody goes on writing to one that was renamed
or removed. Who finds it too large renames it to `….1` (the one before that is gone) under a lock, looking again once it
has the lock: of two that find it too large at once, one renames it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aix_lsp.private import append_lines, locked_beside, make_private_folder, objects_in, open_private

MOST_BYTES = 1_000_000
"""Of one of the two files."""

_OVER = 4
"""Times `MOST_BYTES` at which a file that nobody can rename is left alone."""

_NEW = os.O_RDWR | os.O_CREAT


def default_file() -> Path:
    """The file of `log.file = "auto"`: in the system's place for logs, below a folder of mode 0700."""
    import platformdirs

    return Path(platformdirs.user_log_path("aix-lsp", appauthor=False)) / "aix-lsp.jsonl"


def file_for(setting: str) -> Path | None:
    """The file that `log.file` means; None for none."""
    if setting in ("", "none"):
        return None
    return default_file() if setting == "auto" else Path(setting).expanduser()


class LogFile:
    """One log file that other processes may write too. Not for the event loop: a disk may take its time."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes` is the size of the file and of the one before it, each."""
        self.path = path
        self._most = most_bytes

    def append(self, lines: bytes) -> None:
        """Write whole lines. Raises OSError, and then they are not written, or not all of them."""
        handle = self._open()
        try:
            size = os.fstat(handle).st_size
            if size and size + len(lines) > self._most:
                os.close(handle)
                handle = -1
                self._rotate()
                handle = self._open()
                size = os.fstat(handle).st_size
            if size > _OVER * self._most:
                raise OSError(errno.EFBIG, "it is full, and cannot be renamed")
            append_lines(handle, lines)
        finally:
            if handle >= 0:
                os.close(handle)

    def _open(self) -> int:
        try:
            return open_private(self.path, _NEW | os.O_APPEND)
        except FileNotFoundError:
            make_private_folder(self.path.parent)
            return open_private(self.path, _NEW | os.O_APPEND)

    def _rotate(self) -> None:
        with contextlib.suppress(BlockingIOError, PermissionError, FileNotFoundError), locked_beside(self.path):
            # another process may have renamed it since, and there may be no new one yet
            if self.path.stat().st_size > self._most // 2:
                self.path.replace(older(self.path))


def older(path: Path) -> Path:
    """The file that a log was renamed to."""
    return path.with_name(f"{path.name}.1")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log, oldest first, of both files; what is no record is passed over, as are files that are not
    there. Of a file that is larger than `LogFile` makes one, the end. Raises OSError for one that cannot be read, and
    for what `LogFile` would not write either."""
    for file in (older(path), path):
        try:
            with os.fdopen(open_private(file, os.O_RDONLY), "rb") as opened:
                most = _OVER * MOST_BYTES + MOST_BYTES
                opened.seek(max(0, os.fstat(opened.fileno()).st_size - most))
                lines = opened.read(most).splitlines()
        except FileNotFoundError:
            continue
        yield from objects_in(lines)
