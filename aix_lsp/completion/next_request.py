"""Reading ahead: after an answer, while nothing else is asked, the model reads what accepting it would ask for next.

The next request then finds all of its prompt but the last tokens computed. Whatever else is asked ends this at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aix_lsp.completion.policy import decide
from aix_lsp.engine.base import Engine, EngineError
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import Settings
from aix_lsp.types import CompletionItem, CompletionRequest, GenerationRequest, Snippet

IDLE_SECONDS = 0.15
"""How long nothing must be asked before the model is put to work: somebody who types on asks sooner."""


class NextRequest:
    """At most one request that nobody has made yet. Lives on the event loop."""

    def __init__(self, engine: Engine, idle_seconds: float = IDLE_SECONDS) -> None:
        self._engine = engine
        self._idle_seconds = idle_seconds
        self._task: asyncio.Task[None] | None = None

    def drop(self) -> None:
        """Something else is asked: the model is free again within one token."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def prepare(
        self, request: CompletionRequest, item: CompletionItem, snippets: Sequence[Snippet], settings: Settings
    ) -> None:
        """Soon have the model read what comes after accepting `item`, the offer for `request`, with the same
        snippets; nothing where no offer would be made by itself."""
        self.drop()
        after = accepted(request, item)
        decision = decide(after, settings.completion)
        if not decision.answer:
            return
        job = GenerationRequest(
            build_prompt=partial(
                build_prompt,
                document=after.document,
                offset=after.offset,
                snippets=snippets,
                settings=settings.prompt,
                max_new_tokens=decision.max_new_tokens,
            ),
            max_new_tokens=1,
            document=after.document.uri,
            background=True,
        )
        self._task = asyncio.ensure_future(self._run(job))

    async def _run(self, job: GenerationRequest) -> None:
        await asyncio.sleep(self._idle_seconds)
        try:
            await self._engine.generate(job)
        except EngineError:
            return  # another request came, or the real one will say what is wrong


def accepted(request: CompletionRequest, item: CompletionItem) -> CompletionRequest:
    """What an editor asks by itself once an offer is accepted."""
    document = request.document
    text = document.text[: item.start] + item.text + document.text[item.end :]
    return CompletionRequest(replace(document, text=text), item.start + len(item.text))
