"""What the harness asks for, what it keeps, and what it does when something goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine.base import EngineError, LoadEvent, ModelError, OnEvent
from aix_lsp.engine.remote_errors import RemoteError
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.evaluation import harness
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.benchmark import DataError, Loaded, Metric, Output, Result, Sample
from aix_lsp.evaluation.harness import RunStopped, answer, prepare, prompt_settings
from aix_lsp.evaluation.run_folder import MemoryRun
from aix_lsp.settings import Settings
from aix_lsp.types import Generation, GenerationRequest, ModelInfo, Prompt, Snippet

INFO = ModelInfo("scripted", 4096)


def sample(number: int, **changes: Any) -> Sample:
    options: dict[str, Any] = {
        "wanted": "1",
        "stop": "line",
        "max_new_tokens": 8,
        "before": "x = ",
        "after": "\ny = 2\n",
    }
    return Sample(id=str(number), language="python", scenario="line", name="shop.py", **options | changes)


class Given:
    """A benchmark of given samples; `score` may be anything."""

    name = "given"
    protocol = "Made for a test."
    metrics: Sequence[Metric] = (Metric("exact", "exact match"),)

    def __init__(
        self,
        samples: Sequence[Sample],
        score: Callable[[Sample, Output], Mapping[str, float | None]] = lambda sample, output: {
            "exact": float(output.text == sample.wanted)
        },
    ) -> None:
        self._samples = samples
        self.score = score

    def load(self, limit: int, seed: int) -> Loaded:
        return Loaded(self._samples)


class Recorded:
    """An engine that answers by a function, and keeps what it was asked; `most` ran at once at most."""

    def __init__(
        self, reply: Callable[[int], str | Exception], model: Callable[[int], str] = lambda number: "scripted"
    ):
        self._reply = reply
        self._model = model
        self.requests: list[GenerationRequest] = []
        self.running = self.most = 0
        self.model = INFO
        self.state = None

    def start(self, loop: Any = None) -> None:
        return

    async def ready(self) -> ModelInfo:
        return INFO

    async def generate(self, request: GenerationRequest) -> Generation:
        number = len(self.requests)
        self.requests.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(3):
            await asyncio.sleep(0)
        self.running -= 1
        text = self._reply(number)
        if isinstance(text, Exception):
            raise text
        prompt = Prompt((1, 2, 3), "", "psm")
        return Generation(text, 2, "stop", prompt, self._model(number), first_token_ms=1.0, total_ms=4.0, prompt_ms=2.0)

    def close(self) -> None:
        return


Run = Callable[..., tuple[list[Result], Recorded]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a benchmark on a recorded engine, in memory."""

    def run(
        benchmark: Given,
        reply: Callable[[int], str | Exception] = lambda number: "1\n",
        *,
        asked: Asked | None = None,
        store: MemoryRun | None = None,
        model: Callable[[int], str] = lambda number: "scripted",
    ) -> tuple[list[Result], Recorded]:
        engine = Recorded(reply, model)

        def make(settings: Settings, on_event: OnEvent, asked: Asked) -> Any:
            return engine

        monkeypatch.setattr(harness, "_engine", make)
        monkeypatch.setattr(harness, "_WAITS_S", (0.0, 0.0))
        asked = asked or Asked(batch=1)
        prepared = prepare(benchmark, asked)
        kept = store if store is not None else MemoryRun(prepared.config)
        asyncio.run(answer(prepared, asked, kept))
        return kept.data.results, engine

    return run


def test_answers_are_cut_by_their_rule_and_scored(run: Run) -> None:
    results, engine = run(Given([sample(0), sample(1, stop="end")]), lambda number: "1\nz")
    assert [result.output.text for result in results] == ["1", "1\nz"]
    assert [result.scores["exact"] for result in results] == [1.0, 0.0]
    assert results[0].output == Output(("1",), "stop", 2, 3, 6.0, 3.0)
    assert engine.requests[0].stop is not None
    assert engine.requests[0].stop("1\n")
    assert engine.most == 1


def test_as_many_are_asked_at_once_as_the_command_says(run: Run) -> None:
    results, engine = run(Given([sample(number) for number in range(20)]), asked=Asked(batch=5))
    assert engine.most == 5
    assert len({request.document for request in engine.requests}) == 20
    assert [result.sample.id for result in results] == [str(number) for number in range(20)]


def test_the_prompt_is_the_products_with_the_samples_snippets() -> None:
    request_of: list[Prompt] = []
    engine = ScriptedEngine(lambda prompt: request_of.append(prompt) or "1")
    quoted = Snippet("one.py", 1, 2, 1.0, "similar", "def one():\n    return 1\n")

    async def ask() -> None:
        prepared = prepare(Given([sample(0, snippets=(quoted,), format="spm")]), Asked(batch=1))
        running = harness._Running(prepared, Asked(), engine, await engine.ready(), MemoryRun({}), lambda result: None)
        await running.run(prepared.todo(frozenset()), 1)

    asyncio.run(ask())
    engine.close()
    (prompt,) = request_of
    assert prompt.format == "spm"
    assert prompt.snippets == (quoted,)
    assert "def one()" in prompt.text
    assert prompt_settings(sample(0), "auto").max_tokens == 16_384
    assert prompt_settings(sample(0, format="spm"), "psm").format == "psm"


def test_an_error_of_one_sample_is_kept_and_the_others_go_on(run: Run) -> None:
    results, _ = run(
        Given([sample(number) for number in range(3)]), lambda number: EngineError("no room") if number == 1 else "1"
    )
    assert [result.output.error for result in results] == ["", "no room", ""]
    assert results[1].scores == {}


