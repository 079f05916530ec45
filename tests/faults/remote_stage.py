"""An editor whose server asks a model's server in this process, and what is promised of every fault of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.conftest import trace
from tests.faults.fault import Editor, Stage
from tests.unit.remote_server import FOLDER, ModelServer

TOKEN = "token-that-nobody-may-see"
SERVER_TEXT = "words-of-the-server"
"""Put into whatever a server says; no message may hold it."""

_PROMPT_WORDS = ("amounts", "def total")
"""What `Editor.works` types."""

NO_PROXIES = {f"{kind}_proxy": "" for kind in ("http", "https", "all", "no")}
"""Those of the developer's own environment do not count: small letters go before capitals."""

BACK_S = 120.0
"""A server that is back is found after half a second to five; a machine under load may take longer."""


async def remote_editor(
    stage: Stage, server: ModelServer, *, ready: bool = True, proxies: Mapping[str, str] = NO_PROXIES, **options: Any
) -> Editor:
    """An editor for the project. `options` are those of `remote`; by default the token is one that may not be seen.
    `proxies` are variables of the environment."""
    remote = {"url": server.url, "tokenizer": FOLDER, "token": TOKEN, **options}
    environment = {**NO_PROXIES, **proxies}
    return await stage.editor(settings={"model": {"name": "remote"}, "remote": remote}, ready=ready, env=environment)


@asynccontextmanager
async def served(
    stage: Stage, server: ModelServer | None = None, **options: Any
) -> AsyncIterator[tuple[ModelServer, Editor]]:
    """A server that is well, and an editor that gets offers from it."""
    async with server or ModelServer() as listening:
        editor = await remote_editor(stage, listening, **options)
        await editor.works()
        yield listening, editor


async def until_offers(editor: Editor) -> None:
    """Wait until a request is answered with an offer again. Raises TimeoutError."""
    async with asyncio.timeout(BACK_S):
        while True:
            try:
                await editor.works(edits=1)
                return
            except AssertionError as error:
                if "no completion" not in str(error):
                    raise
                editor.mirror.close("untitled:works")
                await asyncio.sleep(0.1)


async def told_once(editor: Editor, words: str) -> str:
    """The one message with these words, once it came; one line without token, prompt or the server's own text."""
    told = await editor.until_shown(words, BACK_S / 2)
    editor.was_told_once(words)
    assert "\n" not in told
    assert len(told) < 300, told
    assert told.isprintable(), told
    assert_discreet(editor)
    return told.removeprefix("aix: ")


def assert_discreet(editor: Editor) -> None:
    """Raises AssertionError where anything that the server told the editor holds what must not be seen."""
    for message in editor.client.notifications:
        said = json.dumps(message, ensure_ascii=False)
        for secret in (TOKEN, SERVER_TEXT, *_PROMPT_WORDS):
            assert secret not in said, f"{message['method']} holds {secret!r}"


async def fails_and_comes_back(server: ModelServer, editor: Editor, words: str) -> str:
    """While the fault that was set lasts there is no offer and one message; without it offers come again. A fault that
    is told in the words of another before it opens no second message: that each gave these words is in its trace."""
    await editor.works(offers=False)
    failed = await trace(editor.client)
    assert failed["failed"], failed["reason"]
    assert words in failed["reason"], failed["reason"]
    await editor.works(offers=False)
    told = await told_once(editor, words)
    server.fault = None
    await until_offers(editor)
    await told_once(editor, words)
    return told
