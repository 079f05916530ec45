"""One request to a server from start to end: prompt, body, stream, limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.job import named
from aix_lsp.engine.remote_candidates import Candidate, Reading
from aix_lsp.engine.remote_check import RemoteServer
from aix_lsp.engine.remote_errors import RemoteError, cut_off
from aix_lsp.engine.remote_healing import COMPLETIONS, is_blank, spell_out
from aix_lsp.engine.remote_http import RemoteClient, read_whole
from aix_lsp.engine.remote_stream import EventDecoder, StreamError
from aix_lsp.engine.remote_text import as_text, before_cursor, blanks_left_out, expressible
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import FinishReason, Generation, GenerationRequest, Prompt

_LAST_WORDS_S = 0.5
"""How long the end of a finished stream is waited for, so that its connection can be used again."""

_MOST_BESIDE, _MOST_PER_TOKEN = 1_000_000, 4_096
"""Bytes of a stream that are read: a token with its scores takes some hundred, and some servers say now and then that
they are still there."""

_ALTERNATIVE_TEMPERATURE = 0.6
"""For further candidates of a greedy request: they are drawn, or they would all be the same."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to ask: the ids of the prompt, what the answer must begin with, and the tokens at the prompt's end that
    are a part of the answer already."""

    ids: tuple[int, ...]
    required: str = ""
    begun: tuple[int, ...] = ()


async def answer(
    client: RemoteClient, server: RemoteServer, request: GenerationRequest, settings: RemoteSettings
) -> Generation:
    """Ask the server. Raises RemoteError or EngineError with one line; cancelling closes the stream, and so stops the
    server."""
    start, began = time.perf_counter(), asyncio.get_running_loop().time()
    prompt = await asyncio.to_thread(_built, server, request)
    built = time.perf_counter()
    whole_s = min(settings.timeout_s, request.time_limit or settings.timeout_s)
    asking = _Asking(client, server, request, prompt, began + whole_s)
    first_s = min(whole_s, settings.first_token_timeout_s)
    try:
        try:
            async with asyncio.timeout_at(began + first_s) as limit:
                await asking.run(limit)
        except TimeoutError:
            # An answer that ended at once is empty, and right.
            if not asking.reading.first_text.is_set() and not asking.reading.finished:
                line = f"the server at {client.address.shown} sent no token within {first_s:g} s"
                raise RemoteError(line) from None
        total = time.perf_counter()
        reading = asking.reading
        first = reading.candidates.get(0) or reading.make()
        finish: FinishReason = first.finish or ("end" if reading.told_end else "timeout")
        more = await asking.others if asking.others is not None and reading.first_text.is_set() else []
    finally:
        if asking.others is not None:
            asking.others.cancel()
    return Generation(
        text=first.text,
        tokens=first.counted(),
        finish=finish,
        prompt=prompt,
        model=server.info.name,
        prompt_ms=(built - start) * 1000,
        first_token_ms=(reading.first_at - built) * 1000 if reading.first_at else 0.0,
        total_ms=(total - built) * 1000,
        alternatives=tuple(text for text in dict.fromkeys(more) if text and text != first.text),
        scores=first.scores(),
    )


class _Asking:
    """One request while it runs. `reading` is what is there of the answer, `others` the further candidates."""

    def __init__(
        self, client: RemoteClient, server: RemoteServer, request: GenerationRequest, prompt: Prompt, whole: float
    ) -> None:
        self._client = client
        self._server = server
        self._request = request
        self._prompt = prompt
        self._whole = whole
        self._body = _body(server, request, prompt)
        self._before = before_cursor(server.tokenizer, prompt) if server.drops_space else ""
        self.reading = self._begun(_Way(prompt.ids), 1)
        self.others: asyncio.Task[list[str]] | None = None

    async def run(self, limit: asyncio.Timeout) -> None:
        """Ask until an answer begins as it must."""
        for way in await self._ways():
            self.reading = reading = self._begun(way, 1, _guarded(self._request.on_text))
            reading.prime(way.begun)
            if reading.finished:
                return
            if self._request.candidates > 1 and self.others is None:
                self.others = asyncio.create_task(self._alternatives(way, reading))
            await self._read(self._sent(way, reading), reading, limit)
            if not any(candidate.missed for candidate in reading.candidates.values()):
                return
            if self.others is not None:
                self.others.cancel()
                self.others = None

    async def _ways(self) -> list[_Way]:
        """How to ask for what the prompt builder took back, best first. As if it had not is always the last way."""
        prompt, server = self._prompt, self._server
        if not prompt.required:
            return [_Way(prompt.ids, blanks_left_out(server.tokenizer, prompt, server.rendering))]
        put_back = _Way((*prompt.ids, *server.tokenizer.encode(prompt.required)))
        if is_blank(prompt.required):
            return [_Way(prompt.ids, prompt.required), put_back]
        if server.vocabulary is None:
            return [put_back]
        tokens = await spell_out(self._client, server.tokenizer, server.vocabulary, self._body, prompt.required)
        if tokens is None:
            return [put_back]
        return [_Way((*prompt.ids, *tokens), prompt.required, tuple(tokens))]

    def _begun(self, way: _Way, count: int, on_text: Callable[[str], None] | None = None) -> Reading:
        def make() -> Candidate:
            candidate = Candidate(
                self._server,
                self._request,
                self._before,
                way.required,
                TextStream(self._server.tokenizer),
                limit=self._body["max_tokens"],
            )
            candidate.begin(way.begun)
            return candidate

        return Reading(make, count, on_text)

    def _sent(self, way: _Way, reading: Reading) -> dict[str, Any]:
        """The body for a way of asking. What has begun beyond the required text is one of the tokens asked for."""
        tokenizer, rendering = self._server.tokenizer, self._server.rendering
        ids = expressible(tokenizer, way.ids, rendering)
        prompt = ids if self._server.prompt == "tokens" else as_text(tokenizer, ids, rendering)
        begun = sum(bool(candidate.text) for candidate in reading.candidates.values())
        return {**self._body, "prompt": prompt, "max_tokens": max(1, self._body["max_tokens"] - begun)}

    async def _read(self, body: Mapping[str, Any], reading: Reading, limit: asyncio.Timeout) -> None:
        """Read a stream until every candidate has ended. `limit` is moved to the end of all time once there is text,
        and to a moment from now when only the end of the stream is left. Raises RemoteError for one that breaks off."""
        loop = asyncio.get_running_loop()
        events, received = EventDecoder(), 0
        most = _MOST_BESIDE + _MOST_PER_TOKEN * body["max_tokens"] * reading.expected
        async with self._client.stream(COMPLETIONS, body, model=self._server.model) as response:
            kind = response.headers.get("content-type", "")
            if "event-stream" not in kind:
                # A server, or something in front of it, that sends the answer whole.
                reading.take((await read_whole(response)).decode("utf-8", "replace"))
                return
            async for content in response.aiter_bytes():
                received += len(content)
                if received > most:
                    raise StreamError("more than an answer can be")
                for data in events.feed(content):
                    reading.take(data)
                if reading.stopped_by_us:
                    return
                if reading.finished:
                    limit.reschedule(min(self._whole, loop.time() + _LAST_WORDS_S))
                elif reading.first_text.is_set():
                    limit.reschedule(self._whole)
        if not reading.finished:
            raise cut_off(self._client.address.shown)

    async def _alternatives(self, way: _Way, first: Reading) -> list[str]:
        """Further candidates, asked for once the first has begun: the server then has the prompt in its cache. They are
        a bonus: nothing that goes wrong with them is an error."""
        await first.first_text.wait()
        wanted = self._request.candidates - 1
        varied = {"n": wanted, "temperature": self._request.temperature or _ALTERNATIVE_TEMPERATURE}
        reading = self._begun(way, wanted)
        try:
            async with asyncio.timeout_at(self._whole) as limit:
                await self._read({**self._sent(way, reading), **_drawn(self._request), **varied}, reading, limit)
        except (EngineError, TimeoutError):
            pass
        return [candidate.text for _, candidate in sorted(reading.candidates.items())]


def _built(server: RemoteServer, request: GenerationRequest) -> Prompt:
    try:
        return request.build_prompt(server.tokenizer, server.info)
    except EngineError:
        raise
    except BaseException as error:  # also a panic of the tokenizer's library, which is no Exception
        raise EngineError(f"the prompt could not be built: {named(error)}") from error


def _body(server: RemoteServer, request: GenerationRequest, prompt: Prompt) -> dict[str, Any]:
    """What is sent for the first candidate, with the prompt as ids. Raises EngineError where that leaves no room."""
    room = server.info.max_positions - len(prompt.ids)
    if room < 1:
        raise EngineError(
            f"the prompt has {len(prompt.ids)} tokens, and {server.info.name} takes at most "
            f"{server.info.max_positions} together with the completion"
        )
    body: dict[str, Any] = {
        "model": server.model,
        "prompt": list(prompt.ids),
        "max_tokens": min(request.max_new_tokens, room),
        "temperature": request.temperature,
        "stream": True,
        **server.extras,
        # 0 would do for vLLM, but to llama.cpp it means none
        **({"logprobs": 1} if server.tells_scores else {}),
    }
    return body | _drawn(request) if request.temperature > 0 else body


def _drawn(request: GenerationRequest) -> dict[str, Any]:
    return {"top_p": request.top_p} | ({} if request.seed is None else {"seed": request.seed})


def _guarded(on_text: Callable[[str], None] | None) -> Callable[[str], None] | None:
    """The receiver of the text, whose own failure ends the request with a line."""
    if on_text is None:
        return None

    def show(text: str) -> None:
        try:
            on_text(text)
        except Exception as error:
            raise EngineError(f"the receiver of the text failed: {named(error)}") from error

    return show
