"""Garbage, strangers, broken models and hosts that fall silent: what goes wrong between a host and its windows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch

from aix_lsp.engine import host, host_link
from aix_lsp.engine.base import EngineError, LoadEvent, ModelError, ModelLost
from aix_lsp.engine.generation import LoadedModel, Report
from aix_lsp.engine.host_link import HostLink, NobodyThere, open_link
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import PROTOCOL, Message, Unpacker, pack, proof
from aix_lsp.engine.recovery import failed_with
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.engine_doubles import PATIENCE_S, HostedBackend, request, until
from tests.unit.hosting import TOKEN, Stepped, hosting, threads

GARBAGE = [
    b"\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x02[]",
    pack({"op": "run", "id": 1}),
    pack({"op": "hello", "protocol": 99}),
    pack({"op": "hello", "protocol": PROTOCOL, "proof": "x" * 64, "role": "window"}),
    pack({"op": "hello", "protocol": PROTOCOL, "proof": None}),
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
            connection.sendall(pack({"op": "hello", "protocol": PROTOCOL, "nonce": "n", "pid": 1}))
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
            connection.sendall(pack({"op": "hello", "protocol": PROTOCOL, "nonce": "n", "pid": 1}))
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


async def test_a_host_from_which_nothing_was_to_be_heard_for_long_is_asked_before_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_link, "_QUIET_S", 0.2)
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"))
        link = await asyncio.to_thread(here.join, lambda text: None)
        await until(lambda: link.state.get("model"))
        while not link._inbox.empty():
            await asyncio.to_thread(link.take)
        link._heard -= 3600  # an hour without a request
        waiting = asyncio.create_task(asyncio.to_thread(link.take))
        await asyncio.sleep(0.5)
        assert not link.lost
        link.wake()
        await waiting
        link.close()


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
        with pytest.raises(EngineError, match=r"^the model failed and is loaded again; .* illegal memory access$"):
            await windows[0].generate(request(document="break"))
        assert first is not None
        answers = await asyncio.gather(*(window.generate(request()) for window in windows))
        assert [answer.text for answer in answers] == ["again fine", "again fine"]
        await asyncio.wait_for(first, PATIENCE_S)
        assert len(here.backends) == 2
        # the other window hears of it beside its answer, and twice where it joins just then; the user is told once
        async with asyncio.timeout(PATIENCE_S):
            while not (here.warnings(0) and here.warnings(1)):
                await asyncio.sleep(0.01)
        assert {*here.warnings(0), *here.warnings(1)} == {failed_with("RuntimeError: illegal memory access")}


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
        async with asyncio.timeout(PATIENCE_S):
            while "unloaded, as it was idle" not in (await here.state() or {})["message"]:
                await asyncio.sleep(0.01)
        # on a busy machine it may have been idle before the first request too
        unloads = backend.unloads
        assert backend.loads == unloads >= 1
        assert (await window.generate(request())).text == "fine"
        assert backend.loads == unloads + 1
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
            await asyncio.wait_for(waiting, 60)
        await until(lambda: not threads("aix-host-reader"))
        backend.finish_load()
