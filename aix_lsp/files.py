"""Files that are whole under their name: written beside it under another one, and renamed at the end; and locks that
end with their process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Final

TEMPORARY: Final = ".part"
"""Ending of what is still being written; its name also begins with a dot."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def replaced_file(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well, and is removed when not.

    It has the permissions `mode` less what the user's umask takes away, from the beginning. Raises OSError, also where
    the folder is not there.
    """
    beside = path.with_name(f".{path.name[:40]}.{token_hex(8)}{TEMPORARY}")
    new = os.open(beside, _NEW, mode)
    try:
        with os.fdopen(new, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


if sys.platform == "win32":

    def lock_handle(handle: int) -> None:
        """Lock an open file until it is closed, or its process ends however that comes. Raises OSError when another
        process has it locked."""
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:

    def lock_handle(handle: int) -> None:
        """Lock an open file until it is closed, or its process ends however that comes. Raises OSError when another
        process has it locked."""
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
