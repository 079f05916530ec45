"""A service with an engine that says what it is told to, and somebody who types: for tests of reuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aix_lsp.completion.service import CompletionService
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.settings import CompletionSettings, Settings
from aix_lsp.types import CompletionRequest, CompletionResult, DocumentSnapshot, Prompt, TriggerKind
from tests.unit.quotes import Quotes

_BEGIN, _END = "▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>"
URI = "file:///a.py"


def settings(**completion: Any) -> Settings:
    """No wait, nothing worked out ahead, but as told."""
    values: dict[str, Any] = {"debounce": "fixed", "debounce_ms": 0, "prepare_next": False, **completion}
    return Settings(completion=CompletionSettings(**values))


def request(marked: str, trigger: TriggerKind = "automatic", **more: Any) -> CompletionRequest:
    """A request where the `|` stands."""
    offset = marked.index("|")
    uri, language = more.pop("uri", URI), more.pop("language", "python")
    document = DocumentSnapshot(uri, marked.replace("|", "", 1), language, 1, uri.rpartition("/")[2])
    return CompletionRequest(document, offset, trigger, **more)


class Desk:
    """Asks a service and looks at what the engine was asked."""

    def __init__(self, engine: ScriptedEngine, given: Settings, idle_seconds: float) -> None:
        self.engine = engine
        self.settings = given
        self.quotes = Quotes()
        self.service = CompletionService(engine, self.quotes, idle_seconds)

    async def ask(self, marked: str, trigger: TriggerKind = "automatic", **more: Any) -> CompletionResult:
        """The answer to a request where the `|` stands."""
        return await self.service.complete(request(marked, trigger, **more), self.settings)

    def send(self, marked: str, **more: Any) -> asyncio.Task[CompletionResult]:
        """The same, not waited for."""
        return asyncio.ensure_future(self.ask(marked, **more))

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.002)

    @property
    def runs(self) -> int:
        """How many requests have reached the model."""
        return len(self.engine.requests)

    def backgrounds(self) -> list[bool]:
        """Which of them were worked out ahead."""
        return [request.background for request in self.engine.requests]


@asynccontextmanager
async def desk(
    script: Any, given: Settings | None = None, *, idle_seconds: float = 0.0, **more: Any
) -> AsyncIterator[Desk]:
    """A desk with a started engine."""
    engine = ScriptedEngine(script, **more)
    engine.start(asyncio.get_running_loop())
    await engine.ready()
    made = Desk(engine, given or settings(), idle_seconds)
    try:
        yield made
    finally:
        made.service.close()
        engine.close()


def texts(result: CompletionResult) -> list[str]:
    """What is offered."""
    return [item.text for item in result.items]


def before_cursor(prompt: Prompt) -> str:
    """What stands before the cursor in a prompt, with what was taken back of it."""
    return prompt.text.rpartition(_BEGIN)[2].partition(_END)[0] + prompt.required


def by_ending(answers: Mapping[str, str]) -> Callable[[Prompt], str]:
    """A script: the answer of the first ending that the text before the cursor has."""

    def script(prompt: Prompt) -> str:
        before = before_cursor(prompt)
        return next((answer for ending, answer in answers.items() if before.endswith(ending)), "")

    return script
