"""What a server is asked before the first completion: which model, how long its prompts may be, and whether it reads
them as they are meant (`remote_reading.py`).

A prompt that the server cuts into other tokens than the model was trained on gives bad completions without any error:
markers in pieces, a space too many, a second beginning token. So probe prompts are sent first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.remote_errors import RemoteError, shown_name
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.engine.remote_reading import PROBE_S, Reader
from aix_lsp.engine.remote_stream import StreamError
from aix_lsp.engine.remote_text import RENDERINGS, Rendering
from aix_lsp.engine.remote_tokenizer import described_remotely, served_model
from aix_lsp.engine.tokenizer import ModelTokenizer
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import ModelInfo

_MOST_CONTEXT = 1_000_000
"""Tokens; as many as `remote.context` takes."""


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """A server that was checked, and how it is to be asked.

    `extras` are fields beyond OpenAI's that it takes. `tells_scores` says whether it tells how likely its tokens were.
    `vocabulary` is there where token healing works. `finding` says how the tokenizer was checked; `latency_ms` is the
    time of a request for one token; `warnings` are told to the user once.
    """

    model: str
    tokenizer: ModelTokenizer
    info: ModelInfo
    prompt: Literal["tokens", "text"]
    extras: Mapping[str, Any]
    rendering: Rendering = RENDERINGS[0]
    drops_space: bool = False
    tells_scores: bool = False
    vocabulary: Vocabulary | None = None
    finding: str = ""
    latency_ms: float = 0.0
    warnings: tuple[str, ...] = ()


async def check(client: RemoteClient, settings: RemoteSettings) -> RemoteServer:
    """Ask the server what it is and whether it understands us. Raises RemoteError, or ModelError for what only a change
    of the settings can help."""
    try:
        return await _Check(client, settings).run()
    except TimeoutError:
        raise RemoteError(
            f"the server at {client.address.shown} did not answer within {PROBE_S:g} s", down=True
        ) from None
    except StreamError as error:
        raise RemoteError(
            f"the server at {client.address.shown} sent {error} where a completion was expected; check remote.url",
            down=True,
        ) from None


class _Check:
    def __init__(self, client: RemoteClient, settings: RemoteSettings) -> None:
        self._client = client
        self._settings = settings
        self._name = ""
        self._warnings: list[str] = []

    async def run(self) -> RemoteServer:
        listed = await self._models()
        self._name = self._choose(listed)
        served = await asyncio.to_thread(served_model, self._settings, self._name)
        context = await self._context(listed)
        address = self._client.address
        if address.root.scheme == "http" and not address.is_local:
            what = f"the token for {address.shown} and all code go there"
            if not self._client.has_token:
                what = f"all code goes to {address.shown}"
            self._warnings.append(f"{what} unencrypted; use an https address")
        reader = Reader(self._client, self._name, served.tokenizer)
        found = await reader.understand(self._settings.prompt)
        place = self._client.address.shown
        info = described_remotely(served, self._settings, served_as=self._name, context=context, place=place)
        vocabulary = await asyncio.to_thread(Vocabulary, served.tokenizer) if found.heals else None
        return RemoteServer(
            self._name,
            served.tokenizer,
            replace(info, token_healing=found.heals),
            found.prompt,
            found.extras,
            found.rendering,
            found.drops_space,
            found.tells_scores,
            vocabulary,
            found.finding,
            found.latency_ms,
            (*self._warnings, *found.warnings),
        )

    # which model

    async def _models(self) -> list[Mapping[str, Any]]:
        """What the server lists; nothing where it has no list."""
        try:
            content = await self._client.get("/v1/models", timeout_s=PROBE_S)
        except RemoteError as error:
            if error.status in (404, 405, 501):
                return []
            raise
        models = content.get("data") if isinstance(content, dict) else None
        if not isinstance(models, list):
            raise RemoteError(
                f"the server at {self._client.address.shown} sent no list where its models were expected; check "
                "remote.url",
                down=True,
            )
        return [model for model in models if isinstance(model, dict) and _can_be_sent(model.get("id"))]

    def _choose(self, listed: Sequence[Mapping[str, Any]]) -> str:
        names = [str(model["id"]) for model in listed]
        if not self._settings.model:
            if not names:
                raise ModelError(f"the server at {self._client.address.shown} lists no model; name one in remote.model")
            return names[0]
        if names and self._settings.model not in names:
            some = ", ".join(map(shown_name, names[:5])) + (", …" if len(names) > 5 else "")
            raise ModelError(
                f"the server at {self._client.address.shown} has no model {self._settings.model}; it has {some}"
            )
        return self._settings.model

    async def _context(self, listed: Sequence[Mapping[str, Any]]) -> int:
        """Tokens for prompt and completion as vLLM lists them, or as llama.cpp's `/props` says per slot; 0 for a server
        that does not tell."""
        (model,) = [model for model in listed if model["id"] == self._name][:1] or [{}]
        told = model.get("max_model_len")
        if not isinstance(told, int):
            properties = await self._optional("/props") or {}
            slot = properties.get("default_generation_settings")
            told = slot.get("n_ctx") if isinstance(slot, dict) else None
        return min(max(told, 0), _MOST_CONTEXT) if isinstance(told, int) else 0

    async def _optional(self, path: str) -> Mapping[str, Any] | None:
        """A route that only some servers have."""
        try:
            found = await self._client.get(path, timeout_s=PROBE_S)
        except RemoteError:
            return None
        return found if isinstance(found, dict) else None


def _can_be_sent(name: object) -> bool:
    """Whether a name can be asked for. JSON knows half of a surrogate pair, which UTF-8 does not."""
    return isinstance(name, str) and not any("\ud800" <= character <= "\udfff" for character in name)
