"""A process that is watched from outside: its output is capped, and it and all it started is killed when it takes too
long, too much memory or too many processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_LOOK_S: Final = 0.02
"""How often is looked at memory and processes: what is allocated in between is beyond the limit."""

_HELD_S: Final = 20.0
"""How long is waited for the end of a stream: many processes take a while to be gone."""

_READ: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Watched:
    """How a process ended. `stopped` says why it was killed, in plain words ("" where it ended by itself); `code` is
    its exit status."""

    code: int
    stopped: str
    late: bool
    stdout: bytes
    stderr: bytes


def watch(
    command: Sequence[str],
    fed: bytes,
    *,
    folder: str,
    environment: Mapping[str, str],
    seconds: float,
    memory: int,
    tasks: int,
    output: int,
) -> Watched:
    """Run `command` with `fed` on its standard input until it ends or has to. `memory` is in bytes and `tasks` counts
    processes and threads, both of all that it started together; of each stream `output` bytes are kept. Raises OSError
    where it cannot be started."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,
    )
    started = time.monotonic()
    assert process.stdin is not None
    streams = [_Kept(stream, output) for stream in (process.stdout, process.stderr) if stream is not None]
    stopped, late = "", False
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError), process.stdin as pipe:
            pipe.write(fed)
        while not _ended(process):
            if time.monotonic() - started > seconds:
                stopped, late = f"it ran longer than {seconds:g} s", True
            else:
                stopped = _too_much(process.pid, memory, tasks)
            if stopped:
                break
    finally:
        _kill_all(process)
        _kill_those_of(folder)
    texts = [stream.text() for stream in streams]
    return Watched(process.returncode, stopped, late, texts[0], texts[1])


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_LOOK_S)
    except subprocess.TimeoutExpired:
        return False
    return True


class _Kept:
    """The beginning of a stream, read by a thread of its own; the rest is read and dropped."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._most = most
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, name="aix-sandbox-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._stream:
            while piece := os.read(self._stream.fileno(), _READ):
                self._data += piece[: self._most - len(self._data)]

    def text(self) -> bytes:
        """What came. Called when the process is gone: a stream that does not end is held by one that got away (without
        a sandbox only), and is left to it."""
        self._thread.join(_HELD_S)
        return bytes(self._data)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """In a sandbox all processes end with the first; without one those are found that still belong to it."""
    below = descendants(process.pid, limit=10_000) if process.poll() is None else []
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()
    for pid in below:
        # the sandbox's own are gone with their first process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _too_much(pid: int, memory: int, tasks: int) -> str:
    """What of the limits a process and its descendants are over, on Linux; "" where nothing is."""
    found = [pid, *descendants(pid, limit=tasks)]
    count = used = 0
    for each in found:
        with contextlib.suppress(OSError, ValueError):
            values = _status(f"/proc/{each}")
            count += int(values.get("Threads", "1"))
            used += 1024 * sum(int(values[name].split()[0]) for name in ("RssAnon", "RssShmem") if name in values)
    if max(count, len(found)) > tasks:
        return f"it had more than {tasks} processes and threads"
    if used > memory:
        return f"it took more than {memory >> 20} MB"
    return ""


def descendants(pid: int, limit: int) -> list[int]:
    """The processes that a process started, and those started by them: at most about `limit`, as they are now."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) <= limit:
        each = waiting.pop()
        children: list[int] = []
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                listed = (task / "children").read_text(encoding="ascii")
                children += map(int, listed.split())
        found += children
        waiting += children
    return found


def tasks_of_user() -> int:
    """Processes and threads of this process's user, as the kernel counts them; 0 where there is no /proc."""
    if sys.platform == "win32":
        return 0
    user, count = str(os.getuid()), 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            values = _status(str(folder))
            if values["Uid"].split()[0] == user:
                count += int(values["Threads"])
    return count


def _kill_those_of(folder: str) -> None:
    """Kill those that run with `folder` as their HOME, whoever their parent is by now; on Linux. For programs without a
    sandbox, whose folder is theirs alone. One that took a new environment is not found."""
    if folder == "/":
        return
    mark = f"HOME={folder}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def _status(process: str) -> dict[str, str]:
    """What /proc tells of a process, by name."""
    status = Path(process, "status").read_text(encoding="ascii", errors="replace")
    return dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
