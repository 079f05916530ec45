"""Asks the whole service at the places of a plan, one way of answering after the other, and scores what it offers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aix_lsp.completion.confidence import KEPT_BACK, SHORTENED
from aix_lsp.completion.place import place_at
from aix_lsp.completion.postprocess import fit
from aix_lsp.completion.service import CompletionService
from aix_lsp.engine.base import EngineError, ModelError
from aix_lsp.evaluation.benchmark import Output, Result, Sample
from aix_lsp.evaluation.one_model import noting, only, tell_model
from aix_lsp.evaluation.run_folder import Store, unanswered
from aix_lsp.evaluation.workspace_plan import Plan, Project, Way, settings_of
from aix_lsp.evaluation.workspace_scores import Offers, scores_of
from aix_lsp.settings import Settings
from aix_lsp.types import CompletionRequest, CompletionResult, DocumentSnapshot, ModelInfo
from aix_lsp.uris import path_to_uri

OFFERED: Final = "offered"
SHORTER: Final = "shortened by the gate"
HELD: Final = "held back by the gate"
NOTHING: Final = "nothing to add"
"""How an answer ended (`Output.finish`)."""

UNCALIBRATED: Final = (
    "has no calibration, so the gate holds nothing of it back; beside a model that has one compare what would be "
    "were there no gate, or ask with --no-gate"
)

_FAILURES_IN_A_ROW: Final = 5


async def answer(
    plan: Plan,
    way: Way,
    store: Store,
    *,
    on_result: Callable[[Result], None] = lambda result: None,
    on_warning: Callable[[str], None] = lambda message: None,
) -> None:
    """Ask one way what `store` lacks, and keep each result there as soon as it is scored. `on_warning` hears what the
    engine has to say meanwhile.

    Raises ModelError when the model cannot be loaded or another one takes its place, EngineError when nothing is
    answered any more.
    """
    left = unanswered(plan.samples, store.done)
    if not left:
        return
    settings = settings_of(way, plan.wanted)
    warn = noting(store, on_warning)
    async with only(settings, on_warning=warn) as (engine, info):
        tell_model(store, info, threshold=None if info.calibration is None else info.calibration.threshold)
        note = f"{info.name} {UNCALIBRATED}"
        if plan.wanted.gate and info.calibration is None and note not in store.config.get("notes", ()):
            warn(note)
        services = {group: CompletionService(engine, project.context) for group, project in plan.projects.items()}
        failures = 0
        try:
            for number, sample in left:
                group = sample.extra["group"]
                result = await _answer(services[group], plan.projects[group], sample, settings, info)
                failures = failures + 1 if result.output.error else 0
                if failures >= _FAILURES_IN_A_ROW:
                    raise EngineError(f"{failures} answers failed one after the other: {result.output.error}")
                store.add(number, result)
                on_result(result)
        finally:
            for service in services.values():
                service.close()


async def _answer(
    service: CompletionService, project: Project, sample: Sample, settings: Settings, info: ModelInfo
) -> Result:
    path = project.root / sample.name
    document = DocumentSnapshot(path_to_uri(path), sample.before + sample.after, sample.language, 0, sample.name, path)
    request = CompletionRequest(document, len(sample.before))
    start = time.perf_counter()
    result = await service.complete(request, settings)
    milliseconds = (time.perf_counter() - start) * 1000
    if result.failed:
        return Result(sample, Output((), error=" ".join(result.reason.split()), milliseconds=milliseconds), {})
    if result.model and result.model != info.name:
        raise ModelError(f"{info.name} answers no more ({result.model} does); see what stands above")
    offers = _offers(request, result, settings)
    output = Output(
        # what the gate held back can be looked at
        texts=(offers.shown, offers.ungated) if offers.held_back else (offers.shown,),
        finish=_finish(result, offers),
        tokens=result.tokens,
        prompt_tokens=len(result.prompt.ids) if result.prompt is not None else 0,
        milliseconds=milliseconds,
        first_token_ms=result.timings.first_token,
    )
    return Result(sample, output, scores_of(sample, offers))


def _offers(request: CompletionRequest, result: CompletionResult, settings: Settings) -> Offers:
    """What is offered, and what would be if the gate were off: the same text of the model, fitted as a whole."""
    shown = result.items[0].text if result.items else ""
    if not {KEPT_BACK, SHORTENED}.intersection(result.changes) or result.amount is None:
        return Offers(shown, shown)
    place = place_at(request.document, request.offset, result.amount, settings.completion.max_lines)
    place = replace(place, unfinished=result.finish in ("length", "timeout"))
    return Offers(shown, fit(result.raw, place).text)


def _finish(result: CompletionResult, offers: Offers) -> str:
    if offers.shown.strip():
        return SHORTER if SHORTENED in result.changes and offers.held_back else OFFERED
    if offers.held_back:
        return HELD
    return NOTHING if result.model else result.reason
