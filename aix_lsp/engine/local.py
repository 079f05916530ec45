"""The engine that runs a model in this process, and falls back on the embedded one when the chosen one fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aix_lsp.engine.base import LoadEvent, ModelError, OnEvent
from aix_lsp.engine.calibration import read_calibration
from aix_lsp.engine.catalog import CatalogEntry, adapted, described, embedded
from aix_lsp.engine.choice import Choice, choose, in_one_line, whole_on_disk
from aix_lsp.engine.generation import Backend, LoadedModel, Report
from aix_lsp.engine.hardware import Machine, look_around, share_processors
from aix_lsp.engine.prompt_limits import read_limits
from aix_lsp.engine.recovery import PRECISIONS, Standing, in_words, step_down
from aix_lsp.engine.worker import ModelThread
from aix_lsp.logs import said
from aix_lsp.settings import ModelSettings
from aix_lsp.text import continued, with_stop
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt

if TYPE_CHECKING:
    from aix_lsp.engine.decode import Decoder
    from aix_lsp.engine.loading import Loaded
    from aix_lsp.engine.lookup import Lookup

logger = logging.getLogger(__name__)


class LocalBackend(Backend):
    """Chooses, loads and runs a model of transformers. Lives on the model thread."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._entry: CatalogEntry | None = None
        self._loaded: Loaded | None = None
        self._lookup: Lookup | None = None
        self._standing: Standing | None = None

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run again."""
        return self._loaded.decoder.reused_tokens if self._loaded else 0

    @property
    def guessed_tokens(self) -> int:
        """Tokens of the latest `generate` that were guessed and found right."""
        return self._loaded.decoder.guessed_tokens if self._loaded else 0

    @property
    def log_probabilities(self) -> Sequence[float]:
        """See `Backend.log_probabilities`."""
        return self._loaded.decoder.log_probabilities if self._loaded else ()

    def load(self, report: Report) -> LoadedModel:
        """Load the chosen model, or the embedded one with a warning. Raises ModelError when that fails too.

        Once more after a failure or `unload`: then the choice is made anew, and nothing is left of steps that were
        taken for want of memory.
        """
        report(LoadEvent("progress", "choosing a model", 0))
        share_processors()
        self._free()
        try:
            choice = self._choose()
            for reason in choice.reasons:
                logger.debug("%s", said(reason))
            logger.info("model: %s", said(in_one_line(choice)))
            settings = self._settings.model_copy(update={"quantization": choice.quantization})
            return self._load(choice.first, settings, report)
        except ModelError as error:
            reason = str(error)
        # Only here is the failed attempt's memory free: its traceback held on to it.
        self._free("cuda")
        last = embedded()
        try:
            loaded = self._load(last, safe(self._settings), report)
        except ModelError as error:
            raise ModelError(reason if str(error) == reason else continued(reason, str(error))) from error
        report(LoadEvent("warning", f"{with_stop(reason)} The embedded model {last.name} answers instead."))
        return loaded

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """Tokens that continue `prompt`; see `Backend.generate`."""
        decoder = self._decoder()
        if self._lookup is not None:
            self._lookup.know(prompt.elsewhere)
        return decoder.generate(
            prompt.ids,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            document=request.document,
            required=prompt.required,
            cancelled=cancelled,
        )

    def candidates(
        self,
        prompt: Prompt,
        request: GenerationRequest,
        cancelled: Callable[[], bool],
        *,
        first: Sequence[int],
        limit: int,
        stop: Callable[[int, Sequence[int]], bool],
    ) -> list[list[int]]:
        """Several answers side by side; see `Backend.candidates`."""
        return self._decoder().candidates(
            prompt.ids,
            request.candidates,
            limit=limit,
            first=first,
            document=request.document,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            required=prompt.required,
            cancelled=cancelled,
            stop=stop,
        )

    def unload(self) -> bool:
        """Free the model's memory. The embedded model stays: it is small, and on a processor."""
        if self._loaded is None or (self._is_embedded() and self._loaded.device == "cpu"):
            return False
        self._free(self._loaded.device)
        return True

    def relieve(self, report: Report) -> tuple[LoadedModel, str] | None:
        """Take the next step that this machine can take (`recovery.step_down`). Raises ModelError when not even the
        embedded model could be loaded on the way."""
        before = standing = self._standing
        while before is not None and standing is not None:
            after = step_down(standing, PRECISIONS)
            if after is None:
                break
            try:
                loaded = self._step(standing, after, report)
            except ModelError:
                # the machine has no such format, or no memory for it either; the next step is further down
                standing = after
                continue
            return loaded, in_words(before, after, embedded_name=embedded().name)
        if self._loaded is None:
            raise ModelError("memory ran out, and no smaller model could be loaded")
        return None

    def retreat(self) -> str:
        """The embedded model on the processor, where that is not the one which fails."""
        if self._is_embedded() and self._loaded is not None and self._loaded.device == "cpu":
            return ""
        self._settings = safe(self._settings)
        return embedded().name

    def _step(self, before: Standing, after: Standing, report: Report) -> LoadedModel:
        entry = self._entry
        assert entry is not None
        # the embedded model is not loaded anew for a step of its own: it would begin at the top again, and for ever
        to_embedded = after.embedded and not before.embedded
        if to_embedded or after.quantization != before.quantization:
            self._free(self._loaded.device if self._loaded else "cuda")
            if to_embedded:
                return self._load(embedded(), safe(self._settings), report)
            self._load(entry, self._settings.model_copy(update={"quantization": after.quantization}), report)
        self._decoder().shrink()
        self._standing = after
        return self._model()

    def _decoder(self) -> Decoder:
        if self._loaded is None:
            raise ModelError("no model is loaded")
        return self._loaded.decoder

    def _free(self, device: str = "") -> None:
        """Let go of the model; with a device's name, give its memory back too."""
        self._loaded = self._lookup = None
        if device:
            from aix_lsp.engine.memory import release_memory

            release_memory(device)

    def _is_embedded(self) -> bool:
        entry, loaded = self._entry, self._loaded
        return entry is not None and entry.source == embedded().source and loaded is not None and not loaded.adapter

    def _choose(self) -> Choice:
        def look() -> Machine:
            return look_around(self._settings.device, self._settings.dtype)

        # Only with models to choose from is torch imported for it; a wrong name should be told before that.
        return choose(self._settings, look, whole_on_disk)

    def _load(self, entry: CatalogEntry, settings: ModelSettings, report: Report) -> LoadedModel:
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
        self._entry, self._loaded = entry, loaded
        self._lookup = Lookup(loaded.decoder, loaded.folder, loaded.tokenizer, settings)
        positions = loaded.max_positions
        self._standing = Standing(positions, positions, loaded.quantization, embedded=self._is_embedded())
        return self._model()

    def _model(self) -> LoadedModel:
        """The model as it stands."""
        loaded, standing, entry = self._loaded, self._standing, self._entry
        assert loaded is not None
        assert standing is not None
        assert entry is not None
        entry = adapted(described(entry, loaded.folder), loaded.adapter)
        info = ModelInfo(
            name=entry.name,
            max_positions=standing.positions,
            format=entry.format,
            device=loaded.device,
            dtype=loaded.dtype,
            attention=loaded.attention,
            parameters=loaded.parameters,
            languages=entry.languages,
            note=entry.licence,
            looks_up=self._lookup is not None and self._lookup.active,
            calibration=None if loaded.adapter else read_calibration(loaded.folder),
            limits=read_limits(loaded.folder),
        )
        return LoadedModel(loaded.tokenizer, info, loaded.folder)


def safe(settings: ModelSettings) -> ModelSettings:
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


def idle_seconds(settings: ModelSettings) -> float | None:
    """`ModelSettings.idle_minutes` as the model thread wants it."""
    return settings.idle_minutes * 60 if settings.idle_minutes > 0 else None


class LocalEngine(ModelThread):
    """An `Engine` with a model in this process.

    Loading begins with `start(loop)`, or with the first request. `on_event` is told how the load goes, on
    that loop: progress, then `ready`; a `warning` when the chosen model cannot be loaded, with the reason,
    the way out, and that the embedded model answers instead.
    """

    def __init__(self, settings: ModelSettings, on_event: OnEvent | None = None) -> None:
        super().__init__(LocalBackend(settings), on_event, idle_s=idle_seconds(settings))
