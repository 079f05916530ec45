"""A model that stands still, fails for ever, or ends its load in an odd way. Faults come from backend doubles."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from aix_lsp.engine import pulse
from aix_lsp.engine.base import EngineError, LoadEvent, ModelError, ModelLost
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.generation import LoadedModel, Report
from aix_lsp.engine.hardware import left_in_control_groups
from aix_lsp.engine.local import LocalBackend, safe
from aix_lsp.engine.recovery import RestartLimit
from aix_lsp.engine.sharing import ChosenBackend
from aix_lsp.engine.tokenizer import MIDDLES, fills_in, load_tokenizer
from aix_lsp.prompt.fim import _FAMILIES
from aix_lsp.settings import ModelSettings
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt
from tests.unit.engine_doubles import FOLDER, PATIENCE_S, ByteTokenizer, request
from tests.unit.test_worker_recovery import Faulty, serving, warnings


class Hanging(Faulty):
    """Does not come back from its first pass until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        if not self.goes_on.is_set():
            assert self.goes_on.wait(PATIENCE_S)
        yield from super().generate(prompt, request, cancelled)


async def test_a_model_that_stands_still_is_not_waited_for_and_serves_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "STUCK_S", 0.05)
    backend = Hanging()
    with serving(backend) as (engine, events):
        waiting = [asyncio.create_task(engine.generate(request(name, document=name))) for name in "ab"]
        for outcome in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE_S):
            assert isinstance(outcome, EngineError)
            assert "has not moved" in str(outcome)
        with pytest.raises(EngineError, match="has not moved"):
            await engine.ready()
        assert (engine.state.phase, engine.model) == ("failed", None)
        monkeypatch.setattr(pulse, "STUCK_S", PATIENCE_S)
        backend.goes_on.set()
        async with asyncio.timeout(PATIENCE_S):
            while engine.state.phase == "failed":
                await asyncio.sleep(0.001)
        assert (await engine.generate(request())).text == "fine"
        assert len(warnings(events)) == 1
        assert events[-1].kind == "ready"


class Elsewhere(Hanging):
    """Waits for another process, which has a clock of its own."""

    @property
    def timed_out(self) -> bool:
        return False


async def test_a_thread_that_waits_for_a_host_is_not_taken_for_one_that_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "STUCK_S", 0.01)
    backend = Elsewhere()
    with serving(backend) as (engine, events):
        waiting = asyncio.create_task(engine.generate(request()))
        await asyncio.wait([waiting], timeout=0.1)
        backend.goes_on.set()
        assert (await asyncio.wait_for(waiting, PATIENCE_S)).text == "fine"
        assert warnings(events) == []


async def test_time_in_which_the_whole_process_did_not_run_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "STUCK_S", 0.5)
    backend = Hanging()
    with serving(backend) as (engine, events):
        waiting = asyncio.create_task(engine.generate(request()))
        await asyncio.wait([waiting], timeout=0.01)
        time.sleep(0.6)  # as a process that was stopped, or a machine that slept
        await asyncio.wait([waiting], timeout=0.01)
        backend.goes_on.set()
        assert (await asyncio.wait_for(waiting, PATIENCE_S)).text == "fine"
        assert warnings(events) == []


class Replaced(Faulty):
    """Has another model for when this one fails for ever."""

    def retreat(self) -> str:
        self.faults.clear()
        return "spare"


@pytest.mark.parametrize("fault", [RuntimeError("broken kernel"), ModelLost("the host has ended")], ids=repr)
async def test_a_model_that_fails_for_ever_makes_way_for_another(fault: Exception) -> None:
    backend = Replaced(*(fault for _ in range(9)))
    with serving(backend, RestartLimit(most=2)) as (engine, events):
        for _ in range(3):
            try:
                await asyncio.wait_for(engine.generate(request()), PATIENCE_S)
            except EngineError as error:
                assert "is loaded again" in str(error)  # noqa: PT017
        assert (await asyncio.wait_for(engine.generate(request()), PATIENCE_S)).text == "fine"
        last = warnings(events)[-1]
        assert "3 times within a minute; the embedded model spare answers from now on" in last
        assert len(warnings(events)) <= 2
        assert engine.state.phase == "ready"


def test_the_embedded_model_takes_the_place_of_another_but_not_of_itself(tmp_path: Path) -> None:
    events: list[LoadEvent] = []
    broken = ModelSettings(name=str(tmp_path / "none"), share="off", threads=1)
    backend = ChosenBackend(broken)
    backend.load(events.append)
    assert backend.retreat() == ""
    assert LocalBackend(broken).retreat() == "aix-mini"
    assert safe(broken).name == "aix-mini"


def test_the_embedded_model_has_an_end_of_steps() -> None:
    events: list[LoadEvent] = []
    backend = LocalBackend(ModelSettings(name="aix-mini", device="cpu", threads=1))
    backend.load(events.append)
    steps = 0
    while backend.relieve(events.append) is not None:
        steps += 1
        assert steps < 9
    assert steps == 1


def test_a_library_that_exits_is_a_model_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aix_lsp.engine import loading

    def leaves(*arguments: object) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(loading, "read_weights", leaves)
    with pytest.raises(ModelError, match=r"could not be loaded: SystemExit: 3$"):
        loading.load_model(FOLDER, device="cpu")


@pytest.mark.parametrize("error", [MemoryError(), OSError(12, "Cannot allocate memory")], ids=repr)
def test_weights_that_memory_does_not_suffice_for_are_not_called_damaged(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors

    def refuses(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(safetensors, "safe_open", refuses)
    with pytest.raises(ModelError, match="the memory does not suffice to read"):
        inspect(FOLDER)


def test_a_container_s_limit_counts_as_the_end_of_the_memory(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/outer/inner\n")
    for name, limit in (("outer", "5000"), ("outer/inner", "max")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("3000\n")
        (folder / "memory.stat").write_text("anon 1000\ninactive_file 500\nactive_file 700\n")
    assert list(left_in_control_groups(tmp_path, own)) == [3200]
    (tmp_path / "outer" / "inner" / "memory.high").write_text("3100\n")
    assert list(left_in_control_groups(tmp_path, own)) == [1300, 3200]
    assert list(left_in_control_groups(tmp_path, tmp_path / "none")) == []


def test_the_markers_for_filling_in_are_those_of_all_prompts() -> None:
    assert {name for _, names in _FAMILIES for name in names["middle"]} == set(MIDDLES)
    assert fills_in(load_tokenizer(FOLDER))
    assert not fills_in(ByteTokenizer())


@pytest.mark.parametrize(("format_", "told"), [("psm", 1), ("l2r", 0)])
def test_a_model_without_markers_is_told_unless_its_folder_says_so(
    format_: str, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: LocalBackend, report: Report) -> LoadedModel:
        return LoadedModel(ByteTokenizer(), ModelInfo("plain", 512, format=format_))  # type: ignore[arg-type]

    monkeypatch.setattr(LocalBackend, "load", load)
    events: list[LoadEvent] = []
    ChosenBackend(ModelSettings(name="aix-mini", share="off")).load(events.append)
    assert [event.message.partition(", ")[0] for event in events] == ["plain has no markers for filling in"] * told
