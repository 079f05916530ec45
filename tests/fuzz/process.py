"""A session with a server process over its pipes, and what the process costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.fuzz.client import Client
from tests.fuzz.in_process import Steps, begin, project_in
from tests.fuzz.judge import Judge
from tests.fuzz.steps import STEPS

SCRIPTED = (sys.executable, "-m", "tests.fuzz.served")
REAL = (sys.executable, "-m", "aix_lsp", "serve")
ROOT = Path(__file__).parents[2]


@dataclass
class Watch:
    """Memory (MiB), threads and open files of the process, each time it was looked at."""

    memory: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, process: psutil.Process) -> None:
        """Once more."""
        with contextlib.suppress(psutil.Error):
            self.memory.append(process.memory_info().rss / 2**20)
            self.threads.append(process.num_threads())
            self.files.append(process.num_fds() if hasattr(process, "num_fds") else 0)

    @property
    def growth(self) -> float:
        """MiB between half of the way, when caches of bounded size have filled, and the end."""
        warm = self.memory[len(self.memory) // 2 :]
        return max(warm[-3:]) - max(warm[:3]) if len(warm) >= 6 else 0.0


async def play(
    seed: int,
    steps: Steps,
    folder: Path,
    *,
    command: Sequence[str] = SCRIPTED,
    env: Mapping[str, str] | None = None,
    patience: float = 120.0,
    watch: Watch | None = None,
    ready: Callable[[Any], bool] | None = None,
) -> Judge:
    """Play a session against a process; the judge says what was seen. With `ready` it waits at the beginning for a
    status of which that is true."""
    root = project_in(folder)
    log = folder / f"stderr-{seed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd=folder,
            limit=1 << 26,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    client = Client(seed, root, process.stdin.write)
    judge = client.judge
    reading = asyncio.ensure_future(_read(process.stdout, client))
    seen = psutil.Process(process.pid)

    async def drain() -> None:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        try:
            async with asyncio.timeout(patience):
                while judge.waiting and not judge.broken and process.returncode is None:
                    await asyncio.sleep(0.002)
        except TimeoutError:
            judge.broken.append(
                f"{judge.waiting} requests without an answer after {patience:.0f} s: {judge.unanswered()}"
            )

    try:
        next_look = 0
        chance = Random(seed)
        begin(client, chance)
        if ready is not None:
            await asyncio.wait_for(_until(client, ready), patience)
        for number, (name, own) in enumerate(steps):
            if judge.broken or process.returncode is not None:
                break
            STEPS[name][1](client, Random(own))
            if client.waits or number % 50 == 0:
                client.waits = False
                await drain()
                if watch is not None and number >= next_look:
                    next_look = number + 500
                    watch.look(seen)
            elif chance.random() < 0.3:
                await asyncio.sleep(0)
        client.check()
        client.ask_status()
        await drain()
        if process.returncode is None and not judge.broken:
            client.request("shutdown", None)
            client.notify("exit", None)
            await asyncio.wait_for(process.wait(), patience)
        await asyncio.wait_for(reading, patience)
        if process.returncode != 0:
            judge.broken.append(f"the server's process ended with {process.returncode}")
        elif judge.waiting:
            judge.broken.append(f"the server ended without an answer to {judge.unanswered()}")
    except Exception as error:  # noqa: BLE001  # a finding, whatever it is
        judge.broken.append(f"{type(error).__name__}: {error}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()
    judge.broken += [
        f"logged as an error: {line}"
        for line in log.read_text(errors="replace").splitlines()
        if ("ERROR" in line or "Traceback" in line) and "aix_lsp.server.transport" not in line
    ]
    return judge


async def _read(stream: asyncio.StreamReader, client: Client) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            header = await stream.readuntil(b"\r\n\r\n")
            length = int(header.partition(b":")[2])
            client.take(json.loads(await stream.readexactly(length)))


async def _until(client: Client, ready: Callable[[Any], bool]) -> None:
    while True:
        number = client.command("aix.status")
        client.awaited = number
        while client.awaited is not None:
            await asyncio.sleep(0.01)
        if ready(client.status):
            return
        await asyncio.sleep(0.05)
