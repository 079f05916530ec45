"""A session with a server in this process: the real server, session, protocol and framing, on a scripted engine."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from aix_lsp.engine import model_list
from aix_lsp.engine.base import Engine
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.server.app import AixServer
from aix_lsp.server.session import Session
from aix_lsp.server.transport import read_messages
from aix_lsp.types import Prompt
from tests.fuzz.client import Client, parsed
from tests.fuzz.judge import Judge
from tests.fuzz.steps import STEPS

OPTIONS = {
    "statistics.enabled": False,
    "inspect.socket": False,
    "workspace.watch": "off",
    "completion.debounce": "fixed",
    "completion.debounce_ms": 0,
}
_MOST_CLOSING_SECONDS = 120.0
OWN_TASKS = 8
"""Counts are saved, the page is served, folders are watched."""
ANSWERS = (
    "amount\n    return result",
    "",
    "x)",
    "\n\n",
    "é = '😀'",
    "    " * 30,
    "if a:\n        b\nelse:\n        c\n",
)


def scripted_engine(settings: Any, on_event: Any) -> Engine:
    """An engine that answers by the prompt's length, and keeps nothing of what it was asked."""

    def answer(prompt: Prompt) -> str:
        engine.prompts.clear()
        engine.requests.clear()
        return ANSWERS[len(prompt.ids) % len(ANSWERS)]

    engine = ScriptedEngine(answer, on_event=on_event)
    engine.start(asyncio.get_running_loop())
    return engine


@contextmanager
def no_models_looked_for() -> Iterator[None]:
    """`aix.models` asks a process that only echoes the question, which costs 50 ms where PyTorch's import takes 2 s."""
    before, model_list.MODULE = model_list.MODULE, "json.tool"
    try:
        yield
    finally:
        model_list.MODULE = before


class Errors(logging.Handler):
    """What the server logs as an error, all but what the frame reader says of a client's headers."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if record.name != "aix_lsp.server.transport":
            self.lines.append(f"{record.name}: {record.getMessage()}")


class Wire:
    """Where the server writes. What comes is taken between two messages of the client."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """A framed message."""
        self.waiting.append(data)

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def own_place(folder: Path) -> Iterator[None]:
    """Settings, caches and pages of this process in a folder, and the folder as the current one."""
    before, at = dict(os.environ), Path.cwd()
    for name in [name for name in os.environ if name.startswith("AIX_LSP_")]:
        del os.environ[name]
    for name in ("CONFIG_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        (folder / name).mkdir(exist_ok=True, mode=0o700)
        os.environ[f"XDG_{name}"] = str(folder / name)
    os.chdir(folder)
    try:
        with no_models_looked_for():
            yield
    finally:
        os.chdir(at)
        os.environ.clear()
        os.environ.update(before)


def project_in(folder: Path) -> Path:
    """A small project; another folder beside its files."""
    root = folder / "project"
    if not root.is_dir():
        for name in ("shop", "other"):
            (root / name).mkdir(parents=True)
        (root / "shop" / "pricing.py").write_text("def total(amounts):\n    return sum(amounts)\n")
        (root / "web.js").write_text("export const a = 1;\n")
    return root


Steps = list[tuple[str, int]]


def begin(client: Client, chance: Random) -> None:
    """The handshake, with what no client may send in front of it."""
    for name in ("is_no_message", "asks_what_there_is_not", "frames_oddly"):
        STEPS[name][1](client, chance)
    client.initialize()


async def play(
    seed: int,
    steps: Steps,
    folder: Path,
    patience: float = 60.0,
    on_step: Callable[[str, int], None] | None = None,
    sent: list[bytes] | None = None,
) -> Judge:
    """Play a session; the judge says what was seen. `patience` is how many seconds an answer may take, `on_step` is
    called after each step, `sent` takes the frames that went out."""
    errors = Errors()
    logging.getLogger("aix_lsp").addHandler(errors)
    server = AixServer(OPTIONS, scripted_engine)
    server.loop = asyncio.get_running_loop()
    server.loop.set_exception_handler(server._loop_failure)
    server.exit_code = server.loop.create_future()
    server.session = Session(server)
    wire = Wire()
    server.protocol.set_writer(wire)

    def write(frame: bytes) -> None:
        for body in read_messages(io.BytesIO(frame)):
            server.protocol.handle_body(body)

    client = Client(seed, project_in(folder), write)
    client.log = sent
    judge = client.judge

    def take() -> None:
        while wire.waiting:
            client.take(parsed(wire.waiting.pop(0)))

    async def drain() -> None:
        try:
            async with asyncio.timeout(patience):
                while judge.waiting and not judge.broken:
                    await asyncio.sleep(0.002)
                    take()
        except TimeoutError:
            judge.broken.append(
                f"{judge.waiting} requests without an answer after {patience:.0f} s: {judge.unanswered()}"
            )

    try:
        chance = Random(seed)
        begin(client, chance)
        for name, number in steps:
            if judge.broken or errors.lines:
                break
            STEPS[name][1](client, Random(number))
            if chance.random() < 0.6:
                await asyncio.sleep(0)
            if client.waits or chance.random() < 0.02:
                client.waits = False
                await drain()
            take()
            if on_step is not None:
                on_step(name, number)
        client.check()
        client.ask_status()
        await drain()
        take()
        await drain()
        _no_more_than_needed(server, client)
        client.request("shutdown", None)
        STEPS["asks"][1](client, chance)
        client.notify("exit", None)
        await drain()
        if not server.exit_code.done() or server.exit_code.result() != 0:
            judge.broken.append("the server did not end with 0 after shutdown and exit")
    except Exception as error:  # noqa: BLE001  # what comes out of `handle_body` would end up in the loop
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
            trace = trace.tb_next
        judge.broken.append(f"raised {type(error).__name__}: {error} at {' > '.join(frames[-6:])}")
    finally:
        await _closed(server, judge)
        logging.getLogger("aix_lsp").removeHandler(errors)
    judge.broken += [f"logged as an error: {line}" for line in errors.lines]
    return judge


def _no_more_than_needed(server: AixServer, client: Client) -> None:
    """Nothing is kept of requests that are answered, on either side."""
    judge, protocol = client.judge, server.protocol
    if judge.broken:
        return
    if protocol.unanswered or protocol._running:
        judge.broken.append("the protocol keeps requests that are answered")
    asked = max(len(protocol._result_types), len(protocol._request_futures))
    if asked > client.keeps_waiting:
        judge.broken.append(f"{asked} questions to the client are kept, of which it has {client.keeps_waiting}")
    if len(server.session._tasks) > client.keeps_waiting + OWN_TASKS:
        names = sorted({str(task.get_coro()).split()[2] for task in server.session._tasks})
        judge.broken.append(f"{len(server.session._tasks)} tasks run beside no request: {', '.join(names)}")


async def _closed(server: AixServer, judge: Judge) -> None:
    try:
        async with asyncio.timeout(_MOST_CLOSING_SECONDS):
            if server.protocol._initialized:  # or nothing has begun that could settle
                await server.session.settled.wait()
            await server.session.close()
    except TimeoutError:
        judge.broken.append("the session did not begin or did not close")
    async with asyncio.timeout(_MOST_CLOSING_SECONDS):
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=1)
            for task in left:
                task.cancel()
    gc.collect()
