"""Whether a model runs in this process or in one that all windows share, and the engine for either."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from aix_lsp.engine.base import LoadEvent, ModelError, OnEvent
from aix_lsp.engine.catalog import embedded, known
from aix_lsp.engine.choice import choose, whole_on_disk
from aix_lsp.engine.generation import Backend, LoadedModel, Report
from aix_lsp.engine.hardware import Machine
from aix_lsp.engine.host_client import SharedBackend
from aix_lsp.engine.host_place import HostUnavailable
from aix_lsp.engine.local import LocalBackend, idle_seconds, safe
from aix_lsp.engine.tokenizer import fills_in
from aix_lsp.engine.worker import ModelThread
from aix_lsp.settings import ModelSettings
from aix_lsp.text import with_stop
from aix_lsp.types import GenerationRequest, Prompt


def shares(settings: ModelSettings) -> bool:
    """Whether all windows use one model: as `model.share` says, and for `auto` whenever it may not be the embedded one.

    What `model.name = auto` comes to is known only when PyTorch has looked at the machine, and a window that shares
    is to do without PyTorch: a larger model on disk is reason enough.
    """
    if settings.share != "auto":
        return settings.share == "on"
    if settings.name == "auto" and not settings.adapter:
        return any(whole_on_disk(entry.source) for entry in known().values() if isinstance(entry.source, str))
    try:
        return choose(settings, _no_look, whole_on_disk).first.source != embedded().source
    except ModelError:
        return False  # the settings mean no model; the engine says so when it loads


def _no_look() -> Machine:
    raise ModelError("a model that is named is not chosen by the machine")


class ChosenBackend(Backend):
    """Decides at its first load, on the model thread, where the model runs; that may take a look at the disk.

    Where this machine cannot have a host, the model is loaded in this process, with a warning.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._inner: Backend | None = None

    def load(self, report: Report) -> LoadedModel:
        """See `Backend.load`. Warns of a model that writes from left to right only, unless its folder says so."""
        loaded = self._load(report)
        if loaded.info.format != "l2r" and not fills_in(loaded.tokenizer):
            report(
                LoadEvent(
                    "warning",
                    f"{loaded.info.name} has no markers for filling in, so it does not see what stands behind the "
                    "cursor; choose a model that was trained to fill in the middle",
                )
            )
        return loaded

    def _load(self, report: Report) -> LoadedModel:
        if self._inner is None:
            self._inner = self._shared() if shares(self._settings) else LocalBackend(self._settings)
        try:
            return self._inner.load(report)
        except HostUnavailable as error:
            reason = str(error)
        self._inner = LocalBackend(self._settings)
        loaded = self._inner.load(report)
        report(LoadEvent("warning", f"{with_stop(reason)} This window loads a model of its own (model.share)."))
        return loaded

    def _shared(self) -> Backend:
        from aix_lsp.engine.host_process import connect

        return SharedBackend(lambda report, warn: connect(self._settings, report, warn))

    def _backend(self) -> Backend:
        if self._inner is None:
            raise ModelError("no model is loaded")
        return self._inner

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """See `Backend.generate`."""
        return self._backend().generate(prompt, request, cancelled)

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
        """See `Backend.candidates`."""
        return self._backend().candidates(prompt, request, cancelled, first=first, limit=limit, stop=stop)

    @property
    def reused_tokens(self) -> int:
        """See `Backend.reused_tokens`."""
        return self._inner.reused_tokens if self._inner else 0

    @property
    def guessed_tokens(self) -> int:
        """See `Backend.guessed_tokens`."""
        return self._inner.guessed_tokens if self._inner else 0

    @property
    def log_probabilities(self) -> Sequence[float]:
        """See `Backend.log_probabilities`."""
        return self._inner.log_probabilities if self._inner else ()

    @property
    def timed_out(self) -> bool | None:
        """See `Backend.timed_out`."""
        return self._inner.timed_out if self._inner else None

    @property
    def sharing(self) -> str:
        """See `Backend.sharing`."""
        return self._inner.sharing if self._inner else ""

    def unload(self) -> bool:
        """See `Backend.unload`."""
        return self._backend().unload()

    def relieve(self, report: Report) -> tuple[LoadedModel, str] | None:
        """See `Backend.relieve`."""
        return self._backend().relieve(report)

    def retreat(self) -> str:
        """The embedded model in this process, where it is not that which fails."""
        if isinstance(self._inner, LocalBackend):
            return self._inner.retreat()
        if self._inner is not None:
            self._inner.close()
        self._inner = LocalBackend(safe(self._settings))
        return embedded().name

    def wake(self) -> None:
        """See `Backend.wake`."""
        if self._inner is not None:
            self._inner.wake()

    def close(self) -> None:
        """See `Backend.close`."""
        if self._inner is not None:
            self._inner.close()


class OwnEngine(ModelThread):
    """An `Engine` with a model on this machine: in this process, or in the host process of all windows.

    Events and failures are those of `LocalEngine`.
    """

    def __init__(self, settings: ModelSettings, on_event: OnEvent | None = None) -> None:
        super().__init__(ChosenBackend(settings), on_event, idle_s=idle_seconds(settings))
