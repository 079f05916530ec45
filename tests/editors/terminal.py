"""A program in a terminal of its own: keys go in, and what it draws comes out."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

LIMIT_SECONDS = 90
_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;:?<>=]*[ -/]*[@-~]|[\]P][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78])")


class Terminal:
    """Use as a context manager on a running event loop; the program is killed at its end."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._command, self._environment, self._folder = command, environment, folder
        self._drawn = b""
        self._main = -1
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Terminal:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            self._command,
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=self._folder,
            env={**self._environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(other)
        asyncio.get_running_loop().add_reader(self._main, self._read)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.get_running_loop().remove_reader(self._main)
        os.close(self._main)
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        try:
            self._drawn += os.read(self._main, 1 << 16)
        except OSError:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._main)

    def press(self, keys: str) -> None:
        """Send keys; what was drawn before is forgotten."""
        self._drawn = b""
        os.write(self._main, keys.encode())

    def drawn(self) -> str:
        """What was drawn since the last keys, without colours and places."""
        return _ESCAPES.sub(b" ", self._drawn).decode(errors="replace")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something; TimeoutError tells what was drawn meanwhile."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while not holds():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"drawn since the last keys: {self.drawn()[-2000:]!r}") from None

    async def until_ended(self) -> int:
        """Wait for the program's end; its exit code."""
        process = self.process
        assert process is not None
        await self.until(lambda: process.poll() is not None)
        return int(process.returncode)
