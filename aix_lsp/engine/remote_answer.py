"""One request to a server from start to end: prompt, body, stream, limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.job import describe
from aix_lsp.engine.remote_candidates import Candidate, Reading
from aix_lsp.engine.remote_check import COMPLETIONS, RemoteServer
from aix_lsp.engine.remote_errors import RemoteError, cut_off
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.engine.remote_stream import EventDecoder
from aix_lsp.engine.remote_text import as_text, before_cursor, blanks_left_out, expressible
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import FinishReason, Generation, GenerationRequest, Prompt

_LAST_WORDS_S = 0.5
"""How long the end of a finished stream is waited for, so that its connection can be used again."""

_ALTERNATIVE_TEMPERATURE = 0.6
"""For further candidates of a greedy request: they are drawn, or they would all be the same."""


async def answer(
    client: RemoteClient, server: RemoteServer, request: GenerationRequest, settings: RemoteSettings
) -> Generation:
    """Ask the server. Raises RemoteError or EngineError with one line; cancelling closes the stream, and so stops the
    server."""
    start, began = time.perf_counter(), asyncio.get_running_loop().time()
    prompt = await asyncio.to_thread(_built, server, request)
    built = time.perf_counter()
    body = _body(server, request, prompt)
    whole_s = min(settings.timeout_s, request.time_limit or settings.timeout_s)
    first_s = min(whole_s, settings.first_token_timeout_s)
    reading = Reading(_maker(server, request, prompt), 1, _guarded(request.on_text))
    others: asyncio.Task[list[str]] | None = None
    if request.candidates > 1:
        others = asyncio.create_task(_alternatives(client, server, request, prompt, body, reading, began + whole_s))
    try:
        try:
            async with asyncio.timeout_at(began + first_s) as limit:
                await _read(client, server, body, reading, limit, began + whole_s)
        except TimeoutError:
            if not reading.first_text.is_set():
                line = f"the server at {client.address.shown} sent no token within {first_s:g} s"
                raise RemoteError(line) from None
        total = time.perf_counter()
        first = reading.candidates.get(0) or reading.make()
        finish: FinishReason = first.finish or ("end" if reading.told_end else "timeout")
        more = await others if others is not None and reading.first_text.is_set() else []
    finally:
        if others is not None:
            others.cancel()
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
    )


def _built(server: RemoteServer, request: GenerationRequest) -> Prompt:
    try:
        return request.build_prompt(server.tokenizer, server.info)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"the prompt could not be built: {describe(error)}") from error


def _body(server: RemoteServer, request: GenerationRequest, prompt: Prompt) -> dict[str, Any]:
    """What is sent for the first candidate. Raises EngineError for a prompt that leaves no room."""
    room = server.info.max_positions - len(prompt.ids)
    if room < 1:
        raise EngineError(
            f"the prompt has {len(prompt.ids)} tokens, and {server.info.name} takes at most "
            f"{server.info.max_positions} together with the completion"
        )
    ids = expressible(server.tokenizer, prompt.ids, server.rendering)
    body: dict[str, Any] = {
        "model": server.model,
        "prompt": ids if server.prompt == "tokens" else as_text(server.tokenizer, ids, server.rendering),
        "max_tokens": min(request.max_new_tokens, room),
        "temperature": request.temperature,
        "stream": True,
        **server.extras,
    }
    return body | _drawn(request) if request.temperature > 0 else body


def _drawn(request: GenerationRequest) -> dict[str, Any]:
    return {"top_p": request.top_p} | ({} if request.seed is None else {"seed": request.seed})


def _maker(server: RemoteServer, request: GenerationRequest, prompt: Prompt) -> Callable[[], Candidate]:
    before = before_cursor(server.tokenizer, prompt) if server.drops_space else ""
    required = prompt.required or blanks_left_out(server.tokenizer, prompt, server.rendering)
    return lambda: Candidate(server, request, before, required, TextStream(server.tokenizer))


def _guarded(on_text: Callable[[str], None] | None) -> Callable[[str], None] | None:
    """The receiver of the text, whose own failure ends the request with a line."""
    if on_text is None:
        return None

    def show(text: str) -> None:
        try:
            on_text(text)
        except Exception as error:
            raise EngineError(f"the receiver of the text failed: {describe(error)}") from error

    return show


async def _read(
    client: RemoteClient,
    server: RemoteServer,
    body: Mapping[str, Any],
    reading: Reading,
    limit: asyncio.Timeout,
    whole: float,
) -> None:
    """Read a stream until every candidate has ended. `limit` is moved to the time `whole` once there is text, and to a
    moment from now when only the end of the stream is left. Raises RemoteError for one that breaks off."""
    loop = asyncio.get_running_loop()
    events = EventDecoder()
    async with client.stream(COMPLETIONS, body, model=server.model) as response:
        kind = response.headers.get("content-type", "")
        if "event-stream" not in kind:
            # A server, or something in front of it, that sends the answer whole.
            reading.take((await response.aread()).decode("utf-8", "replace"))
            return
        async for content in response.aiter_bytes():
            for data in events.feed(content):
                reading.take(data)
            if reading.stopped_by_us:
                return
            if reading.finished:
                limit.reschedule(min(whole, loop.time() + _LAST_WORDS_S))
            elif reading.first_text.is_set():
                limit.reschedule(whole)
    if not reading.finished:
        raise cut_off(client.address.shown)


async def _alternatives(
    client: RemoteClient,
    server: RemoteServer,
    request: GenerationRequest,
    prompt: Prompt,
    body: Mapping[str, Any],
    first: Reading,
    whole: float,
) -> list[str]:
    """Further candidates, asked for once the first has begun: the server then has the prompt in its cache. They are a
    bonus: nothing that goes wrong with them is an error."""
    await first.first_text.wait()
    wanted = request.candidates - 1
    varied = {"n": wanted, "temperature": request.temperature or _ALTERNATIVE_TEMPERATURE}
    reading = Reading(_maker(server, request, prompt), wanted)
    try:
        async with asyncio.timeout_at(whole) as limit:
            await _read(client, server, {**body, **_drawn(request), **varied}, reading, limit, whole)
    except (EngineError, TimeoutError):
        pass
    return [candidate.text for _, candidate in sorted(reading.candidates.items())]
