"""One request on the model thread: why it ends, its limits, its text as it streams, its failures. No torch."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.base import Engine, EngineError
from aix_lsp.engine.scripted import PieceTokenizer, ScriptedEngine
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.engine_doubles import ByteTokenizer, SteppedBackend, request, until


async def test_a_request_is_answered_with_text_times_and_model() -> None:
    engine = ScriptedEngine("hello world", delay=0.002)
    result = await engine.generate(request("a prompt"))
    assert (result.text, result.tokens, result.finish, result.model) == ("hello world", 3, "end", "scripted")
    assert result.prompt.text == "a prompt"
    assert 0 < result.first_token_ms <= result.total_ms
    assert result.queue_ms >= 0
    assert result.prompt_ms >= 0
    assert isinstance(engine, Engine)
    engine.close()


@pytest.mark.parametrize(
    ("options", "text", "finish"),
    [
        ({}, "one two three", "end"),
        ({"max_new_tokens": 2}, "one ", "length"),
        ({"stop": lambda text: "two" in text}, "one two", "stop"),
        ({"time_limit": 0.0}, "", "timeout"),
    ],
)
async def test_generation_ends_for_the_reason_it_says(options: dict[str, Any], text: str, finish: str) -> None:
    engine = ScriptedEngine("one two three")
    result = await engine.generate(request(**options))
    assert (result.text, result.finish) == (text, finish)
    engine.close()


async def test_a_time_limit_keeps_what_there_is() -> None:
    engine = ScriptedEngine("a b c d e f g h i j", delay=0.02)
    result = await engine.generate(request(time_limit=0.07))
    assert result.finish == "timeout"
    assert "a b c d e f g h i j".startswith(result.text)
    assert 1 <= result.tokens < 10
    engine.close()


async def test_prompt_and_completion_fit_the_models_positions_together() -> None:
    engine = ScriptedEngine("1 2 3 4 5 6", info=ModelInfo("small", max_positions=8))
    result = await engine.generate(request("x y z"))
    assert (result.tokens, result.finish) == (3, "length")
    with pytest.raises(EngineError, match="9 tokens, and small takes at most 8"):
        await engine.generate(request("a b c d e"))
    with pytest.raises(EngineError, match="prompt is empty"):
        await engine.generate(request(""))
    engine.close()


def _raise(*_: object) -> Any:
    raise ZeroDivisionError("by design\nwith a second line")


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (request(build_prompt=_raise), "the prompt could not be built: ZeroDivisionError at test_generation.py:"),
        (request(stop=_raise), "the stop condition failed: ZeroDivisionError"),
        (request(on_text=_raise), "the receiver of the text failed: ZeroDivisionError"),
    ],
)
async def test_a_failure_ends_its_request_only(failing: GenerationRequest, message: str) -> None:
    engine = ScriptedEngine("some words that take a while", delay=0.002)
    with pytest.raises(EngineError, match=message) as caught:
        await engine.generate(failing)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert (await engine.generate(request())).finish == "end"
    engine.close()


async def test_a_failing_model_ends_its_request_only() -> None:
    engine = ScriptedEngine([RuntimeError("broken kernel"), EngineError("out of memory"), "fine"])
    with pytest.raises(EngineError, match=r"^the model failed and .*; the error was RuntimeError: broken kernel$"):
        await engine.generate(request())
    with pytest.raises(EngineError, match=r"^out of memory$"):
        await engine.generate(request())
    assert (await engine.generate(request())).text == "fine"
    engine.close()


async def test_several_candidates_are_distinct_healed_and_stopped() -> None:
    engine = ScriptedEngine("one two", alternatives=("one", "one two", "", "one", "three four"))
    result = await engine.generate(request(candidates=9, stop=lambda text: text.endswith("three")))
    assert (result.text, result.alternatives) == ("one two", ("one", "three"))
    assert (await engine.generate(request(candidates=2))).alternatives == ("one",)
    assert (await engine.generate(request())).alternatives == ()

    def healed(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt(tuple(tokenizer.encode("x")), "x", "psm", required="pre")

    spelled = ScriptedEngine("fix", alternatives=("pare",), tokenizer=ByteTokenizer())
    result = await spelled.generate(request(candidates=3, max_new_tokens=2, build_prompt=healed))
    assert (result.text, result.alternatives) == ("fi", ("pa",))
    for one in (engine, spelled):
        one.close()


async def test_text_streams_on_the_loops_thread_in_order_and_ends_with_the_whole_text() -> None:
    seen: list[tuple[str, int]] = []
    engine = ScriptedEngine("a bc d", delay=0.003)
    result = await engine.generate(request(on_text=lambda text: seen.append((text, threading.get_ident()))))
    texts = [text for text, _ in seen]
    assert texts == sorted(set(texts), key=len)
    assert texts[-1] == result.text == "a bc d"
    assert len(texts) > 2
    assert {thread for _, thread in seen} == {threading.get_ident()}
    await asyncio.sleep(0.02)
    assert len(seen) == len(texts)
    engine.close()


async def test_a_slow_loop_gets_only_the_newest_text() -> None:
    seen: list[str] = []
    engine = ScriptedEngine(" ".join("abcdefghij"), delay=0.001)
    await engine.ready()
    task = asyncio.create_task(engine.generate(request(on_text=seen.append)))
    await asyncio.sleep(0)
    time.sleep(0.2)  # the loop is busy while all tokens come
    assert (await task).text == " ".join("abcdefghij")
    assert seen == [" ".join("abcdefghij")]
    engine.close()


async def test_nothing_streams_after_a_request_was_cancelled() -> None:
    backend = SteppedBackend()
    engine = ModelThread(backend)
    seen: list[str] = []
    task = asyncio.create_task(engine.generate(request(on_text=seen.append)))
    await until(backend.computing.is_set)
    backend.step(3)
    time.sleep(0.05)  # tokens are there, their delivery waits for this loop
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.02)
    assert seen == []
    engine.close()
    backend.step()


async def test_half_a_character_is_never_shown() -> None:
    seen: list[str] = []
    text = "é漢😀!"
    engine = ScriptedEngine(text, delay=0.002, tokenizer=ByteTokenizer())
    result = await engine.generate(request(on_text=seen.append))
    assert result.text == text
    assert result.tokens == len(text.encode())
    assert all(text.startswith(shown) for shown in seen)
    cut_off = await engine.generate(request(max_new_tokens=4))
    assert cut_off.text == "é"
    engine.close()


@given(st.text())
def test_streamed_text_grows_to_the_text_of_all_tokens(text: str) -> None:
    text = text.replace("\ufffd", "").encode("utf-8", "replace").decode()
    stream = TextStream(ByteTokenizer())
    shown = ""
    for token in text.encode():
        assert stream.push(token).startswith(shown)
        shown = stream.text
        assert "\ufffd" not in shown
    assert stream.text == text


def test_bytes_that_never_become_a_character_do_not_hold_the_text_back() -> None:
    stream = TextStream(ByteTokenizer())
    for token in [*b"ab", *[0x80] * 40, *b"cd"]:
        stream.push(token)
    assert stream.text.startswith("ab")
    assert stream.text.endswith("cd")


def test_the_cost_of_a_token_does_not_grow_with_the_text() -> None:
    class Counting(ByteTokenizer):
        longest = 0

        def decode(self, ids: Sequence[int]) -> str:
            self.longest = max(self.longest, len(ids))
            return super().decode(ids)

    tokenizer = Counting()
    stream = TextStream(tokenizer)
    for token in b"x" * 500:
        stream.push(token)
    assert tokenizer.longest == 1


def test_the_doubles_tokenizer_is_lossless_and_knows_its_markers() -> None:
    tokenizer = PieceTokenizer()
    text = "def f(x):\n    return '<s>é'  "
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.special("no such", "</s>") == 1
    assert tokenizer.special("nothing") is None
    assert 0 not in tokenizer.encode("<s>")
    assert tokenizer.vocabulary_size > 5
