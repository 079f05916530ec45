"""Where running servers are met by `aix-lsp inspect` and `doctor` of the same user: a socket, a token and a lock each,
in a folder that only the user can enter (`engine/host_place.py` has the files).

A server holds its lock as long as it lives, however it ends. Whoever looks, and gets a server's lock, knows that it is
dead, and sweeps what it left.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from aix_lsp.engine.host_place import HAS_UNIX_SOCKETS, HostUnavailable, Place, private_folder

_TRIES = 3


def folder() -> Path:
    """The folder of all servers of this user."""
    return private_folder("aix-lsp-servers", "servers", f"{_new_key()}.sock")


def claim(unix: bool = HAS_UNIX_SOCKETS) -> tuple[Place, int]:
    """A new place of this process, and its lock. Raises HostUnavailable or OSError."""
    parent = folder()
    for _ in range(_TRIES):
        Place(parent, "").prepare()
        place = Place(parent, _new_key(), unix)
        # who leaves or sweeps may remove the folder, or the lock's file, between its making and its locking
        with contextlib.suppress(FileNotFoundError):
            handle = place.lock()
            handle = place.regain(handle) if handle is not None else None
            if handle is not None:
                return place, handle
    raise HostUnavailable(f"no place could be taken in {parent}")


def leave(place: Place, handle: int) -> None:
    """Remove everything of a place of ours."""
    place.leave()
    with contextlib.suppress(OSError):
        place.lock_file.unlink()
    with contextlib.suppress(OSError):
        os.close(handle)
    # where an open file cannot be removed
    with contextlib.suppress(OSError):
        place.lock_file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        place.folder.rmdir()  # when it was the last one


def living(unix: bool = HAS_UNIX_SOCKETS) -> list[Place]:
    """The places of servers that run, oldest first; what dead ones left is swept. Raises HostUnavailable where the
    folder is somebody else's."""
    parent = folder()
    if not parent.is_dir():
        return []
    Place(parent, "").prepare()
    found: list[tuple[float, Place]] = []
    for lock_file in parent.glob("*.lock"):
        place = Place(parent, lock_file.stem, unix)
        with contextlib.suppress(OSError):
            born = lock_file.stat().st_mtime
            handle = place.lock()
            if handle is None:
                found.append((born, place))
            else:
                leave(place, handle)
    return [place for _, place in sorted(found, key=lambda item: item[0])]


def _new_key() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}"
