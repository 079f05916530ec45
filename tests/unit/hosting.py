"""A model host and its windows in one process, over a real socket, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aix_lsp.engine.base import LoadEvent
from aix_lsp.engine.generation import Backend, LoadedModel, Report
from aix_lsp.engine.host import Host
from aix_lsp.engine.host_client import SharedBackend, look
from aix_lsp.engine.host_link import HostLink, open_link
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import Message
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt
from tests.unit.engine_doubles import FOLDER, PATIENCE_S, SteppedBackend, until

TOKEN = "a-token"


class Stepped(SteppedBackend):
    """Moves when told to, with a folder that a window can read the tokenizer from."""

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        super().load(report)
        return LoadedModel(load_tokenizer(FOLDER), ModelInfo("stepped", 512), FOLDER)

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        self.started.append(request.document)
        inner = super().generate(prompt, request, cancelled)
        try:
            yield from inner
        finally:
            self.started.remove("")  # the double's own note: a host sees no text


class Hosting:
    """A place, the host in it, and windows that are closed at the end."""

    def __init__(self, folder: Path, *, unix: bool = True) -> None:
        self.place = Place(folder, "k", unix)
        self.place.prepare()
        self.windows: list[tuple[ModelThread, list[LoadEvent]]] = []
        self.backends: list[Backend] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.running: asyncio.Task[None] | None = None

    async def begin(self, backend: Backend, **options: Any) -> None:
        """Start a host here, as a process would."""
        self.backends.append(backend)
        names = ("linger_s", "idle_s", "first_wait_s")
        given = {name: options.pop(name) for name in names if name in options}
        opened = asyncio.Event()
        serving = Host(backend, TOKEN, **{"linger_s": 60, **given}).serve(
            lambda: self.place.listen(TOKEN), lambda: self.place.is_open(TOKEN), on_open=opened.set, **options
        )
        self.running = asyncio.create_task(serving)
        self.tasks.append(self.running)
        await asyncio.wait_for(opened.wait(), PATIENCE_S)

    def window(self, connect: Callable[[Report, Callable[[str], None]], HostLink] | None = None) -> ModelThread:
        """An editor's window."""
        events: list[LoadEvent] = []
        backend = SharedBackend(connect or (lambda report, warn: self.join(warn)))
        engine = ModelThread(backend, events.append)
        self.windows.append((engine, events))
        return engine

    def join(self, warn: Callable[[str], None]) -> HostLink:
        return open_link(self.place, "window", warn)

    def warnings(self, window: int = 0) -> list[str]:
        return [event.message for event in self.windows[window][1] if event.kind == "warning"]

    async def state(self) -> Message | None:
        return await asyncio.to_thread(look, self.place)


def threads(*names: str) -> set[threading.Thread]:
    """The running threads of windows and hosts."""
    return {t for t in threading.enumerate() if t.name in (names or ("aix-host-reader", "aix-model"))}


@asynccontextmanager
async def hosting(folder: Path, **options: Any) -> AsyncIterator[Hosting]:
    before = threads()
    here = Hosting(folder, **options)
    try:
        yield here
    finally:
        for engine, _ in here.windows:
            engine.close()
        for backend in here.backends:
            if isinstance(backend, SteppedBackend):
                backend.step(1000)
        for task in here.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await until(lambda: not threads() - before)
