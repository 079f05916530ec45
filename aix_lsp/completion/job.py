"""What the engine is asked for one place."""

from __future__ import annotations

from collections.abc import Sequence

from aix_lsp.completion.extent import stop_condition
from aix_lsp.completion.in_flight import Run
from aix_lsp.completion.place import Place
from aix_lsp.completion.policy import Decision
from aix_lsp.logs import request_id
from aix_lsp.prompt.build import build_prompt
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Snippet, Tokenizer


def job_for(
    run: Run, place: Place, decision: Decision, snippets: Sequence[Snippet], *, ahead: bool = False
) -> GenerationRequest:
    """The job of a run. `ahead` is for what nobody has asked yet: with nowhere to keep an answer, the prompt is read
    and no more."""
    asked, settings, limits = run.request, run.settings, run.settings.completion

    def prompt(tokenizer: Tokenizer, model: ModelInfo) -> Prompt:
        run.begin()
        return build_prompt(
            tokenizer,
            model,
            document=asked.document,
            offset=asked.offset,
            snippets=snippets,
            settings=settings.prompt,
            max_new_tokens=decision.max_new_tokens,
        )

    return GenerationRequest(
        build_prompt=prompt,
        max_new_tokens=1 if ahead and not limits.reuse else decision.max_new_tokens,
        temperature=limits.temperature,
        top_p=limits.top_p,
        seed=limits.seed,
        time_limit=limits.time_limit_ms / 1000,
        stop=stop_condition(place),
        on_text=run.streamed,
        document=asked.document.uri,
        candidates=run.candidates,
        background=ahead,
        request_id=request_id.get(),
    )
