"""The model host serves its windows over a real socket, with a backend that answers from a script."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine.base import EngineError, Superseded
from aix_lsp.engine.host import Host
from aix_lsp.engine.host_client import _as_cut
from aix_lsp.engine.host_link import NobodyThere, open_link
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.types import ModelInfo, Prompt, Tokenizer
from tests.unit.engine_doubles import FOLDER, PATIENCE_S, HostedBackend, request, until
from tests.unit.hosting import TOKEN, Stepped, hosting


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


async def test_a_window_gets_the_scores_of_the_tokens(tmp_path: Path) -> None:
    text = "return é + 漢 * first\n"
    scores = [-0.123456 * number for number in range(20)]

    def healed(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt((5, 6), "", "psm", required="ret")

    own = ScriptedEngine(text, tokenizer=load_tokenizer(FOLDER), scores=scores)
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend(text, scores=scores))
        window = here.window()
        for options in ({}, {"max_new_tokens": 3}, {"build_prompt": healed}):
            shared = await window.generate(request(**options))
            alone = await own.generate(request(**options))
            assert alone.scores
            assert [score.end for score in shared.scores] == [score.end for score in alone.scores]
            for ours, theirs in zip(shared.scores, alone.scores, strict=True):
                assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-4)
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


async def test_who_only_looks_is_no_window_and_may_not_ask(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        await here.begin(HostedBackend("fine"), linger_s=0.3, first_wait_s=1.0)
        state = await here.state()
        assert state is not None
        assert (state["windows"], state["pid"]) == (0, os.getpid())
        link = await asyncio.to_thread(open_link, here.place, "observer", lambda text: None)
        link.send({"op": "run", "id": 1, "epoch": 1, "ids": [1], "limit": 3})
        await until(lambda: link.lost)
        assert "not the time" in link.lost
        assert here.running is not None
        await asyncio.wait_for(here.running, PATIENCE_S)  # looking did not keep it


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


async def test_a_socket_is_not_opened_again_where_another_host_has_the_place(tmp_path: Path) -> None:
    async with hosting(tmp_path) as here:
        opened: list[socket.socket] = []
        looks = 0

        def listen() -> socket.socket:
            if opened:
                raise OSError("another host has this place by now")
            opened.append(here.place.listen(TOKEN))
            return opened[0]

        def is_open() -> bool:
            nonlocal looks
            looks += 1
            return False

        backend = HostedBackend("fine")
        here.backends.append(backend)
        serving = Host(backend, TOKEN, linger_s=60).serve(listen, is_open, look_s=0.02)
        here.tasks.append(asyncio.create_task(serving))
        await until(lambda: looks > 2)
        assert opened[0].fileno() == -1  # nobody finds it any more: it is closed
        with pytest.raises(NobodyThere):
            await asyncio.to_thread(here.join, lambda text: None)


def test_final_rows_are_known_again_by_their_beginnings() -> None:
    streamed = {0: [1, 2], 1: [5], 2: [5, 6], 3: [7, 8], 4: [9]}
    final = [[1, 2], [5, 6, 0], [7, 8, 9], [5, 3], [4]]
    # 4 came out as another did and is left out, 3 was cut here, [4] was never streamed
    assert _as_cut(streamed, {0, 3}, final) == [[1, 2], [5, 3], [5, 6, 0], [7, 8], [4]]
