"""`aix_lsp.infer`: one completion between two texts, as a Python call (the reference README's `run_infer`)."""

from __future__ import annotations

import asyncio
import threading
from functools import cache, partial

from aix_lsp.configuration import Configuration
from aix_lsp.engine.base import Engine
from aix_lsp.engine.select import engine_for
from aix_lsp.languages import language_id_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Generation, GenerationRequest


def infer(
    prefix: str, suffix: str = "", path: str = "test.py", max_new_tokens: int = 256, settings: Settings | None = None
) -> str:
    """Text that the model puts between `prefix` and `suffix` in the file `path` (its path inside its project).

    The first call loads the model of the settings (default: the user's file and environment); it stays in memory for
    later calls with the same model. The text is the model's own, up to its end token or `max_new_tokens`. Raises
    ModelError or EngineError with one clear line, ValueError for less than one token.
    """
    if settings is None:
        configuration = Configuration()
        configuration.read_user_file()
        configuration.read_environment()
        settings = configuration.settings
    background = _background(Settings(model=settings.model, remote=settings.remote))
    with background.turn:
        work = generate_between(background.engine, prefix, suffix, path, max_new_tokens, settings)
        return asyncio.run_coroutine_threadsafe(work, background.loop).result().text


class _Background:
    """An event loop on a daemon thread, and an engine on it, for callers that have neither."""

    def __init__(self, settings: Settings) -> None:
        # an engine answers its latest request only; callers in several threads take turns
        self.turn = threading.Lock()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="aix-infer", daemon=True).start()
        self.engine = engine_for(settings, lambda event: None)
        self.loop.call_soon_threadsafe(self.engine.start, self.loop)


@cache
def _background(settings: Settings) -> _Background:
    return _Background(settings)


async def generate_between(
    engine: Engine, prefix: str, suffix: str, path: str, max_new_tokens: int, settings: Settings
) -> Generation:
    """The same on a running event loop with an engine that is started, and with all that the engine says of it."""
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
    document = DocumentSnapshot(f"untitled:{path}", prefix + suffix, language_id_of(path), 0, path)
    model = await engine.ready()
    # half of the positions stay for the prompt
    tokens = min(max_new_tokens, model.max_positions // 2)
    request = GenerationRequest(
        build_prompt=partial(
            build_prompt,
            document=document,
            offset=len(prefix),
            snippets=(),
            settings=settings.prompt,
            max_new_tokens=tokens,
        ),
        max_new_tokens=tokens,
        temperature=settings.completion.temperature,
        top_p=settings.completion.top_p,
        seed=settings.completion.seed,
        document=document.uri,
    )
    return await engine.generate(request)
