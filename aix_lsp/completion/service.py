"""The flow of one completion, from a request to items: policy, retrieval, prompt, engine, postprocess.

Editors, the command line, benchmarks and evaluations all come through here, so a score describes the product.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from aix_lsp.completion.confidence import gate
from aix_lsp.completion.extent import stop_condition
from aix_lsp.completion.next_request import IDLE_SECONDS, NextRequest
from aix_lsp.completion.place import place_at
from aix_lsp.completion.policy import Decision, decide
from aix_lsp.completion.postprocess import fit
from aix_lsp.engine.base import Engine, EngineError, Superseded
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import Settings
from aix_lsp.types import (
    CompletionItem,
    CompletionRequest,
    CompletionResult,
    DocumentSnapshot,
    Generation,
    GenerationRequest,
    ModelInfo,
    Snippet,
    Timings,
)


class Retriever(Protocol):
    """Where snippets of other files come from."""

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """The best snippets for a place, best first; never from the document itself. Runs on the event loop."""
        ...


class NoRetrieval:
    """A workspace with nothing in it."""

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """No snippets."""
        return []


@dataclass(frozen=True, slots=True)
class _Clock:
    """Milliseconds since a request was dispatched."""

    start: float

    def now(self) -> float:
        return (time.perf_counter() - self.start) * 1000


class CompletionService:
    """Answers completion requests with one engine and one source of snippets."""

    def __init__(self, engine: Engine, retriever: Retriever, idle_seconds: float = IDLE_SECONDS) -> None:
        """After so many idle seconds the next request is prepared."""
        self._engine = engine
        self._retriever = retriever
        self._next = NextRequest(engine, idle_seconds)
        self._asked = 0

    def close(self) -> None:
        """Prepare nothing any more."""
        self._next.drop()

    async def complete(
        self, request: CompletionRequest, settings: Settings, on_text: Callable[[str], None] | None = None
    ) -> CompletionResult:
        """Answer one request. `on_text` gets the raw text as it grows.

        Raises Superseded when a newer request took the model, CancelledError when the caller cancels. Every
        other reason for an empty answer is in the result's `reason`.
        """
        clock = _Clock(time.perf_counter())
        self._next.drop()
        number = self._asked = self._asked + 1
        decision = decide(request, settings.completion)
        if not decision.answer:
            return CompletionResult(reason=decision.reason, timings=Timings(total=clock.now()))
        if request.trigger == "automatic" and settings.completion.debounce_ms:
            await asyncio.sleep(settings.completion.debounce_ms / 1000)
        try:
            model = await asyncio.wait_for(asyncio.shield(self._engine.ready()), settings.model.load_wait_s or 0.001)
        except TimeoutError:
            return CompletionResult(reason="the model is still loading", timings=Timings(total=clock.now()))
        except EngineError as error:
            return CompletionResult(reason=str(error), timings=Timings(total=clock.now()), failed=True)
        silent = _unknown_language(request, model)
        if silent:
            return CompletionResult(reason=silent, model=model.name, timings=Timings(total=clock.now()))
        effective = _continue_selected(request)
        snippets, result = await self._generate(effective, request, decision, settings, clock, on_text)
        if result.items and settings.completion.prepare_next and number == self._asked:
            self._next.prepare(request, result.items[0], snippets, settings)
        return result

    async def _generate(
        self,
        effective: CompletionRequest,
        request: CompletionRequest,
        decision: Decision,
        settings: Settings,
        clock: _Clock,
        on_text: Callable[[str], None] | None,
    ) -> tuple[Sequence[Snippet], CompletionResult]:
        document, offset = effective.document, effective.offset
        began = clock.now()
        snippets: list[Snippet] = []
        if settings.retrieval.enabled and settings.retrieval.snippets:
            snippets = self._retriever.snippets(document, offset, settings)
        retrieved = clock.now()
        limits = settings.completion
        place = place_at(document, offset, decision.amount, limits.max_lines)
        job = GenerationRequest(
            build_prompt=partial(
                build_prompt,
                document=document,
                offset=offset,
                snippets=snippets,
                settings=settings.prompt,
                max_new_tokens=decision.max_new_tokens,
            ),
            max_new_tokens=decision.max_new_tokens,
            temperature=limits.temperature,
            top_p=limits.top_p,
            seed=limits.seed,
            time_limit=limits.time_limit_ms / 1000,
            stop=stop_condition(place),
            on_text=on_text,
            document=document.uri,
        )
        try:
            generation = await self._engine.generate(job)
        except Superseded:
            raise
        except EngineError as error:
            times = Timings(retrieved - began, total=clock.now())
            return snippets, CompletionResult(reason=str(error), snippets=tuple(snippets), timings=times, failed=True)
        gated = gate(generation, place, self._engine.model, limits, request.trigger)
        unfinished = generation.finish in ("length", "timeout") and gated.text == generation.text
        fitted = fit(gated.text, replace(place, unfinished=unfinished))
        items: tuple[CompletionItem, ...] = ()
        if fitted.text.strip():
            start, selected = request.selected or (request.offset, "")
            items = (CompletionItem(uuid.uuid4().hex[:16], selected + fitted.text, start, request.offset),)
        return snippets, CompletionResult(
            items=items,
            reason="" if items else gated.reason or "the model had nothing to add here",
            snippets=generation.prompt.snippets,
            timings=_timings(retrieved, retrieved - began, generation, clock),
            model=generation.model,
            prompt=generation.prompt,
            raw=generation.text,
            changes=(gated.change, *fitted.changes) if gated.change else fitted.changes,
            finish=generation.finish,
            confidence=gated.confidence,
        )


def _timings(submitted: float, retrieval: float, generation: Generation, clock: _Clock) -> Timings:
    first = submitted + generation.queue_ms + generation.prompt_ms + generation.first_token_ms
    return Timings(retrieval, generation.prompt_ms, first, clock.now())


def _unknown_language(request: CompletionRequest, model: ModelInfo) -> str:
    """Why a model that knows a few languages stays silent in another, unless it is asked explicitly."""
    language = request.document.language_id
    if request.trigger == "invoked" or not model.languages or not language or language in model.languages:
        return ""
    return f"{model.name} knows {', '.join(model.languages)} only, not {language}; ask explicitly to try it"


def _continue_selected(request: CompletionRequest) -> CompletionRequest:
    """The request as if the entry selected in the suggest widget were typed already
    (LSP 3.18, SelectedCompletionInfo)."""
    if request.selected is None:
        return request
    start, text = request.selected
    document = request.document
    typed = document.text[:start] + text + document.text[request.offset :]
    return replace(request, document=replace(document, text=typed), offset=start + len(text))
