"""A model's server that is not there, not yet, not any more, or that says nothing."""

from __future__ import annotations

import asyncio
import socket
import time

from tests.e2e.conftest import status
from tests.faults.fault import NotHere, Stage, fault
from tests.faults.remote_answers import choice
from tests.faults.remote_stage import fails_and_comes_back, remote_editor, served, told_once, until_offers
from tests.unit.remote_server import Fault, ModelServer


async def hang(writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client has gone."""
    await _until_gone(writer, b"", 60.0)


async def _until_gone(writer: asyncio.StreamWriter, part: bytes, pause: float) -> None:
    while not writer.transport.is_closing():
        writer.write(part)
        await asyncio.sleep(min(pause, 0.1))


@fault("a server that is away is told once, and found when it comes, goes and comes again", group="remote")
async def remote_refuses_connections(stage: Stage) -> str:
    """Nothing listens at the start; then the server comes, goes in the middle of the session, and comes again."""
    async with ModelServer() as server:
        await server.stop()
        editor = await remote_editor(stage, server, ready=False)
        told = await told_once(editor, "refuses the connection; is it running?")
        await editor.works(offers=False)
        assert (now := await status(editor.client))["status"]["state"] == "degraded", now
        for _ in range(2):
            await server.listen()
            await until_offers(editor)
            assert (now := await status(editor.client))["state"] == "ready", now
            await server.stop()
            await editor.works(offers=False)
        await told_once(editor, "refuses the connection")
        assert len(editor.shown()) == 1, editor.shown()
        return told


@fault(
    "a server that does not say a word is told once, and requests that follow are asked", group="remote", quick=False
)
async def remote_hangs_before_its_headers(stage: Stage) -> str:
    """The connection is taken, and then nothing."""
    async with served(stage, first_token_timeout_s=0.5) as (server, editor):
        server.fault = Fault(reply=hang)
        told = await fails_and_comes_back(server, editor, "sent no token within 0.5 s")
        assert (await status(editor.client))["state"] == "ready"
        return told


@fault("headers that drip do not hold a request longer than silence does", group="remote", quick=False)
async def remote_drips_its_headers(stage: Stage) -> str:
    """A letter of a header in a tenth of a second, for ever; and events that have no text."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        await _until_gone(writer, b"x", 0.1)

    async def drip_events(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await _until_gone(writer, choice(text=""), 0.1)

    async with served(stage, first_token_timeout_s=0.5) as (server, editor):
        for reply in (drip, drip_events):
            server.fault = Fault(reply=reply)
            told = await fails_and_comes_back(server, editor, "sent no token within 0.5 s")
        return told


@fault("what came before the silence is offered, and nobody waits for the rest", group="remote", quick=False)
async def remote_hangs_in_the_middle(stage: Stage) -> str:
    """Two tokens, and then nothing."""
    async with served(stage, timeout_s=1.0) as (server, editor):
        server.fault = Fault(after=2, ends="hang")
        await editor.works()
        server.fault = None
        await until_offers(editor)
        assert not editor.shown(), editor.shown()
        return "two tokens are offered"


@fault("a server that hangs from the start is told once, and found when it speaks", group="remote", quick=False)
async def remote_hangs_from_the_start(stage: Stage) -> str:
    """The first look at it ends after 20 seconds; until then requests say that the model is still loading."""
    async with ModelServer() as server:
        server.fault = Fault(reply=hang, everywhere=True)
        began = time.monotonic()
        editor = await remote_editor(stage, server, ready=False)
        await editor.works(offers=False)
        told = await told_once(editor, "did not answer within 20 s")
        waited = time.monotonic() - began
        server.fault = None
        await until_offers(editor)
        assert len(editor.shown()) == 1, editor.shown()
        return f"{told}; told after {waited:.0f} s"


@fault("a name that nobody knows is told once", group="remote", quick=False)
async def remote_name_does_not_resolve(stage: Stage) -> str:
    """`.invalid` is a name that never resolves (RFC 2606). Where no name server answers, that it cannot be reached."""
    async with ModelServer() as server:
        editor = await remote_editor(stage, server, ready=False, url="http://models.invalid:9")
        told = await told_once(editor, "models.invalid")
        assert "is not known; check remote.url" in told or "cannot be reached" in told, told
        await editor.works(offers=False)
        assert len(editor.shown()) == 1, editor.shown()
        return told


@fault("an IPv6 address works, and is told as it is written", group="remote", quick=False)
async def remote_at_an_ipv6_address(stage: Stage) -> str:
    """`http://[::1]:PORT`, there and away."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise NotHere("this machine has no IPv6") from error
    async with served(stage, ModelServer(host="::1")) as (server, editor):
        await server.stop()
        await editor.works(offers=False)
        told = await told_once(editor, "http://[::1]:")
        await server.listen()
        await until_offers(editor)
        return told


@fault("another model takes the place of one that is gone only where none was named", group="remote", quick=False)
async def remote_model_is_gone(stage: Stage) -> str:
    """The server is started anew with another model, and later with the one that the settings name."""
    async with served(stage, model="aix-mini") as (server, editor):
        server.models = ("other",)
        await editor.works(offers=False)
        await editor.until_shown("has no model aix-mini; it has other")
        asked = len(server.completions)
        await editor.works(offers=False)
        assert len(server.completions) == asked, "a model that is not there was asked"
        assert len(editor.shown()) == 2, editor.shown()
        server.models = ("aix-mini",)
        began = time.monotonic()
        await until_offers(editor)
        return f"found again after {time.monotonic() - began:.0f} s"


@fault("the embedded model answers meanwhile, and it is told once", group="remote", quick=False)
async def remote_is_away_with_a_fallback(stage: Stage) -> str:
    """`remote.fallback`, and the server comes back."""
    async with ModelServer() as server:
        await server.stop()
        editor = await remote_editor(stage, server, ready=False, fallback=True)
        told = await told_once(editor, "answers meanwhile")
        await until_offers(editor)
        await server.listen()
        async with asyncio.timeout(60):
            while not server.completions:
                await editor.works()
        assert len(editor.shown()) == 1, editor.shown()
        return told
