"""A model that breaks, loses its process or runs out of memory while it serves. Faults come from a backend double."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest
import torch

from aix_lsp.engine.base import EngineError, LoadEvent, ModelChanged, ModelError, ModelLost, OutOfMemory
from aix_lsp.engine.generation import Backend, LoadedModel, Report
from aix_lsp.engine.recovery import RestartLimit
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt
from tests.unit.engine_doubles import PATIENCE_S, ByteTokenizer, request


class Faulty(Backend):
    """Raises the next of its faults, after one token, as long as there are any; then answers "fine"."""

    def __init__(self, *faults: BaseException, steps: int = 0) -> None:
        self.faults = list(faults)
        self.loads = 0
        self.steps = steps
        self.positions = 1024
        self.prompts: list[str] = []

    def load(self, report: Report) -> LoadedModel:
        self.loads += 1
        report(LoadEvent("progress", "loading"))
        return self._model()

    def _model(self) -> LoadedModel:
        return LoadedModel(ByteTokenizer(), ModelInfo("faulty", self.positions))

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        self.prompts.append(prompt.text)
        if self.faults:
            yield ord("x")
            raise self.faults.pop(0)
        yield from b"fine"

    def relieve(self, report: Report) -> tuple[LoadedModel, str] | None:
        if not self.steps:
            return None
        self.steps -= 1
        self.positions //= 2
        return self._model(), f"kept within {self.positions}"


@contextmanager
def serving(backend: Backend, limit: RestartLimit | None = None) -> Iterator[tuple[ModelThread, list[LoadEvent]]]:
    events: list[LoadEvent] = []
    engine = ModelThread(backend, events.append, restarts=limit)
    try:
        yield engine, events
    finally:
        engine.close()


def warnings(events: list[LoadEvent]) -> list[str]:
    return [event.message for event in events if event.kind == "warning"]


class Panic(BaseException):
    """What a library in Rust raises that panics; its message may quote what it had in hand."""


@pytest.mark.parametrize("fault", [RuntimeError("broken kernel"), SystemExit(3), KeyError("x"), Panic("x")], ids=repr)
async def test_a_failure_ends_its_request_and_the_model_is_loaded_again(fault: BaseException) -> None:
    backend = Faulty(fault, RuntimeError("again"))
    with serving(backend) as (engine, events):
        for _ in range(2):
            with pytest.raises(EngineError, match=r"^the model failed and is loaded again; the error was "):
                await asyncio.wait_for(engine.generate(request()), PATIENCE_S)
        assert (await engine.generate(request())).text == "fine"
        assert backend.loads == 3
        await asyncio.sleep(0)
        assert len(warnings(events)) == 1
        assert engine.state.phase == "ready"


async def test_a_panic_over_one_prompt_ends_that_request_alone() -> None:
    def build(tokenizer: object, info: object) -> Prompt:
        raise Panic("inside of `password = hunter2`")

    backend = Faulty()
    with serving(backend) as (engine, events):
        with pytest.raises(EngineError, match=r"^the prompt could not be built: Panic at ") as failed:
            await asyncio.wait_for(engine.generate(request(build_prompt=build)), PATIENCE_S)
        assert "hunter2" not in str(failed.value)
        assert (await engine.generate(request())).text == "fine"
        assert (backend.loads, warnings(events)) == (1, [])


async def test_a_panic_while_loading_is_told() -> None:
    class Panicking(Faulty):
        def load(self, report: Report) -> LoadedModel:
            raise Panic("no such piece")

    with serving(Panicking()) as (engine, events):
        with pytest.raises(ModelError, match="the model could not be loaded: Panic: no such piece"):
            await asyncio.wait_for(engine.ready(), PATIENCE_S)
        await asyncio.sleep(0)
        assert warnings(events) == ["the model could not be loaded: Panic: no such piece"]


async def test_those_who_wait_for_another_document_are_served_after_the_restart() -> None:
    backend = Faulty(RuntimeError("broken kernel"))
    with serving(backend) as (engine, _):
        tasks = [asyncio.create_task(engine.generate(request(name, document=name))) for name in "ab"]
        first, second = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_S)
        assert isinstance(first, EngineError)
        assert not isinstance(second, BaseException)
        assert second.text == "fine"


async def test_too_many_failures_are_the_end_told_in_one_line_and_nobody_hangs() -> None:
    backend = Faulty(*(RuntimeError(f"broken {number}") for number in range(9)))
    with serving(backend, RestartLimit(most=2)) as (engine, events):
        outcomes = []
        for _ in range(5):
            with pytest.raises(EngineError) as caught:
                await asyncio.wait_for(engine.generate(request()), PATIENCE_S)
            outcomes.append(str(caught.value))
            await asyncio.sleep(0.01)
        assert backend.loads == 3
        assert engine.state.phase == "failed"
        assert outcomes[2] == "the model failed and is loaded again; the error was RuntimeError: broken 2"
        assert outcomes[3] == outcomes[4] == engine.state.message
        assert engine.state.message.startswith("the model failed: RuntimeError: broken 2, 3 times within a minute; ")
        assert engine.model is None
        first, last = warnings(events)
        assert first == "the model failed and is loaded again; the error was RuntimeError: broken 0"
        assert last == engine.state.message
        with pytest.raises(ModelError):
            await engine.ready()


@pytest.mark.parametrize(
    "fault",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory"), OutOfMemory("no room")],
    ids=repr,
)
async def test_out_of_memory_takes_a_step_down_and_the_request_is_answered(fault: Exception) -> None:
    backend = Faulty(fault, steps=1)
    seen: list[int] = []

    def build(tokenizer: object, info: ModelInfo) -> Prompt:
        seen.append(info.max_positions)
        return Prompt((1,), "p", info.format)

    with serving(backend) as (engine, events):
        answer = await engine.generate(request(build_prompt=build))
        assert answer.text == "fine"
        assert seen == [1024, 512]  # the prompt is built anew, for less room
        assert (await engine.ready()).max_positions == 512
        assert warnings(events) == ["kept within 512"]
        assert backend.loads == 1


async def test_without_a_step_left_the_request_fails_and_the_next_is_served() -> None:
    backend = Faulty(*(torch.OutOfMemoryError("CUDA out of memory") for _ in range(3)), steps=2)
    with serving(backend) as (engine, events):
        with pytest.raises(EngineError, match="memory ran out: OutOfMemoryError: CUDA out of memory"):
            await engine.generate(request())
        assert (await engine.generate(request())).text == "fine"
        assert warnings(events) == []  # what failed says more than the steps that did not help


async def test_a_step_that_breaks_the_model_is_a_failure_like_any_other() -> None:
    class Breaking(Faulty):
        def relieve(self, report: Report) -> tuple[LoadedModel, str] | None:
            raise RuntimeError("device lost")

    backend = Breaking(torch.OutOfMemoryError("CUDA out of memory"))
    with serving(backend) as (engine, events):
        with pytest.raises(EngineError, match="memory ran out"):
            await engine.generate(request())
        assert (await engine.generate(request())).text == "fine"
        assert backend.loads == 2
        assert warnings(events) == ["the model failed and is loaded again; the error was RuntimeError: device lost"]


async def test_a_request_whose_model_went_away_is_run_anew_and_nobody_hears_of_it() -> None:
    backend = Faulty(ModelLost("the host has ended"), ModelChanged("another model"))
    with serving(backend) as (engine, events):
        answer = await engine.generate(request())
        assert answer.text == "fine"
        assert (backend.loads, len(backend.prompts)) == (3, 3)
        assert warnings(events) == []


async def test_a_model_that_goes_away_again_and_again_is_given_up() -> None:
    backend = Faulty(*(ModelLost("the host has ended") for _ in range(9)))
    with serving(backend, RestartLimit(most=2)) as (engine, events):
        with pytest.raises(ModelError, match="the host has ended, 3 times within a minute"):
            await asyncio.wait_for(engine.generate(request()), PATIENCE_S)
        assert warnings(events) == [engine.state.message]


async def test_a_model_that_changes_for_ever_fails_the_request_only() -> None:
    backend = Faulty(*(ModelChanged("another model") for _ in range(4)))
    with serving(backend) as (engine, _):
        with pytest.raises(EngineError, match="another model"):
            await engine.generate(request())
        assert (await engine.generate(request())).text == "fine"