def test_a_metric_that_fails_costs_its_sample(run: Run) -> None:
    def score(sample: Sample, output: Output) -> Mapping[str, float | None]:
        if sample.id == "1":
            raise ZeroDivisionError("division by zero")
        return {"exact": float("nan"), "other": 2}

    results, _ = run(Given([sample(0), sample(1)], score))
    assert results[0].scores == {"exact": None, "other": 2.0}
    assert results[1].output.error == "it could not be scored: division by zero"


def test_several_answers_are_drawn_from_seeds_of_their_own(run: Run) -> None:
    drawn = sample(0, extra={"draws": 3, "temperature": 0.8, "top_p": 0.95})
    results, engine = run(Given([drawn, sample(1)]), str)
    assert results[0].output.texts == ("0", "1", "2")
    assert results[0].output.tokens == 6
    first = engine.requests[:3]
    assert {(request.temperature, request.top_p) for request in first} == {(0.8, 0.95)}
    assert len({request.seed for request in first}) == 3
    assert (engine.requests[3].temperature, engine.requests[3].seed) == (0.0, None)
    _, again = run(Given([drawn, sample(1)]), str)
    assert [request.seed for request in again.requests[:3]] == [request.seed for request in first]


def test_a_server_that_is_away_for_a_moment_is_asked_again(run: Run) -> None:
    away = RemoteError("the server refuses the connection", down=True)
    results, engine = run(Given([sample(0)]), lambda number: away if number < 2 else "1")
    assert results[0].output.text == "1"
    assert len(engine.requests) == 3


def test_a_server_that_asks_to_wait_is_asked_again_after_that_time(run: Run) -> None:
    replies: list[str | Exception] = [RemoteError("too many requests", down=True, wait_s=0.3), "1\n"]
    began = time.monotonic()
    ((result,), _) = run(Given([sample(0)]), lambda number: replies.pop(0))
    assert time.monotonic() - began >= 0.3
    assert result.output.text == "1"


def test_a_server_that_stays_away_stops_the_run_and_keeps_what_is_there(run: Run) -> None:
    store = MemoryRun({})
    away = RemoteError("the server refuses the connection", down=True)
    with pytest.raises(RunStopped, match="refuses the connection"):
        run(Given([sample(number) for number in range(5)]), lambda number: "1" if number < 2 else away, store=store)
    assert store.done == {"0", "1"}
    results, engine = run(Given([sample(number) for number in range(5)]), store=store)
    assert (len(results), len(engine.requests)) == (5, 3)


def test_a_disk_that_is_full_stops_the_run(run: Run) -> None:
    class Full(MemoryRun):
        def add(self, number: int, result: Result) -> None:
            if number == 1:
                raise OSError(28, "No space left on device")
            super().add(number, result)

    store = Full({})
    with pytest.raises(OSError, match="No space left"):
        run(Given([sample(number) for number in range(200)]), store=store)
    assert 0 < len(store.done) < 200


def test_a_model_that_is_gone_stops_the_run(run: Run) -> None:
    with pytest.raises(ModelError, match="broken"):
        run(Given([sample(0)]), lambda number: ModelError("broken"))
    with pytest.raises(ModelError, match="scripted answers no more"):
        run(Given([sample(0)]), model=lambda number: "aix-mini")


def test_what_the_engine_warns_of_is_told_and_stands_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(Recorded):
        """Runs short of memory with its first answer."""

        def __init__(self, on_event: OnEvent) -> None:
            super().__init__(self.reply)
            self._tell = on_event

        def reply(self, number: int) -> str:
            if number == 0:
                self._tell(LoadEvent("warning", "memory ran out; prompts are shorter now"))
            return "1"

    def make(settings: Settings, on_event: OnEvent, asked: Asked) -> Any:
        return Short(on_event)

    monkeypatch.setattr(harness, "_engine", make)
    prepared = prepare(Given([sample(0), sample(1)]), Asked())
    store, told = MemoryRun(prepared.config), list[str]()
    asyncio.run(answer(prepared, Asked(), store, on_warning=told.append))
    assert told == store.config["notes"] == ["memory ran out; prompts are shorter now"]
    assert len(store.done) == 2


def test_a_run_is_not_gone_on_with_by_another_model(run: Run) -> None:
    store = MemoryRun({"answered_by": {"name": "other"}})
    with pytest.raises(ValueError, match="the answers so far are those of other"):
        run(Given([sample(0)]), store=store)


def test_what_makes_a_run_what_it_is(tmp_path: Path) -> None:
    config = prepare(Given([sample(0)]), Asked()).config
    assert (config["model"], config["engine"], config["samples"]) == ("aix-mini", "local", 1)
    assert config["metrics"][0]["name"] == "exact"
    assert prepare(Given([sample(0, wanted="2")]), Asked()).config["data"] != config["data"]
    assert prepare(Given([sample(0)]), Asked()).config == config
    with pytest.raises(ModelError, match="there is no model 'nothing'"):
        prepare(Given([sample(0)]), Asked(model="nothing"))
    with pytest.raises(DataError, match="no sample"):
        prepare(Given([]), Asked())
    with pytest.raises(ValueError, match="two samples have the same id"):
        prepare(Given([sample(0), sample(0)]), Asked())


def test_a_server_has_to_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("AIX_LSP_REMOTE__URL", raising=False)
    with pytest.raises(ModelError, match="no server is set"):
        prepare(Given([sample(0)]), Asked(engine="remote"))
    monkeypatch.setenv("AIX_LSP_REMOTE__URL", "http://127.0.0.1:1")
    config = prepare(Given([sample(0)]), Asked(engine="remote", model="coder")).config
    assert (config["model"], config["engine"], config["weights"]) == ("coder", "remote", "")
    with pytest.raises(ModelError, match="adapter"):
        prepare(Given([sample(0)]), Asked(engine="remote", adapter=tmp_path))
