"""The flow of one completion, with an engine that says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from aix_lsp.completion.debounce import Debounce
from aix_lsp.completion.policy import Silence
from aix_lsp.completion.service import CompletionService, NoRetrieval
from aix_lsp.engine.base import EngineError, Superseded
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.settings import CompletionSettings, ModelSettings, Settings
from aix_lsp.types import CompletionRequest, CompletionResult, DocumentSnapshot, ModelInfo, TriggerKind
from tests.unit.desk import settings
from tests.unit.quotes import Quotes

SETTINGS = Settings(completion=CompletionSettings(debounce="fixed", debounce_ms=0))
MARKED = "def f(a, b):\n    return a +|\n"


@asynccontextmanager
async def running(script: Any, **more: Any) -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine(script, **more)
    engine.start(asyncio.get_running_loop())
    try:
        yield engine
    finally:
        engine.close()


def request(marked: str = MARKED, trigger: TriggerKind = "invoked", **more: Any) -> CompletionRequest:
    offset = marked.index("|")
    document = DocumentSnapshot("file:///a.py", marked.replace("|", "", 1), more.pop("language", "python"), 1, "a.py")
    return CompletionRequest(document, offset, trigger, **more)


async def ask(script: Any, asked: CompletionRequest | None = None, settings: Settings = SETTINGS) -> CompletionResult:
    async with running(script) as engine:
        return await CompletionService(engine, NoRetrieval()).complete(asked or request(), settings)


async def test_an_offer_replaces_nothing_and_stands_at_the_cursor() -> None:
    result = await ask(" b\n\ndef h():")
    (item,) = result.items
    assert (item.text, item.start, item.end) == (" b", 27, 27)
    assert result.model == "scripted"
    assert result.reason == ""


async def test_nothing_to_add_is_said() -> None:
    result = await ask("\n")
    assert result.items == ()
    assert "nothing to add" in result.reason


async def test_snippets_are_quoted_in_the_prompt_and_reported() -> None:
    async with running(" b") as engine:
        result = await CompletionService(engine, Quotes()).complete(request(), SETTINGS)
    assert result.prompt is not None
    assert "def g(x):" in result.prompt.text
    assert [snippet.path for snippet in result.snippets] == ["other.py"]


async def test_a_refused_request_costs_no_retrieval_and_no_model() -> None:
    quotes = Quotes()
    async with running(" b") as engine:
        result = await CompletionService(engine, quotes).complete(request("x = | + 1", "automatic"), SETTINGS)
        assert engine.requests == []
    assert result.items == ()
    assert "follows the cursor" in result.reason
    assert quotes.asked == 0


async def test_a_model_of_few_languages_is_silent_in_others_unless_asked() -> None:
    info = ModelInfo("small", 1024, languages=("python",))
    async with running("x;", info=info) as engine:
        service = CompletionService(engine, NoRetrieval())
        silent = await service.complete(request("let a = |", "automatic", language="javascript"), SETTINGS)
        spoken = await service.complete(request("let a = |", "invoked", language="javascript"), SETTINGS)
    assert "python only" in silent.reason
    assert spoken.items[0].text == "x;"


async def test_other_languages_are_let_through_where_that_is_wanted() -> None:
    info = ModelInfo("small", 1024, languages=("python",))
    wanted = settings(other_languages=True)
    async with running("x;", info=info) as engine:
        service = CompletionService(engine, NoRetrieval())
        result = await service.complete(request("let a = |", "automatic", language="javascript"), wanted)
    assert result.items[0].text == "x;"


async def test_what_is_silent_by_itself_speaks_when_it_is_asked() -> None:
    quotes = Quotes()
    quotes.silent = Silence("this file is ignored")
    async with running(" b") as engine:
        service = CompletionService(engine, quotes)
        assert (await service.complete(request(trigger="automatic"), SETTINGS)).reason == "this file is ignored"
        assert engine.requests == []
        assert (await service.complete(request(trigger="invoked"), SETTINGS)).items
        quotes.silent = Silence("this text holds a key", always=True)
        assert (await service.complete(request(trigger="invoked"), SETTINGS)).reason == "this text holds a key"


async def test_an_answer_tells_where_it_came_from_and_what_it_took() -> None:
    async with running(" b") as engine:
        service = CompletionService(engine, Quotes())
        result = await service.complete(request(), SETTINGS)
        known = await service.complete(request(), SETTINGS)
        refused = await service.complete(request("x = | + 1", "automatic"), SETTINGS)
    assert (result.source, result.amount, result.finish, result.tokens) == ("model", "line", "end", 2)
    names = ["cache", "debounce", "load", "retrieval", "queue", "prompt", "first token", "decode", "fit"]
    assert [span.name for span in result.spans] == names
    assert all(before.end <= after.start for before, after in pairwise(result.spans))
    assert all(0 <= span.start <= span.end <= result.timings.total for span in result.spans)
    assert (known.source, known.amount, known.tokens, known.prompt) == ("cached", "line", 0, None)
    assert known.snippets == result.snippets
    assert [span.name for span in known.spans] == ["cache"]
    assert (refused.source, refused.amount, refused.spans) == ("none", None, ())


async def test_what_is_known_is_offered_where_the_model_fails() -> None:
    async with running([" b", EngineError("the GPU is out of memory")]) as engine:
        service = CompletionService(engine, NoRetrieval())
        shown = await service.complete(request(trigger="automatic"), SETTINGS)
        assert (await service.complete(request(), SETTINGS)).items == shown.items
        assert len(engine.requests) == 2


class Noted(Debounce):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def asked(self) -> None:
        self.told.append("asked")

    def answered(self, seconds: float) -> None:
        assert seconds >= 0
        self.told.append("answered")

    def accepted(self) -> None:
        self.told.append("accepted")


async def test_the_debounce_hears_of_keys_answers_and_accepts() -> None:
    async with running(" b + c") as engine:
        service = CompletionService(engine, NoRetrieval())
        noted = service._debounce = Noted()
        off = settings(reuse=False)
        steps = {"return a +|\n": ["asked", "answered"], "return a + |\n": ["asked", "answered"]}
        steps["return a +  b + c|\n"] = ["accepted", "asked", "answered"]
        for marked, told in steps.items():
            noted.told = []
            await service.complete(request(marked, "automatic"), off)
            assert noted.told == told
        noted.told = []
        await service.complete(request("return a|\n"), off)
        assert noted.told == ["answered"]


async def test_the_selected_entry_counts_as_typed() -> None:
    seen: list[str] = []

    def script(prompt: Any) -> str:
        seen.append(prompt.text + prompt.required)
        return "(a)"

    result = await ask(script, request("x = so|\n", selected=(4, "sorted")))
    assert "x = " in seen[0]
    assert seen[0].endswith("sorted")
    (item,) = result.items
    assert (item.text, item.start, item.end) == ("sorted(a)", 4, 6)


async def test_a_loading_model_is_waited_for_up_to_the_limit() -> None:
    impatient = SETTINGS.model_copy(update={"model": ModelSettings(load_wait_s=0.02)})
    async with running(" b", load_delay=0.3) as engine:
        service = CompletionService(engine, NoRetrieval())
        assert "still loading" in (await service.complete(request(), impatient)).reason
        assert (await service.complete(request(), SETTINGS)).items


async def test_an_engines_error_is_the_reason_for_an_empty_answer() -> None:
    result = await ask([EngineError("the GPU is out of memory")])
    assert result.items == ()
    assert "out of memory" in result.reason


async def test_the_latest_request_wins() -> None:
    async with running(" b" * 200, delay=0.01) as engine:
        service = CompletionService(engine, NoRetrieval())
        first = asyncio.ensure_future(service.complete(request(), SETTINGS))
        await asyncio.sleep(0.05)
        second = asyncio.ensure_future(service.complete(request("x = |\n"), SETTINGS))
        with pytest.raises(Superseded):
            await first
        second.cancel()


async def test_debounce_holds_automatic_requests_only() -> None:
    slow = Settings(completion=CompletionSettings(debounce="fixed", debounce_ms=150, reuse=False))
    loop = asyncio.get_running_loop()
    async with running(" b") as engine:
        service = CompletionService(engine, NoRetrieval())
        began = loop.time()
        await service.complete(request(trigger="invoked"), slow)
        explicit = loop.time() - began
        began = loop.time()
        await service.complete(request(trigger="automatic"), slow)
        assert explicit < 0.15 <= loop.time() - began


@pytest.mark.parametrize(
    ("marked", "generated", "offered"),
    [
        ("def f(a):|\n", "\n    b = a\n    return b\n\n\ndef g():\n    pass\n", "\n    b = a\n    return b"),
        ("x = f(|)\n", "a)", "a"),
        ("def f():\n    |\r\n", "a = 1", "a = 1"),
    ],
)
async def test_generation_stops_and_text_is_fitted(marked: str, generated: str, offered: str) -> None:
    assert (await ask(generated, request(marked))).items[0].text == offered


async def test_text_can_be_followed_while_it_grows() -> None:
    seen: list[str] = []
    follow: Callable[[str], None] = seen.append
    async with running(" b and c", delay=0.005) as engine:
        await CompletionService(engine, NoRetrieval()).complete(request(), SETTINGS, follow)
    assert seen
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))


async def test_timings_add_up() -> None:
    timings = (await ask(" b")).timings
    assert 0 <= timings.prompt <= timings.first_token <= timings.total
