"""Which engine the settings ask for. Every command and the server come through here."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aix_lsp.engine.base import Engine, ModelError, OnEvent
from aix_lsp.engine.plan import planned
from aix_lsp.engine.remote_tokenizer import described_remotely, served_model
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.settings import Settings
from aix_lsp.types import ModelInfo

REMOTE = "remote"
"""What `model.name` says for the server of `remote.url`."""


class StartedEngine(Engine, Protocol):
    """An engine that loads nothing before it is told to, or asked."""

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin loading. Events go to `loop`, by default the running one."""
        ...


def is_remote(settings: Settings) -> bool:
    """Whether a server elsewhere runs the model: `model.name` is `remote`, or `auto` where `remote.url` is set. A model
    that is named runs here, and so does one with an adapter, which no server would take from us."""
    if settings.model.name == REMOTE:
        return True
    return settings.model.name == "auto" and not settings.model.adapter and bool(settings.remote.url)


def engine_for(settings: Settings, on_event: OnEvent | None = None) -> StartedEngine:
    """The engine of these settings, not started yet. Raises ModelError for settings that contradict one another."""
    if not is_remote(settings):
        return _local(settings, on_event)
    if not settings.remote.url:
        raise ModelError("model.name is remote, but remote.url names no server")
    from aix_lsp.engine.remote import RemoteEngine

    if not settings.remote.fallback:
        return RemoteEngine(settings.remote, on_event)
    from aix_lsp.engine.catalog import embedded

    own = settings.model_copy(update={"model": settings.model.model_copy(update={"name": embedded().name})})
    return RemoteEngine(settings.remote, on_event, fallback=lambda: _local(own, on_event))


def prompt_model(settings: Settings) -> tuple[ModelTokenizer, ModelInfo]:
    """Tokenizer and description of the model that would answer, from files on this machine: what it takes to build its
    prompts. No server is asked. Raises ModelError."""
    if not is_remote(settings):
        plan = planned(settings.model)
        return load_tokenizer(plan.folder), plan.info
    served = served_model(settings.remote, settings.remote.model)
    return served.tokenizer, described_remotely(served, settings.remote)


def _local(settings: Settings, on_event: OnEvent | None) -> StartedEngine:
    from aix_lsp.engine.sharing import OwnEngine

    return OwnEngine(settings.model, on_event)
