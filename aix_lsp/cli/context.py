"""`aix-lsp context`: what the model would see at a place, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aix_lsp.cli.setup import find_place, open_workspace, read_settings
from aix_lsp.completion.policy import decide
from aix_lsp.completion.report import snippet_to_dict
from aix_lsp.engine.select import prompt_model
from aix_lsp.prompt.build import build_prompt
from aix_lsp.types import CompletionRequest, Prompt, Snippet


def run(*, location: str, as_json: bool, model: str | None, workspace: Path | None, assignments: Sequence[str]) -> None:
    """Print snippets with scores and matching terms, and the prompt. Needs a tokenizer, not the weights."""
    settings = read_settings(model, assignments).settings
    place, folder = find_place(location, workspace)
    tokenizer, info = prompt_model(settings)
    retrieval = settings.retrieval.enabled and settings.retrieval.snippets > 0
    context = open_workspace(folder, settings)
    snippets = context.snippets(place.document, place.offset, settings) if retrieval else []
    decision = decide(CompletionRequest(place.document, place.offset, "invoked"), settings.completion)
    prompt = build_prompt(
        tokenizer,
        info,
        place.document,
        place.offset,
        snippets,
        settings.prompt,
        decision.max_new_tokens or settings.completion.max_tokens_line,
    )
    if as_json:
        print(json.dumps(_data(snippets, prompt, info.name, decision.amount), ensure_ascii=False))  # noqa: T201
    else:
        _show(snippets, prompt, info.name, decision.amount)


def _data(snippets: Sequence[Snippet], prompt: Prompt, model: str, amount: str) -> dict[str, Any]:
    return {
        "snippets": [{**snippet_to_dict(snippet), "terms": dict(snippet.terms)} for snippet in snippets],
        "prompt": {
            "text": prompt.text,
            "format": prompt.format,
            "tokens": len(prompt.ids),
            "parts": [{"role": part.role, "tokens": part.tokens, "label": part.label} for part in prompt.parts],
            "cut": list(prompt.cut),
        },
        "amount": amount,
        "model": model,
    }


def _show(snippets: Sequence[Snippet], prompt: Prompt, model: str, amount: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for snippet in snippets:
        console.print(
            Text(f"{snippet.path}:{snippet.start_line}-{snippet.end_line}", style="bold"),
            Text(", ".join([snippet.kind, f"score {snippet.score:.2f}", *snippet.notes])),
        )
        if snippet.terms:
            matching = ", ".join(f"{term} {share:.2f}" for term, share in snippet.terms)
            console.print(Text(f"  matches: {matching}", style="dim"))
        console.print(Text(snippet.text.rstrip("\n")))
        console.print()
    if not snippets:
        console.print("no snippets: nothing in the workspace shares words with this place\n")
    console.rule(f"{model}, {prompt.format}, {len(prompt.ids)} tokens, wants a {amount}")
    console.print(Text(prompt.text), soft_wrap=True)
    console.rule()
    for part in prompt.parts:
        console.print(Text(f"{part.tokens:6d} tokens  {part.role} {part.label}", style="dim"))
    for sentence in prompt.cut:
        console.print(Text(f"cut: {sentence}", style="yellow"))
