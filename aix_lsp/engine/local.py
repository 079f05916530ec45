"""The engine that runs a model in this process, and falls back on the embedded one when the chosen one fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from aix_lsp.engine.base import LoadEvent, ModelError, OnEvent
from aix_lsp.engine.catalog import CatalogEntry, adapted, described, embedded
from aix_lsp.engine.choice import Choice, choose, in_one_line, whole_on_disk
from aix_lsp.engine.generation import LoadedModel
from aix_lsp.engine.hardware import Machine, look_around, share_processors
from aix_lsp.engine.worker import ModelThread
from aix_lsp.settings import ModelSettings
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt

if TYPE_CHECKING:
    from aix_lsp.engine.loading import Loaded
    from aix_lsp.engine.lookup import Lookup

logger = logging.getLogger(__name__)


class LocalBackend:
    """Chooses, loads and runs a model of transformers. Lives on the model thread."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._loaded: Loaded | None = None
        self._lookup: Lookup | None = None

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run again."""
        return self._loaded.decoder.reused_tokens if self._loaded else 0

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        """Load the chosen model, or the embedded one with a warning. Raises ModelError when that fails too."""
        report(LoadEvent("progress", "choosing a model", 0))
        share_processors()
        try:
            choice = self._choose()
            for reason in choice.reasons:
                logger.debug("%s", reason)
            logger.info("model: %s", in_one_line(choice))
            settings = self._settings.model_copy(update={"quantization": choice.quantization})
            return self._load(choice.first, settings, report)
        except ModelError as error:
            reason = str(error)
        # Only here is the failed attempt's memory free: its traceback held on to it.
        from aix_lsp.engine.decode import release_memory

        release_memory("cuda")
        last = embedded()
        try:
            loaded = self._load(last, _safe(self._settings), report)
        except ModelError as error:
            raise ModelError(reason if str(error) == reason else f"{reason}; {error}") from error
        report(LoadEvent("warning", f"{reason}. The embedded model {last.name} answers instead."))
        return loaded

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """Tokens that continue `prompt`; see `Backend.generate`."""
        if self._loaded is None or self._lookup is None:
            raise ModelError("no model is loaded")
        self._lookup.know(prompt.elsewhere)
        return self._loaded.decoder.generate(
            prompt.ids,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            document=request.document,
            required=prompt.required,
            cancelled=cancelled,
        )

    def _choose(self) -> Choice:
        def look() -> Machine:
            return look_around(self._settings.device, self._settings.dtype)

        # Only with models to choose from is torch imported for it; a wrong name should be told before that.
        return choose(self._settings, look, whole_on_disk)

    def _load(self, entry: CatalogEntry, settings: ModelSettings, report: Callable[[LoadEvent], None]) -> LoadedModel:
        from aix_lsp.engine.loading import load_model
        from aix_lsp.engine.lookup import Lookup

        loaded = load_model(
            entry.source,
            device=settings.device,
            dtype=settings.dtype,
            quantization=settings.quantization,
            quantizer=settings.quantizer,
            attention=settings.attention,
            cpu_decode=settings.cpu_decode,
            threads=settings.threads,
            adapter=Path(settings.adapter) if settings.adapter else None,
            report=report,
        )
        entry = adapted(described(entry, loaded.folder), loaded.adapter)
        lookup = Lookup(loaded.decoder, loaded.folder, loaded.tokenizer, settings)
        self._loaded, self._lookup = loaded, lookup
        return LoadedModel(
            loaded.tokenizer,
            ModelInfo(
                name=entry.name,
                max_positions=loaded.max_positions,
                format=entry.format,
                device=loaded.device,
                dtype=loaded.dtype,
                attention=loaded.attention,
                parameters=loaded.parameters,
                languages=entry.languages,
                note=entry.licence,
                looks_up=lookup.active,
            ),
        )


def _safe(settings: ModelSettings) -> ModelSettings:
    """The settings for the fallback: nothing that depends on a GPU or an optional package."""
    return ModelSettings(
        name=embedded().name,
        device="cpu",
        dtype="float32",
        attention="sdpa",
        cpu_decode=settings.cpu_decode,
        threads=settings.threads,
        copy_prior=settings.copy_prior,
        speculation=settings.speculation,
    )


class LocalEngine(ModelThread):
    """An `Engine` with a model in this process.

    Loading begins with `start(loop)`, or with the first request. `on_event` is told how the load goes, on
    that loop: progress, then `ready`; a `warning` when the chosen model cannot be loaded, with the reason,
    the way out, and that the embedded model answers instead.
    """

    def __init__(self, settings: ModelSettings, on_event: OnEvent | None = None) -> None:
        super().__init__(LocalBackend(settings), on_event)
