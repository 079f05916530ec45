"""What is kept back because the model is unsure of it: nothing."""

from __future__ import annotations

from dataclasses import dataclass

from aix_lsp.completion.place import Place
from aix_lsp.settings import CompletionSettings
from aix_lsp.types import Generation, ModelInfo, TriggerKind


@dataclass(frozen=True, slots=True)
class Gated:
    """What is left of a generation's text."""

    text: str
    confidence: float | None = None
    change: str = ""
    reason: str = ""


def gate(
    generation: Generation, place: Place, model: ModelInfo | None, settings: CompletionSettings, trigger: TriggerKind
) -> Gated:
    """The text as it is."""
    return Gated(generation.text)
