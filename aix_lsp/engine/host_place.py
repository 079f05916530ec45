"""Where a model host of certain settings is met: a socket, a token and a lock in a folder that only the user can enter.

On Windows, which has no such sockets for Python, the host listens on 127.0.0.1, and the token's file says the port.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import tempfile
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from aix_lsp.engine.base import EngineError
from aix_lsp.files import lock_handle
from aix_lsp.private import make_private_folder
from aix_lsp.settings import ModelSettings

HAS_UNIX_SOCKETS = sys.platform != "win32" and hasattr(socket, "AF_UNIX")

_LONGEST_PATH = 100
"""Bytes; systems take 104 to 108 for the path of a socket, with the zero at its end."""

_NOT_THE_MODELS = ("threads", "share", "share_linger_s", "idle_minutes", "load_wait_s")
"""Options in which windows may differ and still use one model: those of the host's first window count."""

_ENVIRONMENT = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_CACHE")


class HostUnavailable(EngineError):
    """No model host can be used on this machine; the message says why in one line."""


def resolved(settings: ModelSettings) -> ModelSettings:
    """The same settings with whole paths: a host stands in another folder than the server that starts it."""
    changes = {}
    for name in ("name", "adapter"):
        value: str = getattr(settings, name)
        if value and (name == "adapter" or value.startswith((".", "~")) or Path(value).is_absolute()):
            changes[name] = str(Path(value).expanduser().resolve())
    return settings.model_copy(update=changes)


def key_of(settings: ModelSettings) -> str:
    """A name for everything that decides which model is loaded and how: 16 hexadecimal digits."""
    values = resolved(settings).model_dump(mode="json", exclude=set(_NOT_THE_MODELS))
    values["environment"] = {name: os.environ.get(name) for name in _ENVIRONMENT}
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one host. `unix` tells whether it is met at a socket file, or at a port."""

    folder: Path
    key: str
    unix: bool = HAS_UNIX_SOCKETS

    @property
    def socket_file(self) -> Path:
        return self.folder / f"{self.key}.sock"

    @property
    def token_file(self) -> Path:
        return self.folder / f"{self.key}.token"

    @property
    def lock_file(self) -> Path:
        return self.folder / f"{self.key}.lock"

    def prepare(self) -> None:
        """Make the folder, or see that the one that is there is the user's own and closed to others.

        Raises HostUnavailable.
        """
        try:
            if not os.path.lexists(self.folder):
                make_private_folder(self.folder)
            found = self.folder.lstat()
            if hasattr(os, "getuid"):
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                    raise HostUnavailable(f"{self.folder} belongs to somebody else")
                if stat.S_IMODE(found.st_mode) & 0o077:
                    self.folder.chmod(0o700)
        except OSError as error:
            raise HostUnavailable(f"{self.folder} cannot be used: {error.strerror or error}") from None

    def lock(self) -> int | None:
        """Become the host of this place, for as long as this process lives; None when another one is.

        The lock goes with the process, however it ends.
        """
        handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            lock_handle(handle)
        except OSError:
            os.close(handle)
            return None
        return handle

    def regain(self, handle: int) -> int | None:
        """The lock, where this process is still the host of this place, or can be again; None when another one is.

        What tidies up folders may have removed the lock's file, and a second host may have begun with a new one.
        """
        if sys.platform == "win32":
            return handle  # a file that is open cannot be removed there
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), self.lock_file.stat()):
                return handle
        try:
            return self.lock()
        except OSError:
            return None

    def write_token(self, token: str, port: int) -> None:
        """Write the token to its file (mode 0600), with the port where there is one (else 0)."""
        self.token_file.unlink(missing_ok=True)
        handle = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{token} {port}\n")

    def read_token(self) -> tuple[str, int]:
        """The host's token and port. Raises OSError or ValueError where there is none."""
        token, port = self.token_file.read_text("ascii").split()
        if not 0 <= int(port) < 2**16:
            raise ValueError("a port that there is not")
        return token, int(port)

    def connect(self, timeout: float) -> tuple[socket.socket, str]:
        """A connection to the host, and its token. Raises OSError or ValueError when nobody is there."""
        token, port = self.read_token()
        connection = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            if self.unix:
                connection.connect(str(self.socket_file))
            else:
                connection.connect(("127.0.0.1", port))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        return connection, token

    def listen(self, token: str) -> socket.socket:
        """A socket that listens at this place, and the token written. What an ended host has left is removed; only who
        holds the lock may call this. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if self.unix:
                self.socket_file.unlink(missing_ok=True)
                listener.bind(str(self.socket_file))
                self.socket_file.chmod(0o600)
            else:
                listener.bind(("127.0.0.1", 0))
            listener.listen(16)
            self.write_token(token, 0 if self.unix else listener.getsockname()[1])
        except BaseException:
            listener.close()
            raise
        return listener

    def is_open(self, token: str) -> bool:
        """Whether a host with this token can still be found here."""
        try:
            return self.read_token()[0] == token and (not self.unix or self.socket_file.exists())
        except (OSError, ValueError):
            return False

    def leave(self) -> None:
        """Remove socket and token. The lock's file stays: to remove it would let two hosts lock two files."""
        for path in (self.socket_file, self.token_file):
            with contextlib.suppress(OSError):
                path.unlink()


def place_of(settings: ModelSettings) -> Place:
    """Where the host for these settings is met."""
    key = key_of(settings)
    return Place(private_folder("aix-lsp", "host", f"{key}.sock"), key)


def private_folder(runtime_name: str, cache_name: str, socket_name: str) -> Path:
    """A folder for sockets of this user: by the first name in the session's runtime folder where there is one, else by
    the second in our cache folder; where `socket_name` would have too long a path, in the folder for temporary files.
    """
    import platformdirs

    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and HAS_UNIX_SOCKETS and _is_ours(Path(runtime)):
        folder = Path(runtime) / runtime_name
    else:
        folder = platformdirs.user_cache_path("aix-lsp", appauthor=False) / cache_name
    if HAS_UNIX_SOCKETS and len(os.fsencode(folder / socket_name)) > _LONGEST_PATH:
        # Named after the folder that would have been used, so that two homes do not meet here.
        short = blake2b(os.fsencode(folder), digest_size=6).hexdigest()
        folder = Path(tempfile.gettempdir()) / f"aix-lsp-{os.getuid()}-{short}"
    return folder


def _is_ours(runtime: Path) -> bool:
    """Whether this is a folder of this user. `su` and `sudo -E` hand on somebody else's (the XDG Base Directory
    Specification wants it owned by the user), and what root made there would shut its owner out."""
    try:
        found = runtime.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())
