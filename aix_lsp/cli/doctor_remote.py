"""What `aix-lsp doctor` says of a model on another machine. The server is really asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from aix_lsp.cli.doctor import Finding
from aix_lsp.engine.base import EngineError
from aix_lsp.engine.job import describe
from aix_lsp.engine.prompt_limits import format_in_words
from aix_lsp.engine.remote_check import RemoteServer, check
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.engine.tokenizer import ModelTokenizer
from aix_lsp.prompt.fim import family_of
from aix_lsp.settings import Settings
from aix_lsp.settings_remote import RemoteSettings


def examine_server(settings: Settings) -> Iterator[Finding]:
    """Whether the server answers, and whether it reads prompts as they are meant."""
    if not settings.remote.url:
        yield Finding("server", "fail", "model.name is remote, but remote.url names no server", "set remote.url")
        return
    try:
        server, place, has_token = asyncio.run(_asked(settings.remote))
    except (EngineError, ValueError, OSError) as error:
        meanwhile = "the embedded model answers meanwhile" if settings.remote.fallback else "nothing is offered"
        yield Finding("server", "fail", str(error), f"until it is there, {meanwhile} (remote.fallback)")
        return
    except Exception as error:  # noqa: BLE001  # whatever it was, it is a finding, and the other checks go on
        yield Finding("server", "fail", f"the check itself failed ({describe(error)})", "please report this line")
        return
    token = f"with the token of {settings.remote.token_env} or remote.token" if has_token else "without a token"
    yield Finding("server", "ok", f"{place}, {token}; one token in {server.latency_ms:.0f} ms")
    info = server.info
    note = f". {info.note}" if info.note else ""
    detail = f"{server.model}: {info.max_positions:,} positions, {format_in_words(info)}{note}"
    yield Finding("model", "ok", detail)
    yield _tokenizer(server)
    for warning in server.warnings:
        yield Finding("server", "warn", warning)


async def _asked(settings: RemoteSettings) -> tuple[RemoteServer, str, bool]:
    client = await asyncio.to_thread(RemoteClient, settings, os.environ)
    try:
        return await check(client, settings), client.address.shown, client.has_token
    finally:
        await client.close()


def _tokenizer(server: RemoteServer) -> Finding:
    tokenizer: ModelTokenizer = server.tokenizer
    family = family_of(tokenizer)
    detail = f"{tokenizer.vocabulary_size:,} pieces; checked with the server: {server.finding}"
    if family is None:
        return Finding(
            "tokenizer",
            "warn",
            f"{detail}; no fill-in-the-middle markers: the text after the cursor is not used",
            "serve a model that was trained to fill in the middle",
        )
    return Finding("tokenizer", "ok", f"{detail}; markers of {family.name}")
