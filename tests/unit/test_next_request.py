"""While an offer is shown, the model reads what accepting it would ask for next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aix_lsp.completion.next_request import accepted
from aix_lsp.completion.service import CompletionService
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.settings import CompletionSettings, Settings
from aix_lsp.types import CompletionItem, CompletionRequest, DocumentSnapshot
from tests.unit.quotes import Quotes

SETTINGS = Settings(completion=CompletionSettings(debounce_ms=0))
MARKED = "def f(a, b):\n    return a +|\n"
URI = "file:///a.py"


class Desk:
    """An engine that says what it is told to, and a service with hardly any patience."""

    def __init__(self, engine: ScriptedEngine, idle_seconds: float) -> None:
        self.engine = engine
        self.quotes = Quotes()
        self.service = CompletionService(engine, self.quotes, idle_seconds)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0.005)

    def backgrounds(self) -> list[bool]:
        return [request.background for request in self.engine.requests]


@asynccontextmanager
async def desk(script: Any, idle_seconds: float = 0.0, **more: Any) -> AsyncIterator[Desk]:
    engine = ScriptedEngine(script, **more)
    engine.start(asyncio.get_running_loop())
    made = Desk(engine, idle_seconds)
    try:
        yield made
    finally:
        made.service.close()
        engine.close()


def request(marked: str = MARKED) -> CompletionRequest:
    offset = marked.index("|")
    return CompletionRequest(DocumentSnapshot(URI, marked.replace("|", "", 1), "python", 1, "a.py"), offset)


async def test_the_prompt_that_was_prepared_is_that_of_the_next_request() -> None:
    async with desk(" b + c") as here:
        asked = request()
        (item,) = (await here.service.complete(asked, SETTINGS)).items
        await here.until(lambda: len(here.engine.requests) == 2)
        assert here.quotes.asked == 1
        prepared = here.engine.requests[1]
        assert (prepared.background, prepared.max_new_tokens, prepared.document) == (True, 1, URI)
        await here.service.complete(accepted(asked, item), SETTINGS)
        assert here.backgrounds() == [False, True, False]
        assert here.engine.requests[0].document == URI
        assert here.engine.prompts[2].ids == here.engine.prompts[1].ids
        assert "return a + b +" in here.engine.prompts[1].text


def test_accepting_puts_the_offer_in_the_place_of_what_it_replaces() -> None:
    after = accepted(request("x = so|\ny\n"), CompletionItem("1", "sorted(a)", 4, 6))
    assert (after.document.text, after.offset) == ("x = sorted(a)\ny\n", 13)
    assert after.trigger == "automatic"


async def test_whoever_types_on_is_not_held_up() -> None:
    async with desk(" b", idle_seconds=0.05) as here:
        for _ in range(3):
            assert (await here.service.complete(request(), SETTINGS)).items
        await here.until(lambda: len(here.engine.requests) == 4)
        assert here.backgrounds() == [False, False, False, True]


async def test_another_request_takes_the_models_place() -> None:
    long = " b" + " c" * 500
    async with desk(lambda prompt: long if "a + b +" in prompt.text else " b + c", delay=0.01) as here:
        await here.service.complete(request(), SETTINGS)
        await here.until(lambda: len(here.engine.requests) == 2)
        assert "a + b +" in here.engine.prompts[1].text
        result = await here.service.complete(request("y = |\n"), SETTINGS)
        assert result.items
        assert not result.failed


@pytest.mark.parametrize(
    ("answer", "settings"),
    [
        ("", SETTINGS),
        (" b", Settings(completion=CompletionSettings(debounce_ms=0, prepare_next=False))),
        ([ValueError("broken")], SETTINGS),
    ],
)
async def test_nothing_is_prepared_without_an_offer_or_when_switched_off(answer: Any, settings: Settings) -> None:
    async with desk(answer) as here:
        await here.service.complete(request(), settings)
        await asyncio.sleep(0.05)
        assert len(here.engine.requests) == 1


async def test_a_declined_request_and_the_end_drop_it_too() -> None:
    off = Settings(completion=CompletionSettings(enabled=False))
    async with desk(" b", idle_seconds=0.02) as here:
        await here.service.complete(request(), SETTINGS)
        assert (await here.service.complete(request(), off)).items == ()
        await here.service.complete(request(), SETTINGS)
        here.service.close()
        await asyncio.sleep(0.06)
        assert here.backgrounds() == [False, False]
