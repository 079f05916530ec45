"""A proxy on the way to the model's server that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.fault import Stage, fault
from tests.faults.remote_stage import SERVER_TEXT, remote_editor, told_once, until_offers
from tests.unit.remote_server import ModelServer


@asynccontextmanager
async def proxy(answer: str) -> AsyncIterator[int]:
    """A proxy that answers everything with this; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: {len(SERVER_TEXT)}\r\n\r\n{SERVER_TEXT}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@fault("a proxy that does not let us through is named, without its password", group="remote", quick=False)
async def remote_proxy_fails(stage: Stage) -> str:
    """Away, wanting a password, without a way on; for http and for https."""
    kinds = {
        "407 Proxy Authentication Required": ("http", "wants a user and a password (407); put them into remote.proxy"),
        "502 Bad Gateway": ("http", "is not ready (502)"),
        "407 Proxy wants more": ("https", "wants a user and a password (407); put them into remote.proxy"),
        "403 Forbidden": ("https", "the proxy does not let https://models.invalid"),
    }
    async with ModelServer() as server:
        for answer, (scheme, words) in kinds.items():
            async with proxy(answer) as port:
                way = f"http://me:pass-word@127.0.0.1:{port}"
                editor = await remote_editor(stage, server, ready=False, url=f"{scheme}://models.invalid", proxy=way)
                told = await told_once(editor, words)
                await editor.works(offers=False)
                assert "pass-word" not in str(editor.client.notifications)
                assert len(editor.shown()) == 1, editor.shown()
                await editor.client.shutdown()
        async with proxy("502 Bad Gateway") as port:
            pass
        away = f"http://me:pass-word@127.0.0.1:{port}"
        editor = await remote_editor(stage, server, ready=False, url="http://models.invalid", proxy=away)
        told = await told_once(editor, f"the proxy http://127.0.0.1:{port} refuses the connection; check remote.proxy")
        await editor.works(offers=False)
        assert "pass-word" not in str(editor.client.notifications)
        return told


@fault("a proxy that comes back is used", group="remote", quick=False)
async def remote_proxy_comes_back(stage: Stage) -> str:
    """A server that is reached through a proxy takes a request for any host, and so is a proxy."""
    async with ModelServer() as server:
        await server.stop()
        editor = await remote_editor(stage, server, ready=False, url="http://models.invalid", proxy=server.url)
        told = await told_once(editor, "refuses the connection; check remote.proxy")
        await server.listen()
        await until_offers(editor)
        return told


@fault("a proxy of the environment is named with the variable that it comes from", group="remote", quick=False)
async def remote_proxy_of_the_environment_is_away(stage: Stage) -> str:
    """Each variable, in small letters and in capitals."""
    async with proxy("502 Bad Gateway") as port:
        pass
    away = f"http://me:pass-word@127.0.0.1:{port}"
    async with ModelServer() as server:
        for variable, scheme in (("http_proxy", "http"), ("https_proxy", "https"), ("all_proxy", "http")):
            proxies = {variable: away}
            url = f"{scheme}://models.invalid"
            editor = await remote_editor(stage, server, ready=False, url=url, proxies=proxies)
            words = f"the proxy http://127.0.0.1:{port} refuses the connection; check {variable.upper()} of the"
            told = await told_once(editor, words)
            await editor.works(offers=False)
            assert "pass-word" not in str(editor.client.notifications)
            assert len(editor.shown()) == 1, editor.shown()
            await editor.client.shutdown()
        return told


@fault("a proxy of the environment is used for other machines, and not for this one", group="remote", quick=False)
async def remote_proxy_of_the_environment_is_used(stage: Stage) -> str:
    """For a name that only the proxy knows; not for 127.0.0.1, where NO_PROXY names the server, or with `none`."""
    async with ModelServer() as way, ModelServer() as server:
        proxies, elsewhere = {"http_proxy": way.url}, "http://models.invalid"
        await (await remote_editor(stage, server, url=elsewhere, proxies=proxies)).works()
        assert way.completions
        asked = len(way.seen)
        await (await remote_editor(stage, server, proxies=proxies)).works()
        for direct in ({"proxies": {**proxies, "no_proxy": "models.invalid"}}, {"proxies": proxies, "proxy": "none"}):
            options: dict[str, Any] = {"url": elsewhere, **direct}
            editor = await remote_editor(stage, server, ready=False, **options)
            told = await told_once(editor, "the server")
            assert "the proxy" not in told, told
        assert len(way.seen) == asked, "the proxy was asked"
        return told
