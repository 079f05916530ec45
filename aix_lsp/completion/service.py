"""The flow of one completion, from a request to items:

    policy -> cache -> debounce -> model -> retrieval -> prompt -> engine -> confidence -> fitting -> items

Editors, the command line, benchmarks and evaluations all come through here, so a score describes the product.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from aix_lsp.completion.answer import continue_selected, from_cache, from_run, refused, text_as_asked, with_items
from aix_lsp.completion.cache import Hit, OfferCache
from aix_lsp.completion.clock import Stages
from aix_lsp.completion.confidence import SHORTENED, gate
from aix_lsp.completion.debounce import Debounce
from aix_lsp.completion.in_flight import InFlight, Ran, Run, TextNow
from aix_lsp.completion.job import job_for
from aix_lsp.completion.next_request import IDLE_SECONDS, NextRequest, Prepared
from aix_lsp.completion.offer import Entry, Left, offers_for
from aix_lsp.completion.place import place_at, surroundings
from aix_lsp.completion.policy import Decision, decide
from aix_lsp.completion.retriever import NoRetrieval as NoRetrieval
from aix_lsp.completion.retriever import Retriever as Retriever
from aix_lsp.engine.base import Engine, EngineError, Superseded
from aix_lsp.logs import fields, said
from aix_lsp.settings import Settings
from aix_lsp.types import CompletionItem, CompletionRequest, CompletionResult, ModelInfo, Snippet, Source, Span

logger = logging.getLogger(__name__)


class CompletionService:
    """Answers completion requests with one engine and one source of snippets. Lives on the event loop."""

    def __init__(
        self,
        engine: Engine,
        retriever: Retriever,
        idle_seconds: float = IDLE_SECONDS,
        *,
        client: str = "",
        client_waits: bool = False,
    ) -> None:
        """After so many idle seconds the next request is prepared. `client` is what the editor calls itself."""
        self._engine = engine
        self._retriever = retriever
        self._cache = OfferCache(retriever)
        self._in_flight = InFlight()
        self._next = NextRequest(self._prepare, idle_seconds)
        self._debounce = Debounce(client, waits=client_waits)
        self._asked = 0
        self._latest: tuple[CompletionRequest, CompletionItem] | None = None
        self.runs = 0
        """Generations begun for requests; those begun ahead of any are `background_runs`."""
        self.background_runs = 0

    def close(self) -> None:
        """End what runs, and prepare nothing any more."""
        self._next.drop()
        self._in_flight.close()

    def closed(self, uri: str) -> None:
        """A document was closed: let go of its text, and free the model of it."""
        self._next.drop(uri)
        self._in_flight.drop(uri)
        self._cache.forget(uri)
        if self._latest is not None and self._latest[0].document.uri == uri:
            self._latest = None

    async def complete(
        self,
        request: CompletionRequest,
        settings: Settings,
        on_text: Callable[[str], None] | None = None,
        text_now: TextNow | None = None,
    ) -> CompletionResult:
        """Answer one request. `on_text` gets the raw text as it grows. `text_now` tells the document's text, so that a
        cancel by an editor whose user types on in agreement leaves the model at work for the request that follows.

        Raises Superseded when a newer request took the model, CancelledError when the caller cancels. Every
        other reason for an empty answer is in the result's `reason`.
        """
        stages = Stages()
        self._next.drop()
        number = self._asked = self._asked + 1
        self._note_typing(request)
        decision, reason = self._policy(request, settings)
        debugs = logger.isEnabledFor(logging.DEBUG)
        if reason:
            return refused(reason, stages)
        asked = continue_selected(request)
        hit = self._look_up(asked, settings)
        stages.end("cache")
        if debugs:
            known_from = hit.source if hit is not None else "nowhere"
            logger.debug(
                "decided", extra=fields(amount=decision.amount, known=known_from, ms=round(stages.milliseconds(), 2))
            )
        if hit is not None and (request.trigger == "automatic" or hit.is_whole):
            left, result = hit.left, from_cache(hit, stages)
            entry = hit.entry
        else:
            # what ends where the model is unsure would stand in the way of the whole, which is wanted now
            known = hit.left if hit is not None and SHORTENED not in hit.entry.result.changes else ()
            now = partial(text_as_asked, request, text_now) if text_now is not None else None
            ran, source, left = await self._ask_model(asked, decision, settings, stages, known, on_text, now)
            if ran.entry is not None:
                entry, result = ran.entry, from_run(ran, ran.entry.result, source, stages)
            elif hit is not None and hit.left:
                entry, left, result = hit.entry, hit.left, from_cache(hit, stages)
            else:
                return ran.result or refused("the model was not asked", stages)
        entry.prepared = False
        result = with_items(result, request, left if request.trigger == "invoked" else left[:1])
        if result.items and number == self._asked:
            self._latest = request, result.items[0]
            if settings.completion.prepare_next:
                self._next.prepare(request, result.items[0], entry, settings, text_now, below=self._is_free(settings))
        return result

    def _note_typing(self, request: CompletionRequest) -> None:
        """Tell the debounce how it goes on: by a key, or because the latest offer was accepted."""
        latest, self._latest = self._latest, None
        if latest is not None and request.document.uri == latest[0].document.uri:
            (before, item), offset = latest, request.offset
            is_there = request.document.text.startswith(item.text, item.start)
            if is_there and offset == item.start + len(item.text) > before.offset + 1:
                self._debounce.accepted()
        if request.trigger == "automatic":
            self._debounce.asked()

    def _policy(self, request: CompletionRequest, settings: Settings) -> tuple[Decision, str]:
        """How much to offer, or why nothing."""
        decision = decide(request, settings.completion)
        if not decision.answer:
            return decision, decision.reason
        silence = self._retriever.silence(request.document)
        return decision, silence.reason if silence.holds_for(request.trigger) else ""

    def _look_up(self, asked: CompletionRequest, settings: Settings) -> Hit | None:
        """What is known of this place without asking anybody."""
        model = self._engine.model
        if model is None or not settings.completion.reuse:
            return None
        return self._cache.find(asked.document, asked.offset, settings, model.name)

    async def _ask_model(
        self,
        asked: CompletionRequest,
        decision: Decision,
        settings: Settings,
        stages: Stages,
        known: tuple[Left, ...],
        on_text: Callable[[str], None] | None,
        text_now: TextNow | None,
    ) -> tuple[Ran, Source, tuple[Left, ...]]:
        """What a generation came to, one that runs already if it will do, and what of it is left at this place."""
        candidates = settings.completion.candidates if asked.trigger == "invoked" else 1
        while True:
            source: Source = "joined"
            run = self._in_flight.join(asked, settings, candidates) if settings.completion.reuse else None
            if run is None:
                source = "model"
                work = partial(self._run, decision=decision, stages=stages, known=known)
                run = self._in_flight.start(asked, settings, candidates, work)
            logger.debug("waits for a run", extra=fields(source=source, run=run.request_id))
            ran = await run.wait(asked, on_text, text_now)
            if ran is None:
                continue  # what was typed turned out to be something else
            if ran.entry is None:
                return ran, source, ()
            reached = ran.entry.reached(asked.document, asked.offset)
            left = ran.entry.left(asked.document, asked.offset, reached) if reached is not None else []
            if left or source == "model" or (reached is not None and reached.is_the_origin):
                return ran, source, tuple(left)

    async def _run(self, run: Run, *, decision: Decision, stages: Stages, known: Sequence[Left]) -> Ran:
        """From the wait for the next key to an entry that can be kept. `known` are offers that are shown at this place
        already, and come first."""
        asked, settings = run.request, run.settings
        new_line = not surroundings(asked.document.text, asked.offset).before.strip()
        wait = self._debounce.delay(asked.trigger, settings.completion, new_line) - stages.milliseconds() / 1000
        if wait > 0:
            await asyncio.sleep(wait)
        stages.end("debounce")
        try:
            # not wait_for: it may swallow a cancel that comes as the model gets ready (Python 3.11)
            async with asyncio.timeout(settings.model.load_wait_s or 0.001):
                model = await self._engine.ready()
        except TimeoutError:
            return Ran(result=refused("the model is still loading", stages))
        except EngineError as error:
            return Ran(result=refused(str(error), stages, failed=True))
        stages.end("load")
        if silent := _unknown_language(asked, model, settings):
            return Ran(result=refused(silent, stages, model=model.name))
        snippets: Sequence[Snippet] = ()
        if settings.retrieval.enabled and settings.retrieval.snippets:
            snippets = tuple(self._retriever.snippets(asked.document, asked.offset, settings))
        stages.end("retrieval")
        if logger.isEnabledFor(logging.DEBUG):
            times = {span.name: _milliseconds(span) for span in stages.spans[-3:]}
            logger.debug("asks the model", extra=fields(snippets=len(snippets), **times))
        try:
            return await self._generate(run, decision, snippets, stages, known)
        except Superseded:
            raise
        except EngineError as error:
            return Ran(result=refused(str(error), stages, failed=True, snippets=snippets))

    async def _generate(
        self,
        run: Run,
        decision: Decision,
        snippets: Sequence[Snippet],
        stages: Stages,
        known: Sequence[Left] = (),
        *,
        ahead: bool = False,
    ) -> Ran:
        """Prompt, engine, confidence and fitting. `ahead`: nobody has asked yet."""
        asked, settings, limits = run.request, run.settings, run.settings.completion
        stamp = self._retriever.stamp(asked.document, snippets)
        place = place_at(asked.document, asked.offset, decision.amount, limits.max_lines)
        self.runs += not ahead
        self.background_runs += ahead
        generation = await self._engine.generate(job_for(run, place, decision, snippets, ahead=ahead))
        stages.end_generation(generation)
        if not ahead:
            self._debounce.answered((generation.queue_ms + generation.prompt_ms + generation.total_ms) / 1000)
        gated = gate(generation, place, self._engine.model, limits, asked.trigger)
        unfinished = generation.finish in ("length", "timeout") and gated.text == generation.text
        texts = [(gated.text, unfinished), *((text, False) for text in generation.alternatives)]
        offers, changes = offers_for(texts, place, known=known, limit=run.candidates)
        result = CompletionResult(
            reason="" if offers else gated.reason or "the model had nothing to add here",
            snippets=generation.prompt.snippets,
            model=generation.model,
            raw=generation.text,
            changes=(gated.change, *changes) if gated.change else changes,
            amount=decision.amount,
            finish=generation.finish,
            confidence=gated.confidence,
        )
        entry = Entry(run.origin, decision.amount, limits.max_lines, settings, offers, result, tuple(snippets), stamp)
        entry.whole, entry.prepared = asked.trigger == "invoked", ahead
        if limits.reuse and (offers or generation.finish != "timeout"):
            self._cache.put(entry)
        stages.end("fit")
        if logger.isEnabledFor(logging.DEBUG):
            rules, kept = said(", ".join(result.changes)), gated.confidence and round(gated.confidence, 3)
            logger.debug("fitted", extra=fields(offers=len(offers), rules=rules, confidence=kept, ahead=ahead))
        return Ran(entry, None, generation, tuple(stages.spans))

    async def _prepare(self, after: CompletionRequest, shown: Entry, settings: Settings) -> Prepared:
        """Work out the answer to a request that nobody has made yet, with the snippets of the entry that is shown."""
        decision, reason = self._policy(after, settings)
        model = self._engine.model
        if reason or model is None or _unknown_language(after, model, settings):
            return "nothing to know"
        if self._retriever.stamp(after.document, shown.snippets) != shown.stamp:
            return "nothing to know"  # the request will bring others
        hit = self._look_up(after, settings)
        if hit is not None:
            return "offer" if hit.left else "nothing to add"
        logger.debug("prepares what comes next")
        ran = await self._generate(Run(after, settings), decision, shown.snippets, Stages(), ahead=True)
        if ran.entry is None or not settings.completion.reuse:
            return "nothing to know"
        return "offer" if ran.entry.offers else "nothing to add"

    def _is_free(self, settings: Settings) -> bool:
        """Whether more than what follows an accept may be worked out ahead: not on a server that others use too, or
        that is paid for."""
        model = self._engine.model
        return settings.completion.reuse and model is not None and model.dtype != "remote"


def _milliseconds(span: Span) -> float:
    """How long a stage took that `Stages` has in seconds."""
    return round((span.end - span.start) * 1000, 1)


def _unknown_language(request: CompletionRequest, model: ModelInfo, settings: Settings) -> str:
    """Why a model that knows a few languages stays silent in another, unless it is asked explicitly."""
    language = request.document.language_id
    if request.trigger == "invoked" or settings.completion.other_languages:
        return ""
    if not model.languages or not language or language in model.languages:
        return ""
    return f"{model.name} knows {', '.join(model.languages)} only, not {language}; ask explicitly to try it"
