"""The model thread: latest wins, cancellation, the load, the end of an engine and of a process. No torch."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from aix_lsp.engine.base import EngineClosed, LoadEvent, ModelError, Superseded
from aix_lsp.engine.catalog import known
from aix_lsp.engine.generation import LoadedModel
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import ModelInfo
from tests.unit.engine_doubles import PATIENCE_S, ByteTokenizer, SteppedBackend, request, until


@pytest.fixture
def stepped() -> Iterator[tuple[SteppedBackend, ModelThread]]:
    backend = SteppedBackend()
    engine = ModelThread(backend)
    yield backend, engine
    engine.close()
    backend.step(1000)


async def test_a_newer_request_supersedes_the_running_one_before_its_token_is_done(
    stepped: tuple[SteppedBackend, ModelThread],
) -> None:
    backend, engine = stepped
    first = asyncio.create_task(engine.generate(request("first")))
    await until(backend.computing.is_set)
    second = asyncio.create_task(engine.generate(request("second", max_new_tokens=1)))
    with pytest.raises(Superseded):
        await asyncio.wait_for(first, 60)
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
            await asyncio.wait_for(old, 60)
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
        await asyncio.wait_for(first, 60)
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


async def test_who_hears_of_a_failed_load_finds_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is decided when it is told, and nothing tells again."""
    phases: list[str] = []
    engine = ModelThread(SteppedBackend(failure=ModelError("no model")), lambda event: None)
    monkeypatch.setattr(engine, "_tell", lambda event: phases.append(f"{event.kind}: {engine.state.phase}"))
    with pytest.raises(ModelError):
        await asyncio.wait_for(engine.ready(), PATIENCE_S)
    assert phases == ["progress: loading", "warning: failed"]


async def test_close_answers_everybody_at_once_and_refuses_what_comes_after() -> None:
    backend = SteppedBackend()
    engine = ModelThread(backend)
    running = asyncio.create_task(engine.generate(request("running")))
    await until(backend.computing.is_set)
    engine.close()
    engine.close()
    with pytest.raises(EngineClosed):
        await asyncio.wait_for(running, 60)
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
            await asyncio.wait_for(task, 60)
    backend.finish_load()
    await until(lambda: not any(thread.name == "aix-model" for thread in threading.enumerate()))
    assert engine.model is None


async def test_when_the_thread_dies_nobody_waits_for_ever() -> None:
    class Deadly(SteppedBackend):
        def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
            raise SystemExit

    engine = ModelThread(Deadly())
    with pytest.raises(EngineClosed, match="thread has ended"):
        await asyncio.wait_for(engine.generate(request()), PATIENCE_S)
    with pytest.raises(EngineClosed):
        await engine.generate(request())


async def test_requests_of_different_documents_wait_for_one_another(
    stepped: tuple[SteppedBackend, ModelThread],
) -> None:
    backend, engine = stepped
    names = ("a", "b", "c", "b")
    tasks = []
    for number, document in enumerate(names):
        job = request(f"{document}{number}", max_new_tokens=1, document=document)
        tasks.append(asyncio.create_task(engine.generate(job)))
        await until(backend.computing.is_set)
    with pytest.raises(Superseded):
        await tasks[1]
    backend.step(3)
    assert [(await tasks[number]).prompt.text for number in (0, 2, 3)] == ["a0", "c2", "b3"]
    assert backend.started == ["a0", "c2", "b3"]


async def test_a_background_request_gives_way_within_a_token_and_waits_for_all_others(
    stepped: tuple[SteppedBackend, ModelThread],
) -> None:
    backend, engine = stepped
    early = asyncio.create_task(engine.generate(request("early", document="a", background=True)))
    await until(backend.computing.is_set)
    asked = asyncio.create_task(engine.generate(request("asked", max_new_tokens=1, document="b")))
    with pytest.raises(Superseded):
        await asyncio.wait_for(early, 60)
    await asyncio.sleep(0)
    idle = asyncio.create_task(engine.generate(request("idle", max_new_tokens=1, document="b", background=True)))
    await asyncio.sleep(0)
    backend.step(3)  # the early one's token is dropped
    assert (await asked).text == "a"
    assert (await idle).text == "a"
    assert backend.started == ["early", "asked", "idle"]


async def test_an_idle_model_is_unloaded_and_the_next_request_loads_it_again() -> None:
    class Unloading(SteppedBackend):
        loads = 0
        unloads = 0

        def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
            self.loads += 1
            return super().load(report)

        def unload(self) -> bool:
            self.unloads += 1
            return True

    backend = Unloading()
    engine = ModelThread(backend, idle_s=0.02)
    backend.step(2)
    assert (await engine.generate(request(max_new_tokens=1))).text == "a"
    await until(lambda: backend.unloads == 1)
    await until(lambda: "idle" in engine.state.message)
    assert engine.state.phase == "ready"
    assert (await engine.ready()).name == "stepped"
    assert (await engine.generate(request(max_new_tokens=1))).text == "a"
    assert backend.loads == 2
    engine.close()


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


async def test_a_licence_that_forbids_paid_work_is_in_the_ready_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, ends in (("aixcoder-7b", "needs a licence from aiXcoder."), ("starcoder2-3b", ")")):
        entry = known()[name]
        info = ModelInfo(name, 64, note=entry.licence)
        backend = SteppedBackend()
        monkeypatch.setattr(backend, "load", lambda report, info=info: LoadedModel(ByteTokenizer(), info))
        told: list[LoadEvent] = []
        engine = ModelThread(backend, told.append)
        await engine.ready()
        await until(lambda told=told: told)
        assert told[-1].message == engine.state.message
        assert told[-1].message.startswith(f"{name} is ready (")
        assert told[-1].message.endswith(ends)
        engine.close()
