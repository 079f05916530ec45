"""How an answer is told: where it came from, and what it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from aix_lsp.completion.cache import Hit
from aix_lsp.completion.clock import Stages, spans_since, timings
from aix_lsp.completion.in_flight import Ran
from aix_lsp.completion.offer import Left
from aix_lsp.types import CompletionItem, CompletionRequest, CompletionResult, Source, Timings


def refused(reason: str, stages: Stages, **more: Any) -> CompletionResult:
    """No offer, and why."""
    spans = spans_since(stages.start, stages.spans)
    times = replace(timings(spans, stages.milliseconds()), first_token=0.0)
    return CompletionResult(reason=reason, timings=times, spans=spans, **more)


def from_cache(hit: Hit, stages: Stages) -> CompletionResult:
    """What was known already, without its items. Nothing was generated for it, so it has no prompt and no counts."""
    spans = spans_since(stages.start, stages.spans)
    return replace(hit.entry.result, source=hit.source, spans=spans, timings=Timings(total=stages.milliseconds()))


def from_run(ran: Ran, result: CompletionResult, source: Source, stages: Stages) -> CompletionResult:
    """What a generation came to, without its items."""
    generation = ran.generation
    spans = ran.spans if source == "model" else (*stages.spans, *ran.spans)
    spans = spans_since(stages.start, spans)
    result = replace(result, source=source, spans=spans, timings=timings(spans, stages.milliseconds()))
    if generation is None:
        return result
    return replace(
        result,
        prompt=generation.prompt,
        tokens=generation.tokens,
        reused_tokens=generation.reused_tokens,
        guessed_tokens=generation.guessed_tokens,
    )


def with_items(result: CompletionResult, request: CompletionRequest, left: Sequence[Left]) -> CompletionResult:
    """The answer with what is left of the offers as items. An entry that is selected in the suggest widget is part of
    the text and of the range (LSP 3.18, SelectedCompletionInfo)."""
    start, selected = request.selected or (request.offset, "")
    items = tuple(CompletionItem(item.id, selected + item.text, start, request.offset) for item in left)
    return replace(result, items=items, reason="" if items else result.reason)


def continue_selected(request: CompletionRequest) -> CompletionRequest:
    """The request as if the entry selected in the suggest widget were typed already."""
    if request.selected is None:
        return request
    start, text = request.selected
    document = request.document
    typed = document.text[:start] + text + document.text[request.offset :]
    return replace(request, document=replace(document, text=typed), offset=start + len(text))


def text_as_asked(request: CompletionRequest, text_now: Callable[[], str | None]) -> str | None:
    """The text that a request's document has now, as `continue_selected` would make it: the same as that of the request
    while somebody types on with the same entry selected. None when the document is closed."""
    now = text_now()
    if now is None or request.selected is None:
        return now
    behind = len(request.document.text) - request.offset
    moved = replace(request, document=replace(request.document, text=now), offset=max(len(now) - behind, 0))
    return continue_selected(moved).document.text
