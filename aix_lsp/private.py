"""Folders and files that are the user's own. What somebody else has laid into their place beforehand, as everybody can
below /tmp or in a folder that all may write to, is not used."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from aix_lsp.files import lock_handle

PRIVATE_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""For `os.open`: a link is not followed, and a pipe not waited for."""


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, of mode 0700 whatever the umask; close one that is there to
    others. Raises OSError, also where it is another user's."""
    missing = [path, *path.parents]
    while missing and missing[-1].exists():
        missing.pop()
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not is_ours(path):
        raise PermissionError(f"{path} belongs to somebody else")
    if stat.S_IMODE(path.stat().st_mode) & 0o077 and os.name != "nt":
        path.chmod(0o700)


def is_ours(path: Path) -> bool:
    """Whether a folder, and what leads to it where it is a link, is this user's. Windows has no such owner; there the
    folders of a user's profile are closed by the system."""
    try:
        found, link = path.stat(), path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or {found.st_uid, link.st_uid} == {os.getuid()})


def open_private(path: Path, flags: int) -> int:
    """A handle of a file of this user, made with mode 0600 where `flags` make it. Raises OSError, also for a link, for
    what is no file, and for another user's."""
    try:
        handle = os.open(path, flags | PRIVATE_FLAGS, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:  # "too many levels of symbolic links", of one that was not followed
            raise OSError(errno.ELOOP, "it is a link", str(path)) from None
        raise
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid()):
        return handle
    os.close(handle)
    raise PermissionError(errno.EPERM, "it is no file of this user", str(path))


@contextlib.contextmanager
def locked_beside(path: Path) -> Iterator[None]:
    """Holds the lock `NAME.lock` beside a file of this user. Raises OSError, BlockingIOError where another process has
    it. File systems without locks do without."""
    handle = open_private(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT)
    try:
        try:
            lock_handle(handle)
        except (BlockingIOError, PermissionError) as error:  # the latter is how Windows says it
            raise BlockingIOError(*error.args) from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def append_lines(handle: int, lines: bytes) -> None:
    """Add whole lines to a file that `open_private` opened with `O_RDWR | O_APPEND`, on a new line where a full disk or
    a crash has left half of one. In one call of the system, so that lines of two servers never mix. Raises OSError, and
    then they are not written, or not all of them."""
    if os.lseek(handle, 0, os.SEEK_END):
        os.lseek(handle, -1, os.SEEK_END)
        if os.read(handle, 1) != b"\n":
            lines = b"\n" + lines
    while lines:
        lines = lines[os.write(handle, lines) :]


def objects_in(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects among lines of such a file; what is damaged, or something else, is passed over."""
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found
