"""What is seen of a server from outside: memory, threads, handles, children and processor time of its process, and how
fast the machine is meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, about a second apart. Bytes; `own` is its own memory (`own_memory`); `cpu` are seconds of the
    server and of all its children, `children_own` is of those that live; `load` is the machine's load average."""

    seconds: float
    own: int
    pss: int
    rss: int
    threads: int
    handles: int
    children: int
    children_own: int
    cpu: float
    keys: int
    runs: int
    load: float


@dataclass(frozen=True, slots=True)
class Rest:
    """The server with nothing to do: every request answered, no indexing, hardly any processor time. Each number is the
    least of several looks, so that what lives for a moment (a file that is read, a thread of a library) is not counted.
    Threads of asyncio's pool are counted apart (`pool`): it has at most four more than there are cores, and fills as it
    is needed. `idle` is the share of one core that the server takes; `names` says which handles, threads and tasks
    there are. Bytes: `own` as in a sample, `used` and `free` as the C library counts."""

    seconds: float
    threads: int
    handles: int
    sockets: int
    children: int
    tasks: int
    objects: int
    idle: float
    own: int = 0
    used: int = 0
    free: int = 0
    pool: int = 0
    names: Mapping[str, int] = field(default_factory=dict)


def own_memory(process: psutil.Process) -> int:
    """Bytes that the process has for itself, in memory or swapped out: on Linux anonymous pages. Elsewhere USS, which
    has pages of libraries too as soon as no other process maps them: another program's end looks like growth there
    (130 MiB of PyTorch)."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_full_info().uss)
    try:
        fields = dict(line.split(":", 1) for line in status.read_text(errors="replace").splitlines() if ":" in line)
    except ProcessLookupError as error:
        raise psutil.NoSuchProcess(process.pid) from error
    return sum(int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "VmSwap")) * 1024


class Scales:
    """Looks at one server process. `census` is the file that the probe writes (`probe/sitecustomize.py`)."""

    def __init__(self, number: int, census: Path) -> None:
        self._process = psutil.Process(number)
        self._census = census
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.began

    def sample(self, keys: int, runs: int) -> Sample:
        """Look now: some milliseconds."""
        memory, own = self._process.memory_full_info(), own_memory(self._process)
        children, children_own = self._children()
        return Sample(
            round(self.seconds, 2),
            own,
            getattr(memory, "pss", memory.uss),
            memory.rss,
            self._process.num_threads(),
            self._handles(),
            children,
            children_own,
            round(self.cpu(), 3),
            keys,
            runs,
            round(os.getloadavg()[0], 2),
        )

    def children(self) -> int:
        """How many processes the server has started that live."""
        return len(self._process.children(recursive=True))

    def working(self) -> bool:
        """Whether a thread has work, also one that waits for a processor or for the disk; False where the system does
        not tell."""
        for status in Path(f"/proc/{self._process.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):
                # the name, in brackets, may hold anything
                if status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] in "RD":
                    return True
        return False

    def cpu(self) -> float:
        """Seconds of processor time of the server and of its children, ended ones included."""
        times = self._process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system + self._living()

    async def rest(self, idle_seconds: float) -> Rest:
        """Look several times in so many seconds; to be called when the server has nothing to do."""
        began, before = time.monotonic(), self.cpu()
        looks = []
        for _ in range(4):
            await asyncio.sleep(idle_seconds / 4)
            looks.append((self._process.num_threads(), self._handles(), len(self._process.children(recursive=True))))
        idle = (self.cpu() - before) / (time.monotonic() - began)
        told = min([await self._told(), await self._told()], key=lambda each: each.get("tasks", 0))
        handles = self._handles_by_kind()
        threads = Counter(f"thread {name.strip('-_0123456789')}" for name in told.get("threads", ()))
        tasks = {f"task {name}": count for name, count in told.get("task_names", {}).items()}
        least = [min(look[which] for look in looks) for which in range(3)]
        pool = threads["thread asyncio"]
        return Rest(
            round(self.seconds, 2),
            least[0] - pool,
            least[1],
            handles.get("handle socket", 0),
            least[2],
            told.get("tasks", 0),
            told.get("objects", 0),
            round(max(0.0, idle), 4),
            own_memory(self._process),
            told.get("used", 0),
            told.get("free", 0),
            pool,
            {**handles, **threads, **tasks, "thread": least[0]},
        )

    def _handles(self) -> int:
        # Windows has handles, other systems file descriptors
        process: Any = self._process
        return int(process.num_handles() if sys.platform == "win32" else process.num_fds())

    def _children(self) -> tuple[int, int]:
        count = size = 0
        for child in self._process.children(recursive=True):
            try:
                size += own_memory(child)
                count += 1
            except psutil.Error:
                continue
        return count, size

    def _living(self) -> float:
        used = 0.0
        for child in self._process.children(recursive=True):
            try:
                times = child.cpu_times()
                used += times.user + times.system
            except psutil.Error:
                continue
        return used

    def _handles_by_kind(self) -> dict[str, int]:
        """What the file descriptors are, where the system tells."""
        found: Counter[str] = Counter()
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{self._process.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    found[f"handle {str(link.readlink()).partition(':[')[0]}"] += 1
        return dict(found)

    async def _told(self) -> dict[str, Any]:
        if not hasattr(signal, "SIGUSR2"):
            return {}
        self._census.unlink(missing_ok=True)
        async with asyncio.timeout(60):
            while not self._census.exists():
                # one that arrives just before a read blocks is heard by Python only when the next one comes
                self._process.send_signal(signal.SIGUSR2)
                for _ in range(100):
                    if self._census.exists():
                        break
                    await asyncio.sleep(0.02)
        told: dict[str, Any] = json.loads(self._census.read_text(encoding="utf-8"))
        return told


class Reference:
    """The same work each time, in this process, at the server's priority: how fast the machine is meanwhile. About
    50 ms of multiplications on an idle machine of 2 cores, with all its cores, as the model's are."""

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(0).standard_normal((448, 448), dtype=np.float32)

    async def milliseconds(self) -> float:
        """Do it once."""
        return await asyncio.to_thread(self._work)

    def _work(self) -> float:
        began = time.perf_counter()
        product = self._matrix
        for _ in range(60):
            product = product @ self._matrix
            product /= np.abs(product).max()
        return round(1000 * (time.perf_counter() - began), 2)
