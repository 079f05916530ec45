"""What a server is asked before the first completion: which model, and does it read our prompts as they are meant?

A prompt that the server cuts into other tokens than the model was trained on gives bad completions without any error:
markers in pieces, a space too many, a second beginning token. So probe prompts are sent first. Token ids are tried
before text. Where the server has a way back from ids to text (vLLM, llama.cpp) the vocabularies are compared by it;
elsewhere by the number of tokens that the server counts in probe texts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.remote_errors import RemoteError
from aix_lsp.engine.remote_healing import COMPLETIONS, lifted, rare_word
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.engine.remote_probes import (
    COUNTED,
    REPEATING,
    plain,
    probe_prompts,
    same_spaces,
    without_blanks,
)
from aix_lsp.engine.remote_stream import StreamError, pieces_in
from aix_lsp.engine.remote_text import RENDERINGS, Rendering, as_text, expressible
from aix_lsp.engine.remote_tokenizer import described_remotely, served_model
from aix_lsp.engine.tokenizer import ModelTokenizer, stop_ids
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import ModelInfo

_PROBE_S = 20.0
"""How long one question may take; a server's first request after its start is often its slowest."""


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """A server that was checked, and how it is to be asked.

    `extras` are fields beyond OpenAI's that it takes. `vocabulary` is there where token healing works. `finding` says
    how the tokenizer was checked; `latency_ms` is the time of a request for one token; `warnings` are told to the user
    once.
    """

    model: str
    tokenizer: ModelTokenizer
    info: ModelInfo
    prompt: Literal["tokens", "text"]
    extras: Mapping[str, Any]
    rendering: Rendering = RENDERINGS[0]
    drops_space: bool = False
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
            f"the server at {client.address.shown} did not answer within {_PROBE_S:g} s", down=True
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
        self._extras: Mapping[str, Any] = {}
        self._warnings: list[str] = []
        self._latency_ms = 0.0

    async def run(self) -> RemoteServer:
        listed = await self._models()
        self._name = self._choose(listed)
        served = await asyncio.to_thread(served_model, self._settings, self._name)
        context = await self._context(listed)
        if self._client.has_token and self._client.address.root.scheme == "http" and not self._client.address.is_local:
            self._warnings.append(
                f"the token for {self._client.address.shown} and all code go there unencrypted; use an https address"
            )
        prompt, rendering, finding = await self._understood(served.tokenizer)
        place = self._client.address.shown
        info = described_remotely(served, self._settings, served_as=self._name, context=context, place=place)
        server = RemoteServer(
            self._name,
            served.tokenizer,
            info,
            prompt,
            self._extras,
            rendering,
            finding=finding,
            latency_ms=self._latency_ms,
        )
        if await self._drops_space(server):
            self._warnings.append(
                f"the server at {self._client.address.shown} drops the space before an answer; it is put back by a "
                "guess. vLLM and llama.cpp's server keep it"
            )
            server = replace(server, drops_space=True)
        elif await self._heals(server):
            vocabulary = await asyncio.to_thread(Vocabulary, server.tokenizer)
            server = replace(server, vocabulary=vocabulary, info=replace(info, token_healing=True))
        return replace(server, warnings=tuple(self._warnings))

    # which model

    async def _models(self) -> list[Mapping[str, Any]]:
        """What the server lists; nothing where it has no list."""
        try:
            content = await self._client.get("/v1/models", timeout_s=_PROBE_S)
        except RemoteError as error:
            if error.status in (404, 405, 501):
                return []
            raise
        models = content.get("data") if isinstance(content, dict) else None
        return [model for model in models or [] if isinstance(model, dict) and isinstance(model.get("id"), str)]

    def _choose(self, listed: Sequence[Mapping[str, Any]]) -> str:
        names = [str(model["id"]) for model in listed]
        if not self._settings.model:
            if not names:
                raise ModelError(f"the server at {self._client.address.shown} lists no model; name one in remote.model")
            return names[0]
        if names and self._settings.model not in names:
            some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
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
            properties = await self._optional("/props")
            told = properties.get("default_generation_settings", {}).get("n_ctx") if properties else None
        return told if isinstance(told, int) else 0

    async def _optional(self, path: str) -> Mapping[str, Any] | None:
        """A route that only some servers have."""
        try:
            found = await self._client.get(path, timeout_s=_PROBE_S)
        except RemoteError:
            return None
        return found if isinstance(found, dict) else None

    # does it read our prompts

    async def _understood(self, tokenizer: ModelTokenizer) -> tuple[Literal["tokens", "text"], Rendering, str]:
        wanted = self._settings.prompt
        if wanted != "text" and await self._takes_ids(tokenizer):
            finding, fault = await self._same_vocabulary(tokenizer)
            return "tokens", RENDERINGS[0], self._judged(finding, fault)
        if wanted == "tokens":
            raise ModelError(
                f"the server at {self._client.address.shown} takes no token ids; set remote.prompt to auto or text"
            )
        rendering, fault = await self._rendering(tokenizer)
        return "text", rendering, self._judged("text, the same number of tokens in every probe", fault)

    def _judged(self, finding: str, fault: str) -> str:
        if not fault:
            return finding
        if self._settings.prompt == "auto":
            raise ModelError(f"{fault}; name the served model's own tokenizer in remote.tokenizer")
        self._warnings.append(fault)
        return f"not confirmed: {fault}"

    async def _takes_ids(self, tokenizer: ModelTokenizer) -> bool:
        """Whether ids arrive as such. Also finds out whether fields beyond OpenAI's are taken."""
        ids = plain(tokenizer)
        for extras in (_extras(tokenizer), {}):
            self._extras = extras
            try:
                counted = await self._count(ids)
            except RemoteError as error:
                if error.status in (400, 422, 500, 501):
                    continue
                raise
            # A server that takes the list for a text counts the digits.
            return counted in (None, len(ids))
        return False

    async def _same_vocabulary(self, tokenizer: ModelTokenizer) -> tuple[str, str]:
        """How it was found out that the ids mean the same to the server, and what is wrong."""
        fault = f"the server at {self._client.address.shown} has another tokenizer than the one on this machine"
        for prompt in probe_prompts(tokenizer):
            back = await self._text_of(prompt)
            if back is None:
                break
            markers_too, code_alone = as_text(tokenizer, prompt), tokenizer.decode(prompt)
            if without_blanks(back) not in (without_blanks(markers_too), without_blanks(code_alone)):
                return "", fault
        else:
            code = plain(tokenizer)
            back = await self._text_of(code)
            if back is not None and not same_spaces(back, tokenizer.decode(code)):
                return "", f"{fault}: spaces and line ends come back changed"
            return "token ids, the same text for every probe", ""
        counts = [await self._count(text) for text in COUNTED]
        if None in counts:
            return "", f"the server at {self._client.address.shown} does not tell how it reads a prompt"
        # All of them begin with a letter, so what a server puts in front is the same for all.
        added = {int(count or 0) - len(tokenizer.encode(text)) for count, text in zip(counts, COUNTED, strict=True)}
        if len(added) > 1 or not added <= {0, 1, 2}:
            return "", fault
        return "token ids, the same number of tokens in every probe", ""

    async def _text_of(self, ids: Sequence[int]) -> str | None:
        """Text of ids by the server's own account; None where it has no such route."""
        try:
            body = {"model": self._name, "tokens": list(ids)}
            content = await self._client.post("/detokenize", body, model=self._name, timeout_s=_PROBE_S)
        except RemoteError as error:
            if error.status:
                return None
            raise
        if not isinstance(content, dict):
            return None
        text = content.get("prompt", content.get("content"))
        return text if isinstance(text, str) else None

    async def _rendering(self, tokenizer: ModelTokenizer) -> tuple[Rendering, str]:
        """How text must look for the server to make the right tokens of it."""
        self._extras = {}
        prompts = probe_prompts(tokenizer)
        for rendering in RENDERINGS:
            for prompt in prompts:
                sent = expressible(tokenizer, prompt, rendering)
                counted = await self._count(as_text(tokenizer, sent, rendering))
                if counted is None:
                    return RENDERINGS[0], (
                        f"the server at {self._client.address.shown} does not tell how many tokens a prompt has"
                    )
                if counted != len(sent):
                    break
            else:
                return rendering, ""
        return RENDERINGS[0], (
            f"the server at {self._client.address.shown} reads prompts as other tokens than they are meant "
            "(markers in pieces, or a space too many)"
        )

    async def _count(self, prompt: str | Sequence[int]) -> int | None:
        """Tokens of a prompt as the server counts them, by a request for one token."""
        content = await self._ask(prompt, 1)
        usage = content.get("usage") if isinstance(content, dict) else None
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return count if isinstance(count, int) else None

    async def _drops_space(self, server: RemoteServer) -> bool:
        """Whether an answer that must begin with a space begins without it. Only answers as text are read so."""
        ids = server.tokenizer.encode(REPEATING)
        prompt = ids if server.prompt == "tokens" else as_text(server.tokenizer, ids, server.rendering)
        pieces = pieces_in(await self._ask(prompt, 2))
        return bool(pieces) and pieces[0].tokens is None and pieces[0].text.startswith(REPEATING[0])

    async def _heals(self, server: RemoteServer) -> bool:
        """Whether a token that would never come does when it is lifted. Only ids can be put together with it."""
        token = await asyncio.to_thread(rare_word, server.tokenizer)
        if server.prompt == "text" or token is None:
            return False
        body = {"model": self._name, "prompt": plain(server.tokenizer), "temperature": 0, **self._extras}
        try:
            return await lifted(self._client, server.tokenizer, body, [token]) == token
        except (RemoteError, StreamError):
            return False

    async def _ask(self, prompt: str | Sequence[int], tokens: int) -> Any:
        body = {
            "model": self._name,
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "max_tokens": tokens,
            "temperature": 0,
            **self._extras,
        }
        began = time.perf_counter()
        content = await self._client.post(COMPLETIONS, body, model=self._name, timeout_s=_PROBE_S)
        if tokens == 1:
            self._latency_ms = (time.perf_counter() - began) * 1000
        return content


def _extras(tokenizer: ModelTokenizer) -> Mapping[str, Any]:
    """Fields beyond OpenAI's, for vLLM and llama.cpp: ends at markers, ids in the answer, no penalty and no other
    limits that the server may have by default, and the cache of the prompt."""
    return {
        "stop_token_ids": sorted(stop_ids(tokenizer)),
        "return_token_ids": True,
        "add_special_tokens": False,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "repeat_penalty": 1.0,
        "cache_prompt": True,
    }
