"""The model card beside trained weights: from what, on what, how, and how well. Never a file's text, nor a path of the
machine that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_PARTS = {
    "text": "text from left to right",
    "psm_first": "first token of an answer, prefix-suffix-middle",
    "psm": "rest of an answer, prefix-suffix-middle",
    "spm_first": "first token of an answer, suffix-prefix-middle",
    "spm": "rest of an answer, suffix-prefix-middle",
}


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says.

    `base` is the model that an adapter belongs to, empty for a model from scratch. `languages` and `held_out_languages`
    count files by language. `settings` are shown as they are. `before` and `after` are held-out losses by part (nats
    per token), empty when nothing was held out.
    """

    title: str
    made_by: str
    base: str
    base_licence: str
    parameters: int
    trained_parameters: int
    source: str
    languages: Mapping[str, int]
    held_out_languages: Mapping[str, int]
    characters: int
    settings: Mapping[str, object]
    steps: int
    tokens: int
    minutes: float
    ended: str
    training_loss: float | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)


def card(facts: CardFacts) -> str:
    """The card as Markdown with the header that the Hugging Face hub reads."""
    adapter = bool(facts.base)
    kind = "LoRA adapter" if adapter else "model trained from scratch"
    lines = [
        "---",
        *([f"base_model: {facts.base}", "library_name: peft"] if adapter else ["library_name: transformers"]),
        f"tags: [code-completion, fill-in-the-middle{', lora' if adapter else ''}]",
        "---",
        f"# {facts.title}",
        "",
        f"A {kind} for code completion, made with {facts.made_by}.",
        "",
    ]
    if adapter:
        lines += [
            f"It is put into the weights of `{facts.base}`: `aix-lsp serve --adapter DIR`, or the option "
            "`model.adapter`.",
            "",
            *([f"Licence of the base: {facts.base_licence}", ""] if facts.base_licence else []),
        ]
    lines += ["## Data", "", *_data(facts), "", "## Training", ""]
    lines += _table(("setting", "value"), [(name, str(value)) for name, value in facts.settings.items()])
    lines += [
        "",
        f"{facts.trained_parameters:,} of {facts.parameters:,} parameters were trained, in {facts.steps:,} steps over "
        f"{facts.tokens:,} tokens (padding included), in {facts.minutes:.1f} minutes. The run ended {facts.ended}.",
        *([f"The last training loss (weighted) was {facts.training_loss:.3f}."] if facts.training_loss else []),
        "",
        "![losses](loss.png)",
        "",
        "## Evaluation",
        "",
        *_evaluation(facts),
        "",
        "## Limits",
        "",
        "It may repeat pieces of the code that it was trained on, and belongs where that code may be read.",
        "",
    ]
    return "\n".join(lines)


def _data(facts: CardFacts) -> list[str]:
    rows = [
        (name, f"{facts.languages.get(name, 0):,}", f"{facts.held_out_languages.get(name, 0):,}")
        for name in sorted({*facts.languages, *facts.held_out_languages})
    ]
    return [
        f"Files of {facts.source}, {facts.characters:,} characters. Files with secrets and copies were left out.",
        "",
        *_table(("language", "files trained on", "files held out"), rows),
    ]


def _evaluation(facts: CardFacts) -> list[str]:
    if not facts.after:
        return ["Nothing was held out, so nothing was measured."]
    rows = [
        (name, f"{facts.before[part]:.3f}" if part in facts.before else "", f"{facts.after[part]:.3f}")
        for part, name in _PARTS.items()
        if part in facts.after
    ]
    return [
        "Loss on the held-out files, in nats per token (cross-entropy); lower is better. The weights are those of the "
        "lowest loss of the answers.",
        "",
        *_table(("what is predicted", "before", "after"), rows),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
