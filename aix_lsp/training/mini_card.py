"""The model card of a model made by a recipe: what it is, what it learned from, how, and what was measured."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from aix_lsp.training.launch import progress
from aix_lsp.training.recipe import Recipe

EVALUATION = "evaluation.md"
"""A file in the folder of a run whose text (the table of `aix-lsp eval infilling`) goes into the card."""


def card_of(recipe: Recipe, folder: Path, config: Any, parameters: int) -> str:
    """The card as Markdown, from what lies in the run's `folder`: corpus, progress, evaluation."""
    corpus = _read(folder / "corpus" / "corpus.json")
    entries = [entry for entry, _ in progress(folder / "run" / "progress.jsonl")]
    parts = [_head(recipe, config, parameters), _prompt(recipe), _data(recipe, corpus), _training(recipe, entries)]
    evaluation = folder / EVALUATION
    if evaluation.is_file():
        parts.append("## Measured\n\n" + evaluation.read_text(encoding="utf-8").strip())
    parts.append(_LIMITS)
    return "\n\n".join(parts) + "\n"


def _head(recipe: Recipe, config: Any, parameters: int) -> str:
    tied = "tied embeddings" if config.tie_word_embeddings else "an output layer of its own"
    return f"""---
language: [code]
tags: [{", ".join(recipe.export.languages)}, fill-in-the-middle, code-completion, llama]
license: {recipe.export.licence.lower()}
---
# {recipe.name}

A small completion model with the architecture and the prompt format of aiXcoder-7B, for processors.
No weight of a model by others is in it.

| | |
|---|---|
| architecture | `LlamaForCausalLM`: {config.num_hidden_layers} layers, hidden {config.hidden_size}, \
{config.num_attention_heads} heads, {config.num_key_value_heads} key-value heads, SwiGLU {config.intermediate_size}, \
{tied} |
| parameters | {parameters:,}, bfloat16 |
| context | {config.max_position_embeddings} tokens |
| vocabulary | {config.vocab_size:,} pieces, sentencepiece BPE with byte fallback |"""


def _prompt(recipe: Recipe) -> str:
    windows = recipe.windows
    return f"""## Prompt

- PSM: `<s>▁<AIX-SPAN-PRE>{{header}}{{prefix}}▁<AIX-SPAN-POST>{{suffix}}▁<AIX-SPAN-MIDDLE>`, then the middle and `</s>`
  ({windows.psm:.0%} of the windows; several holes in each)
- SPM: `<s>▁<AIX-SPAN-PRE>▁<AIX-SPAN-POST>{{suffix}}▁<AIX-SPAN-MIDDLE>{{header}}{{prefix}}`, then the same \
({windows.spm:.0%})
- left to right: `<s>{{header}}{{text}}</s>`
- snippets of other files stand in front, each as `<s>{{header}}{{lines}}</s>` ({windows.snippets:.0%} of the windows)

The header is `# the file path is: PATH` and `# the code file is written by Python`, a line each."""


def _data(recipe: Recipe, corpus: dict[str, Any]) -> str:
    projects = corpus.get("projects", [])
    licences = Counter(project.get("licence") or "not recognised" for project in projects)
    files = sum(project.get("files", 0) for project in projects)
    characters = sum(project.get("characters", 0) for project in projects)
    listed = ", ".join(f"{licence} ({number})" for licence, number in licences.most_common())
    names = ", ".join(sorted(project.get("name", "") for project in projects))
    begun = f" It went on from the weights of {Path(recipe.start).name}." if recipe.start else ""
    return f"""## Data

{files:,} files, {characters / 1e6:.0f} million characters of {len(projects)} projects, cleaned by `aix-lsp corpus \
build`.{begun}
Licences as declared: {listed}.

Projects: {names}."""


def _training(recipe: Recipe, entries: list[dict[str, Any]]) -> str:
    steps = [entry for entry in entries if entry.get("kind") == "step"]
    checks = [entry for entry in entries if entry.get("kind") == "validation"]
    if not steps:
        return "## Training\n\nNot trained."
    rates, last = recipe.rates, steps[-1]
    how = f"Muon for matrices (rate {rates.muon_rate}), AdamW for the rest ({rates.rate})" if rates.muon else "AdamW"
    weights = recipe.weights
    ahead = f"; the marker before a suffix is asked for it too, {weights.ahead:g} times" if weights.ahead else ""
    text = f"""## Training

{last["step"]:,} steps, {last["tokens"]:,} tokens, {how}; rate: {rates.schedule}. Answers count \
{weights.answer:g} times, their first token {weights.first:g} times a token of plain text{ahead}."""
    if checks:
        rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in checks[-1]["parts"].items())
        text += f"""

Loss on held-out files, nats per token, after step {checks[-1]["step"]:,}:

| tokens | loss |
|---|---|
{rows}"""
    return text


_LIMITS = """## Limits

Small and briefly trained: it finishes names, calls and idioms that the surrounding text suggests, often wrongly; it
does not reason about what code should do, and a long completion is rarely right. It may repeat short pieces of what it
learned from. The sources keep their own licences."""


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
