"""The model that an evaluation asks: in this process or on the user's server, and never another one in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aix_lsp.configuration import Configuration
from aix_lsp.engine.base import Engine, LoadEvent, ModelError, OnEvent
from aix_lsp.engine.prompt_limits import limits_noted
from aix_lsp.engine.select import REMOTE, StartedEngine, engine_for, is_remote
from aix_lsp.evaluation.run_folder import Store
from aix_lsp.settings import ModelSettings, Settings
from aix_lsp.types import ModelInfo

Make = Callable[[Settings, OnEvent], StartedEngine]
"""Makes the engine of some settings, as `engine_for` does."""


def settings_for(model: ModelSettings) -> Settings:
    """Settings for one model alone: in this process, or on the server of the user's settings where its name is
    `remote`; that server's place is taken by no other."""
    if model.name != REMOTE:
        return Settings(model=model.model_copy(update={"share": "off"}))
    configuration = Configuration()
    configuration.read_user_file()
    configuration.read_environment()
    remote = configuration.settings.remote.model_copy(update={"fallback": False})
    return Settings(model=model, remote=remote)


def check_server(settings: Settings) -> None:
    """Raises ModelError where the model is a server's and nobody says where that is."""
    if is_remote(settings) and not settings.remote.url:
        raise ModelError("no server is set; say where it is in the user's settings (remote.url) or AIX_LSP_REMOTE__URL")


@asynccontextmanager
async def only(
    settings: Settings, make: Make = engine_for, on_warning: Callable[[str], None] = lambda message: None
) -> AsyncIterator[tuple[Engine, ModelInfo]]:
    """The engine of these settings, loaded, and its model. Raises ModelError when it cannot be had, also where the
    product would answer with the embedded model instead, and RemoteError while a server is away. `on_warning` hears
    what the engine has to say later on, such as that memory ran out and what it gave up for that."""
    warnings: list[str] = []
    loaded = False

    def note(event: LoadEvent) -> None:
        if event.kind != "warning":
            return
        if loaded:
            on_warning(event.message)
        else:
            warnings.append(event.message)

    engine = make(settings, note)
    try:
        info = await engine.ready()
        if warnings and not is_remote(settings):
            raise ModelError(warnings[0].split(". The embedded model")[0])
        loaded = True
        yield engine, info
    finally:
        engine.close()


def noting(store: Store, on_warning: Callable[[str], None]) -> Callable[[str], None]:
    """Hears warnings of a run, and keeps them with it: whoever reads the report must know them too."""

    def warn(message: str) -> None:
        store.tell(notes=[*store.config.get("notes", ()), message])
        on_warning(message)

    return warn


def tell_model(store: Store, info: ModelInfo, **more: Any) -> None:
    """Keep with a run which model answers it, and `more` about how. Raises ValueError where its answers so far are
    another one's."""
    before = store.config.get("answered_by")
    if before is not None and before["name"] != info.name:
        raise ValueError(
            f"the answers so far are those of {before['name']}, and {info.name} runs now; give another --out"
        )
    store.tell(
        model=info.name,
        answered_by={
            "name": info.name,
            # reports are passed on, and where a team's server is need not be
            "device": info.device if store.config.get("engine") == "local" else "a server",
            "dtype": info.dtype,
            "attention": info.attention,
            "parameters": info.parameters,
            "max_positions": info.max_positions,
            "format": info.format,
            "limits": limits_noted(info.limits),
            **more,
        },
    )
