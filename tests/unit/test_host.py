"""The model host and its windows over a real socket, with a backend that answers from a script."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from aix_lsp.engine import host, host_link
from aix_lsp.engine.base import EngineError, LoadEvent, ModelError, ModelLost, Superseded
from aix_lsp.engine.generation import Backend, LoadedModel, Report
from aix_lsp.engine.host import Host
from aix_lsp.engine.host_client import SharedBackend, look
from aix_lsp.engine.host_link import HostLink, NobodyThere, open_link
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import Message, Unpacker, pack, proof
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.engine_doubles import FOLDER, PATIENCE_S, HostedBackend, SteppedBackend, request, until

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


@pytest.fixture(params=["unix", "tcp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_window_gets_what_a_model_of_its_own_would_give(tmp_path: Path, kind: str) -> None:
    text = "return é + 漢 * first\n"
    own = ScriptedEngine(text, tokenizer=load_tokenizer(FOLDER), alternatives=("x = 1\n", "y"))

    def healed(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt((5, 6), "", "psm", required="ret")

    wanted: list[dict[str, Any]] = [
        {},
        {"max_new_tokens": 3},
        {"stop": lambda text: "é" in text},
        {"build_prompt": healed, "max_new_tokens": 4},
        {"time_limit": 0.0},
        {"candidates": 3, "stop": lambda text: text.endswith("=")},
    ]
    async with hosting(tmp_path, unix=kind == "unix") as here:
        await here.begin(HostedBackend(text, alternatives=("x = 1\n", "y")))
        window = here.window()
        seen: list[str] = []
        for options in wanted:
            shared = await window.generate(request(on_text=seen.append, **options))
            alone = await own.generate(request(**options))
            assert (shared.text, shared.tokens, shared.finish) == (alone.text, alone.tokens, alone.finish), options
            assert shared.alternatives == alone.alternatives
        assert text in seen
        assert (window.model, window.sharing) == (
            ModelInfo("hosted", 512),
            f"shared with 1 window, host process {os.getpid()}",
        )
        own.close()


async def test_cancelling_or_closing_a_window_frees_the_model_at_the_next_token(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        backend = Stepped()
        await here.begin(backend)
        first, second = here.window(), here.window()
        task = asyncio.create_task(first.generate(request(document="a")))
        await until(backend.computing.is_set)
        backend.step(2)
        await until(lambda: backend.yielded == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)  # the message travels
        backend.step()
        await until(lambda: backend.closed == 1)
        assert backend.yielded == 2
        left = asyncio.create_task(first.generate(request(document="b")))
        await until(backend.computing.is_set)
        first.close()
        with pytest.raises(EngineError):
            await left
        await asyncio.sleep(0.05)
        backend.step()
        await until(lambda: backend.closed == 2)
        assert backend.yielded == 2
        backend.step()
        assert (await second.generate(request(max_new_tokens=1, document="b"))).tokens == 1


async def test_windows_wait_for_one_another_and_their_documents_are_never_the_same(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        backend = Stepped()
        await here.begin(backend)
        windows = [here.window() for _ in range(2)]
        idle = asyncio.create_task(windows[0].generate(request(document="idle", background=True)))
        await until(backend.computing.is_set)
        asked = [asyncio.create_task(window.generate(request(document="same", max_new_tokens=1))) for window in windows]
        with pytest.raises(Superseded):
            await asyncio.wait_for(idle, PATIENCE_S)
        await asyncio.sleep(0.05)
        backend.step(3)
        assert [(await task).tokens for task in asked] == [1, 1]
        assert (await here.state() or {})["windows"] == 2


GARBAGE = [
    b"\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x02[]",
    pack({"op": "run", "id": 1}),
    pack({"op": "hello", "protocol": 99}),
    pack({"op": "hello", "protocol": 1, "proof": "x" * 64, "role": "window"}),
    pack({"op": "hello", "protocol": 1, "proof": None}),
]


@pytest.mark.parametrize("sent", GARBAGE, ids=repr)
async def test_garbage_and_strangers_are_refused_and_harm_nobody(tmp_path: Path, sent: bytes) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"))
        window = here.window()
        assert (await window.generate(request())).text == "fine"
        said = await asyncio.to_thread(_say, here.place, sent)
        refused = [message["message"] for message in said if message["op"] == "refused"]
        assert len(refused) == (0 if sent == b"\x00" else 1)
        assert all("\n" not in line for line in refused)
        assert (await window.generate(request())).text == "fine"


def _say(place: Place, sent: bytes) -> list[Message]:
    """What the host answers to somebody who sends this and hangs up."""
    connection, _ = place.connect(PATIENCE_S)
    with connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        came = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                came += data
    return list(Unpacker().feed(came))


@pytest.mark.parametrize(
    "message",
    [{"op": "dance"}, {"op": "run", "id": 1, "ids": "x"}, {"op": "cancel", "id": "x"}, {"op": "hello"}],
    ids=str,
)
async def test_a_window_that_talks_nonsense_loses_its_connection_only(tmp_path: Path, message: Message) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"))
        other = here.window()
        link = await asyncio.to_thread(here.join, lambda text: None)
        link.send(message)
        await until(lambda: link.lost)
        assert link.lost
        assert (await other.generate(request())).text == "fine"


async def test_who_only_looks_is_no_window_and_may_not_ask(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"), linger_s=0.3, first_wait_s=0.3)
        state = await here.state()
        assert state is not None
        assert (state["windows"], state["pid"]) == (0, os.getpid())
        link = await asyncio.to_thread(open_link, here.place, "observer", lambda text: None)
        link.send({"op": "run", "id": 1, "epoch": 1, "ids": [1], "limit": 3})
        await until(lambda: link.lost)
        assert "not the time" in link.lost
        assert here.running is not None
        await asyncio.wait_for(here.running, PATIENCE_S)  # looking did not keep it


async def test_a_foreign_token_is_told_in_one_line(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"))
        here.place.write_token("another", 0)
        engine = here.window()
        with pytest.raises(ModelError, match=r"^the model host does not know this token$"):
            await engine.ready()


async def test_somebody_else_at_the_hosts_port_learns_nothing_and_counts_as_nobody(tmp_path: Path) -> None:
    place = Place(tmp_path, "k")
    heard: list[bytes] = []

    def impostor(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(pack({"op": "hello", "protocol": 1, "nonce": "n", "pid": 1}))
            heard.append(connection.recv(1 << 16))
            connection.sendall(pack({"op": "welcome", "proof": proof("guessed", "n", "host")}))

    with place.listen(TOKEN) as listener:
        thread = threading.Thread(target=impostor, args=(listener,))
        thread.start()
        with pytest.raises(NobodyThere):
            open_link(place, "window", lambda text: None)
        thread.join()
    assert TOKEN.encode() not in heard[0]


async def test_a_host_that_falls_silent_is_given_up_and_no_request_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_link, "_QUIET_S", 0.05)
    place = Place(tmp_path, "k")
    heard: list[Message] = []

    def silent(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            unpacker = Unpacker()
            connection.sendall(pack({"op": "hello", "protocol": 1, "nonce": "n", "pid": 1}))
            (hello,) = unpacker.feed(connection.recv(1 << 16))
            connection.sendall(pack({"op": "welcome", "proof": proof(TOKEN, hello["nonce"], "host")}))
            while data := connection.recv(1 << 16):
                heard.extend(unpacker.feed(data))

    with place.listen(TOKEN) as listener:
        thread = threading.Thread(target=silent, args=(listener,))
        thread.start()
        link = await asyncio.to_thread(open_link, place, "window", lambda text: None)
        with pytest.raises(ModelLost, match="does not answer"):
            await asyncio.to_thread(link.take)
        thread.join()
    assert {message["op"] for message in heard} == {"ping"}


async def test_a_host_leaves_when_its_last_window_has_gone_for_a_while(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"), linger_s=0.2)
        assert here.running is not None
        await asyncio.sleep(0.4)  # the window that started it may take longer
        first, second = here.window(), here.window()
        await asyncio.gather(first.ready(), second.ready())
        first.close()
        await asyncio.sleep(0.4)
        assert not here.running.done()
        assert (await second.generate(request())).text == "fine"
        second.close()
        await asyncio.wait_for(here.running, PATIENCE_S)
        with pytest.raises(NobodyThere):
            await asyncio.to_thread(here.join, lambda text: None)


async def test_a_socket_that_was_tidied_away_comes_back(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"), look_s=0.02)
        before = here.window()
        await before.ready()
        here.place.leave()
        await until(lambda: here.place.is_open(TOKEN))
        assert (await here.window().generate(request())).text == "fine"
        assert (await before.generate(request())).text == "fine"


class Breaking(HostedBackend):
    """The first request with this document breaks the model."""

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        if request.document == "break":
            yield 5
            raise RuntimeError("illegal memory access")
        yield from super().generate(prompt, request, cancelled)


async def test_a_broken_model_ends_the_host_and_the_next_request_finds_another(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(Breaking("fine"))
        loop = asyncio.get_running_loop()

        one_at_a_time = threading.Lock()  # for the place's lock: this is one process

        def connect(report: Report, warn: Callable[[str], None]) -> HostLink:
            with one_at_a_time:
                try:
                    return here.join(warn)
                except NobodyThere:
                    begun = asyncio.run_coroutine_threadsafe(here.begin(Breaking("again fine")), loop)
                    begun.result(PATIENCE_S)
                    return here.join(warn)

        windows = [here.window(connect) for _ in range(2)]
        assert [(await window.generate(request())).text for window in windows] == ["fine", "fine"]
        first = here.running
        with pytest.raises(EngineError, match=r"^the model failed: RuntimeError: illegal memory access$"):
            await windows[0].generate(request(document="break"))
        assert first is not None
        answers = await asyncio.gather(*(window.generate(request()) for window in windows))
        assert [answer.text for answer in answers] == ["again fine", "again fine"]
        await asyncio.wait_for(first, PATIENCE_S)
        assert len(here.backends) == 2
        assert here.warnings(0) == here.warnings(1) == ["the model failed: RuntimeError: illegal memory access"]


class Tight(HostedBackend):
    """Runs out of memory with prompts of more than 100 tokens, and has one step down."""

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        if len(prompt.ids) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from super().generate(prompt, request, cancelled)

    def relieve(self, report: Report) -> tuple[LoadedModel, str] | None:
        self.positions = 100
        return self.load(report), "kept within 100 tokens"


async def test_less_room_after_out_of_memory_reaches_the_windows_prompts(tmp_path: Path) -> None:
    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt((5,) * (info.max_positions - 20), "", info.format)

    async with hosting(tmp_path) as here:
        await here.begin(Tight("fine"))
        windows = [here.window() for _ in range(2)]
        for window in windows:
            await window.ready()
        for window in windows:
            answer = await window.generate(request(build_prompt=build))
            assert (answer.text, len(answer.prompt.ids)) == ("fine", 80)
            assert (await window.ready()).max_positions == 100
        assert here.warnings(0) == here.warnings(1) == ["kept within 100 tokens"]


async def test_an_idle_host_frees_its_model_and_loads_it_for_the_next_request(tmp_path: Path) -> None:
    class Unloading(HostedBackend):
        unloads = 0

        def unload(self) -> bool:
            self.unloads += 1
            return True

    async with hosting(tmp_path) as here:
        backend = Unloading("fine")
        await here.begin(backend, idle_s=0.05)
        window = here.window()
        assert (await window.generate(request())).text == "fine"
        await until(lambda: backend.unloads)
        state = await here.state()
        assert state is not None
        assert "unloaded, as it was idle" in state["message"]
        assert (await window.generate(request())).text == "fine"
        assert backend.loads == 2
        assert here.warnings() == []


async def test_a_model_that_cannot_be_loaded_is_told_to_every_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_NO_MODEL_S", 0.3)

    class Missing(HostedBackend):
        def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
            raise ModelError("no such model; download it")

    async with hosting(tmp_path) as here:
        await here.begin(Missing(""))
        windows = [here.window() for _ in range(2)]
        for window in windows:
            with pytest.raises(ModelError, match=r"^no such model; download it$"):
                await window.ready()
        assert here.running is not None
        await asyncio.wait_for(here.running, PATIENCE_S)


async def test_closing_a_window_while_the_host_loads_ends_its_wait(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        backend = Stepped(loaded=False)
        await here.begin(backend)
        window = here.window()
        waiting = asyncio.create_task(window.generate(request()))
        await until(lambda: window.state.message == "half way")
        window.close()
        with pytest.raises(EngineError):
            await asyncio.wait_for(waiting, 1)
        await until(lambda: not threads("aix-host-reader"))
        backend.finish_load()
