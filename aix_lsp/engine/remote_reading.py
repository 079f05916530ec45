"""Does a server read our prompts as they are meant, and do its answers come back whole? Found out by probes.

Token ids are tried before text. Where the server has a way back from ids to text (vLLM, llama.cpp) the vocabularies are
compared by it; elsewhere by the number of tokens that the server counts in probe texts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.remote_errors import RemoteError
from aix_lsp.engine.remote_healing import COMPLETIONS, lifted, rare_word
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.engine.remote_probes import COUNTED, REPEATING, plain, probe_prompts, same_spaces, without_blanks
from aix_lsp.engine.remote_stream import StreamError, pieces_in
from aix_lsp.engine.remote_text import RENDERINGS, Rendering, as_text, expressible
from aix_lsp.engine.tokenizer import ModelTokenizer, stop_ids

PROBE_S: Final = 20.0
"""How long one question may take; a server's first request after its start is often its slowest."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """How a server is to be asked so that it understands. `extras` are fields beyond OpenAI's that it takes,
    `tells_scores` whether it says how likely its tokens were. `finding` says how that was found out, `latency_ms` is
    the time of a request for one token."""

    prompt: Literal["tokens", "text"]
    extras: Mapping[str, Any]
    rendering: Rendering
    drops_space: bool
    heals: bool
    tells_scores: bool
    finding: str
    latency_ms: float
    warnings: tuple[str, ...]


class Reader:
    """Asks one server about one model."""

    def __init__(self, client: RemoteClient, model: str, tokenizer: ModelTokenizer) -> None:
        self._client = client
        self._name = model
        self._tokenizer = tokenizer
        self._place = client.address.shown
        self._extras: Mapping[str, Any] = {}
        self._warnings: list[str] = []
        self._latency_ms = 0.0

    async def understand(self, wanted: Literal["auto", "tokens", "text"]) -> Understanding:
        """Find out everything; `wanted` is `remote.prompt`. Raises RemoteError, or ModelError where prompts would be
        misread."""
        prompt, rendering, finding = await self._how(wanted)
        drops = await self._drops_space(prompt, rendering)
        if drops:
            self._warnings.append(
                f"the server at {self._place} drops the space before an answer; it is put back by a guess. vLLM and "
                "llama.cpp's server keep it"
            )
        return Understanding(
            prompt,
            self._extras,
            rendering,
            drops,
            heals=prompt == "tokens" and not drops and await self._heals(),
            tells_scores=not drops and await self._tells_scores(prompt),
            finding=finding,
            latency_ms=self._latency_ms,
            warnings=tuple(self._warnings),
        )

    async def _how(self, wanted: Literal["auto", "tokens", "text"]) -> tuple[Literal["tokens", "text"], Rendering, str]:
        if wanted != "text" and await self._takes_ids():
            finding, fault = await self._same_vocabulary()
            return "tokens", RENDERINGS[0], self._judged(wanted, finding, fault)
        if wanted == "tokens":
            raise ModelError(f"the server at {self._place} takes no token ids; set remote.prompt to auto or text")
        rendering, fault = await self._rendering()
        return (
            "text",
            rendering,
            self._judged(wanted, "text, the same number of tokens in every probe", fault, as_text_only=True),
        )

    def _judged(self, wanted: str, finding: str, fault: str, *, as_text_only: bool = False) -> str:
        if not fault:
            return finding
        if wanted == "auto":
            other = " or use a server that takes token ids (vLLM, llama.cpp's llama-server)" if as_text_only else ""
            raise ModelError(f"{fault}; name the served model's own tokenizer in remote.tokenizer{other}")
        self._warnings.append(fault)
        return f"not confirmed: {fault}"

    async def _takes_ids(self) -> bool:
        """Whether ids arrive as such. Also finds out whether fields beyond OpenAI's are taken."""
        ids = plain(self._tokenizer)
        for extras in (_extras(self._tokenizer), {}):
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

    async def _same_vocabulary(self) -> tuple[str, str]:
        """How it was found out that the ids mean the same to the server, and what is wrong."""
        tokenizer = self._tokenizer
        fault = f"the server at {self._place} has another tokenizer than the one on this machine"
        for prompt in probe_prompts(tokenizer):
            back = await self._text_of(prompt)
            if back is None:
                break
            markers_too, code_alone = as_text(tokenizer, prompt), tokenizer.decode(prompt)
            if without_blanks(back) not in (without_blanks(markers_too), without_blanks(code_alone)):
                return "", fault
        else:
            code = plain(self._tokenizer)
            back = await self._text_of(code)
            if back is not None and not same_spaces(back, tokenizer.decode(code)):
                self._warnings.append(f"the server at {self._place} changes blanks when it turns tokens into text")
            return "token ids, the same text for every probe", ""
        counts = [await self._count(text) for text in COUNTED]
        if None in counts:
            return "", f"the server at {self._place} does not tell how it reads a prompt"
        # All of them begin with a letter, so what a server puts in front is the same for all.
        added = {int(count or 0) - len(tokenizer.encode(text)) for count, text in zip(counts, COUNTED, strict=True)}
        if len(added) > 1 or not added <= {0, 1, 2}:
            return "", fault
        return "token ids, the same number of tokens in every probe", ""

    async def _text_of(self, ids: Sequence[int]) -> str | None:
        """Text of ids by the server's own account; None where it has no such route."""
        try:
            body = {"model": self._name, "tokens": list(ids)}
            content = await self._client.post("/detokenize", body, model=self._name, timeout_s=PROBE_S)
        except RemoteError as error:
            if error.status:
                return None
            raise
        if not isinstance(content, dict):
            return None
        text = content.get("prompt", content.get("content"))
        return text if isinstance(text, str) else None

    async def _rendering(self) -> tuple[Rendering, str]:
        """How text must look for the server to make the right tokens of it."""
        self._extras = {}
        tokenizer = self._tokenizer
        prompts = probe_prompts(tokenizer)
        for rendering in RENDERINGS:
            for prompt in prompts:
                sent = expressible(tokenizer, prompt, rendering)
                counted = await self._count(as_text(tokenizer, sent, rendering))
                if counted is None:
                    return RENDERINGS[0], (f"the server at {self._place} does not tell how many tokens a prompt has")
                if counted != len(sent):
                    break
            else:
                return rendering, ""
        return RENDERINGS[0], (
            f"the server at {self._place} reads prompts as other tokens than they are meant "
            "(markers in pieces, or a space too many)"
        )

    async def _count(self, prompt: str | Sequence[int]) -> int | None:
        """Tokens of a prompt as the server counts them, by a request for one token."""
        content = await self._ask(prompt, 1)
        usage = content.get("usage") if isinstance(content, dict) else None
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return count if isinstance(count, int) else None

    async def _drops_space(self, prompt: str, rendering: Rendering) -> bool:
        """Whether an answer that must begin with a space begins without it. Only answers as text are read so."""
        ids = self._tokenizer.encode(REPEATING)
        sent = ids if prompt == "tokens" else as_text(self._tokenizer, ids, rendering)
        pieces = pieces_in(await self._ask(sent, 2))
        return bool(pieces) and pieces[0].tokens is None and pieces[0].text.startswith(REPEATING[0])

    async def _heals(self) -> bool:
        """Whether a token that would never come does when it is lifted."""
        token = await asyncio.to_thread(rare_word, self._tokenizer)
        if token is None:
            return False
        body = {"model": self._name, "prompt": plain(self._tokenizer), "temperature": 0, **self._extras}
        try:
            return await lifted(self._client, self._tokenizer, body, [token]) == token
        except (RemoteError, StreamError):
            return False

    async def _tells_scores(self, prompt: str) -> bool:
        """Whether an answer comes with the logarithms of its tokens' probabilities when it is asked to. Some servers
        refuse such a request, or break at it: then they are not asked."""
        sent = plain(self._tokenizer) if prompt == "tokens" else REPEATING
        try:
            pieces = pieces_in(await self._ask(sent, 1, logprobs=1))
        except (RemoteError, StreamError):
            return False
        return bool(pieces) and bool(pieces[0].scores)

    async def _ask(self, prompt: str | Sequence[int], tokens: int, **more: Any) -> Any:
        body = {
            "model": self._name,
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "max_tokens": tokens,
            "temperature": 0,
            **self._extras,
            **more,
        }
        began = time.perf_counter()
        content = await self._client.post(COMPLETIONS, body, model=self._name, timeout_s=PROBE_S)
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
