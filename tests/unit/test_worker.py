"""The model thread: latest wins, cancellation, streaming, limits, failures, the end of a process. No torch."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.base import Engine, EngineClosed, EngineError, LoadEvent, ModelError, Superseded
from aix_lsp.engine.generation import LoadedModel
from aix_lsp.engine.scripted import PieceTokenizer, ScriptedEngine
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer

PATIENCE_S = 10.0


class ByteTokenizer:
    """One token per byte of UTF-8."""

    vocabulary_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")

    def special(self, *names: str) -> int | None:
        return None


class SteppedBackend:
    """Gives one token of `abcdef...` per `step`, and one load per `finish_load`; counts what it was asked."""

    def __init__(self, *, loaded: bool = True, failure: BaseException | None = None) -> None:
        self.started: list[str] = []
        self.yielded = 0
        self.closed = 0
        self.computing = threading.Event()
        self.reused_tokens = 0
        self._steps = threading.Semaphore(0)
        self._load_done = threading.Event()
        self._failure = failure
        if loaded:
            self._load_done.set()

    def step(self, count: int = 1) -> None:
        self._steps.release(count)

    def finish_load(self) -> None:
        self._load_done.set()

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        report(LoadEvent("progress", "half way", 50))
        assert self._load_done.wait(PATIENCE_S)
        if self._failure is not None:
            raise self._failure
        return LoadedModel(ByteTokenizer(), ModelInfo("stepped", 64))

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        self.started.append(prompt.text)
        try:
            for token in b"abcdefghijklmnopqrstuvwxyz":
                self.computing.set()
                assert self._steps.acquire(timeout=PATIENCE_S)
                if cancelled():
                    return
                self.yielded += 1
                yield token
        finally:
            self.closed += 1
            self.computing.clear()


def request(text: str = "p", max_new_tokens: int = 100, **options: Any) -> GenerationRequest:
    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt(tuple(tokenizer.encode(text)), text, info.format)

    return GenerationRequest(build_prompt=options.pop("build_prompt", build), max_new_tokens=max_new_tokens, **options)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.001)


@pytest.fixture
def stepped() -> Iterator[tuple[SteppedBackend, ModelThread]]:
    backend = SteppedBackend()
    engine = ModelThread(backend)
    yield backend, engine
    engine.close()
    backend.step(1000)


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


async def test_a_newer_request_supersedes_the_running_one_before_its_token_is_done(
    stepped: tuple[SteppedBackend, ModelThread],
) -> None:
    backend, engine = stepped
    first = asyncio.create_task(engine.generate(request("first")))
    await until(backend.computing.is_set)
    second = asyncio.create_task(engine.generate(request("second", max_new_tokens=1)))
    with pytest.raises(Superseded):
        await asyncio.wait_for(first, 1)
    assert backend.yielded == 0
    backend.step(2)  # the token that was being computed is dropped, the next is the second request's
    assert (await second).text == "a"
    assert backend.yielded == 1
    assert backend.closed == 2


async def test_a_newer_request_supersedes_the_waiting_one_which_never_runs(
    stepped: tuple[SteppedBackend, ModelThread],
) -> None:
    backend, engine = stepped
    tasks = [asyncio.create_task(engine.generate(request("running")))]
    await until(backend.computing.is_set)
    tasks += [asyncio.create_task(engine.generate(request(name, max_new_tokens=1))) for name in ("waiting", "last")]
    for old in tasks[:2]:
        with pytest.raises(Superseded):
            await asyncio.wait_for(old, 1)
    backend.step(2)
    assert (await tasks[2]).text == "a"
    assert backend.started == ["running", "last"]


async def test_cancelling_the_awaiting_task_frees_the_thread_at_the_next_token(
    stepped: tuple[SteppedBackend, ModelThread],
) -> None:
    backend, engine = stepped
    task = asyncio.create_task(engine.generate(request("cancelled")))
    await until(backend.computing.is_set)
    backend.step(2)
    await until(lambda: backend.yielded == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    backend.step()
    await until(lambda: backend.closed == 1)
    assert backend.yielded == 2


async def test_a_request_cancelled_while_it_waits_never_runs(stepped: tuple[SteppedBackend, ModelThread]) -> None:
    backend, engine = stepped
    running = asyncio.create_task(engine.generate(request("running", max_new_tokens=1)))
    await until(backend.computing.is_set)
    waiting = asyncio.create_task(engine.generate(request("waiting")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(Superseded):
        await running
    backend.step()
    await until(lambda: backend.closed == 1)
    backend.step()
    assert (await engine.generate(request("next", max_new_tokens=1))).text == "a"
    assert backend.started == ["running", "next"]


async def test_in_a_storm_every_request_is_answered_and_the_last_one_is_right() -> None:
    engine = ScriptedEngine(lambda prompt: f"answer to {prompt.text}", delay=0.0005)
    tasks = []
    for number in range(200):
        tasks.append(asyncio.create_task(engine.generate(request(str(number)))))
        await asyncio.sleep(0.0005 if number % 3 else 0)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_S)
    assert results[-1].text == "answer to 199"  # type: ignore[union-attr]
    for number, result in enumerate(results[:-1]):
        assert isinstance(result, Superseded) or result.text == f"answer to {number}"  # type: ignore[union-attr]
    assert sum(isinstance(result, Superseded) for result in results) > 100
    engine.close()


def _raise(*_: object) -> Any:
    raise ZeroDivisionError("by design\nwith a second line")


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (request(build_prompt=_raise), "the prompt could not be built: ZeroDivisionError: by design with a second"),
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
    with pytest.raises(EngineError, match=r"^the model failed: RuntimeError: broken kernel$"):
        await engine.generate(request())
    with pytest.raises(EngineError, match=r"^out of memory$"):
        await engine.generate(request())
    assert (await engine.generate(request())).text == "fine"
    engine.close()


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


async def test_nothing_streams_after_a_request_was_cancelled(stepped: tuple[SteppedBackend, ModelThread]) -> None:
    backend, engine = stepped
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


async def test_requests_wait_for_the_load_and_the_latest_wins() -> None:
    events: list[LoadEvent] = []
    backend = SteppedBackend(loaded=False)
    engine = ModelThread(backend, events.append)
    engine.start(asyncio.get_running_loop())
    engine.start()
    await until(lambda: engine.state.message == "half way")
    assert (engine.state.phase, engine.model) == ("loading", None)
    first = asyncio.create_task(engine.generate(request("first")))
    await asyncio.sleep(0)
    second = asyncio.create_task(engine.generate(request("second", max_new_tokens=1)))
    with pytest.raises(Superseded):
        await asyncio.wait_for(first, 1)
    impatient = asyncio.create_task(engine.ready())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    backend.finish_load()
    assert (await engine.ready()).name == "stepped"
    assert (await engine.ready()).name == "stepped"
    backend.step()
    assert (await second).text == "a"
    assert (await second).queue_ms > 0
    assert backend.started == ["second"]
    assert engine.state.phase == "ready"
    assert engine.model is not None
    assert [event.kind for event in events] == ["progress", "ready"]
    engine.close()


async def test_a_closed_engine_gives_up_its_load_at_the_next_step() -> None:
    steps: list[int] = []

    class Long(SteppedBackend):
        def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
            for step in range(10_000):
                report(LoadEvent("progress", "still loading", step // 100))
                steps.append(step)
                time.sleep(0.001)
            return super().load(report)

    engine = ModelThread(Long())
    engine.start()
    await until(lambda: len(steps) > 2)
    engine.close()
    await until(lambda: not any(thread.name == "aix-model" for thread in threading.enumerate()))
    assert len(steps) < 5_000


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ModelError("no such model; download it"), "^no such model; download it$"),
        (OSError("disk on fire"), "^the model could not be loaded: OSError: disk on fire$"),
    ],
)
async def test_a_failed_load_is_told_to_everybody(failure: Exception, message: str) -> None:
    events: list[LoadEvent] = []
    backend = SteppedBackend(loaded=False, failure=failure)
    engine = ModelThread(backend, events.append)
    waiting = [asyncio.create_task(engine.ready()), asyncio.create_task(engine.generate(request()))]
    await asyncio.sleep(0.01)
    backend.finish_load()
    for task in waiting:
        with pytest.raises(ModelError, match=message):
            await asyncio.wait_for(task, PATIENCE_S)
    with pytest.raises(ModelError, match=message):
        await engine.ready()
    with pytest.raises(ModelError, match=message):
        await engine.generate(request())
    assert engine.state.phase == "failed"
    assert engine.model is None
    assert [event.kind for event in events] == ["progress", "warning"]


async def test_close_answers_everybody_at_once_and_refuses_what_comes_after() -> None:
    backend = SteppedBackend()
    engine = ModelThread(backend)
    running = asyncio.create_task(engine.generate(request("running")))
    await until(backend.computing.is_set)
    engine.close()
    engine.close()
    with pytest.raises(EngineClosed):
        await asyncio.wait_for(running, 1)
    for late in (engine.ready(), engine.generate(request())):
        with pytest.raises(EngineClosed):
            await late
    backend.step()
    await until(lambda: not any(thread.name == "aix-model" and thread.is_alive() for thread in threading.enumerate()))
    assert backend.yielded == 0


async def test_close_during_the_load_answers_those_who_wait() -> None:
    backend = SteppedBackend(loaded=False)
    engine = ModelThread(backend)
    waiting = [asyncio.create_task(engine.ready()), asyncio.create_task(engine.generate(request()))]
    await asyncio.sleep(0.01)
    engine.close()
    for task in waiting:
        with pytest.raises(EngineClosed):
            await asyncio.wait_for(task, 1)
    backend.finish_load()
    await until(lambda: not any(thread.name == "aix-model" for thread in threading.enumerate()))
    assert engine.model is None


async def test_when_the_thread_dies_nobody_waits_for_ever() -> None:
    engine = ScriptedEngine(_exit_thread)
    with pytest.raises(EngineClosed, match="thread has ended"):
        await asyncio.wait_for(engine.generate(request()), PATIENCE_S)
    with pytest.raises(EngineClosed):
        await engine.generate(request())


def _exit_thread(prompt: Prompt) -> str:
    raise SystemExit


def test_a_closed_loop_does_not_hurt_the_thread() -> None:
    backend = SteppedBackend()
    engine = ModelThread(backend)
    seen: list[str] = []

    async def leave_in_the_middle() -> None:
        task = asyncio.create_task(engine.generate(request("left", on_text=seen.append)))
        await until(backend.computing.is_set)
        task.cancel()

    asyncio.run(leave_in_the_middle())
    backend.step(3)

    async def come_back() -> str:
        backend.step(3)
        return (await engine.generate(request("again", max_new_tokens=2))).text

    assert asyncio.run(come_back()) == "ab"
    engine.close()
    assert seen == []


def test_a_process_exits_in_the_middle_of_a_generation() -> None:
    code = """
import asyncio
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.types import GenerationRequest, Prompt
engine = ScriptedEngine("word " * 100_000, delay=0.01)
async def main():
    await engine.ready()
    build = lambda tokenizer, info: Prompt((1,), "", "psm")
    task = asyncio.create_task(engine.generate(GenerationRequest(build, 10**9)))
    await asyncio.sleep(0.05)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_engines_imports_neither_torch_nor_transformers() -> None:
    code = """
import sys
import aix_lsp.engine.base, aix_lsp.engine.catalog, aix_lsp.engine.local
import aix_lsp.engine.scripted, aix_lsp.engine.worker
print([name for name in ("torch", "transformers", "numpy", "huggingface_hub", "safetensors") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_the_doubles_tokenizer_is_lossless_and_knows_its_markers() -> None:
    tokenizer = PieceTokenizer()
    text = "def f(x):\n    return '<s>é'  "
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.special("no such", "</s>") == 1
    assert tokenizer.special("nothing") is None
    assert 0 not in tokenizer.encode("<s>")
    assert tokenizer.vocabulary_size > 5
