"""The way to a model's server: its address, TLS, token, proxy and time limits, and requests that fail in one line.

Only connecting is tried again. Answers are asked for uncompressed, and refused otherwise: a compressed stream would
arrive in lumps, and a kilobyte may become a gigabyte.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import certifi
import httpx

import aix_lsp
from aix_lsp.addresses import is_loopback
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.remote_errors import Proxy, RemoteError, compressed, connection_error, garbage, status_error
from aix_lsp.engine.remote_stream import StreamError
from aix_lsp.logs import fields, new_request_id, request_id
from aix_lsp.settings_remote import RemoteSettings

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-Id"
"""The header by which a line in the server's log is found again: a random prefix of this process and counts."""

_RETRY_AFTER_S = 0.1
_KEPT_S = 4.0
"""How long a connection is kept for the next request: less than the 5 s after which these servers close it."""

_MOST, _MOST_KEPT = 256, 32
"""Connections at once, and kept. An editor has a few; `aix-lsp eval` has as many as its --batch says."""

LARGEST_ANSWER = 16_000_000
"""Bytes. Hundreds of tokens with their scores are a hundredth of that."""

_LARGEST_ERROR = 65_536

_MOST_COOKIES = 4_096
"""Characters of all together. Servers take 8 KB of header, or more."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. `shown` has neither user nor password, and stands in every message."""

    root: httpx.URL
    shown: str

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        host = self.root.host
        try:
            return is_loopback(host)
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def address_of(url: str) -> Address:
    """The address in the settings, with or without `/v1` or `/v1/completions`. Raises ModelError."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ModelError("remote.url is no address; it looks like https://models.example.org or http://127.0.0.1:8000")
    path = parsed.path.rstrip("/").removesuffix("/completions").removesuffix("/v1")
    root = parsed.copy_with(path=path or "/", query=None, fragment=None)
    return Address(root, str(root.copy_with(username=None, password=None)).rstrip("/"))


def without_credentials(url: str) -> str:
    """An address as it may be shown, whatever was typed: without all that stands before its last @. A password may hold
    any character, a slash too, and then nobody can tell where it ends: rather too much is cut than too little."""
    scheme, separator, rest = url.rpartition("@")[0].partition("://")
    shown = url.rpartition("@")[2]
    return f"{scheme}://{shown}" if separator and rest and scheme.isalnum() else shown


def token_of(settings: RemoteSettings, environment: Mapping[str, str]) -> str:
    """The token for the server, from the environment or the settings; empty where there is none. Raises ModelError for
    one that no HTTP header can hold."""
    token = (environment.get(settings.token_env, "") or settings.token.get_secret_value()).strip()
    if not all(" " < character <= "~" for character in token):
        raise ModelError(
            f"the token for the server ({settings.token_env}, remote.token) has characters that no HTTP header takes"
        )
    return token


class RemoteClient:
    """Requests to one server. Make it and use it on one event loop; `close` ends every request that is on its way."""

    def __init__(self, settings: RemoteSettings, environment: Mapping[str, str]) -> None:
        """Reads the certificates, which takes a while: not on an event loop. Raises ModelError."""
        self.address = address_of(settings.url)
        self._settings = settings
        self._numbers = itertools.count(1)
        token = token_of(settings, environment)
        self.has_token = bool(token)
        self._proxy = _proxy_for(self.address, settings)
        if token and self.address.root.userinfo:
            raise ModelError(
                f"remote.url holds a user and there is a token ({settings.token_env}, remote.token): only one can be "
                "sent; take one away"
            )
        self._token_name = settings.token_env if token else f"({settings.token_env})"
        headers = {"Accept-Encoding": "identity", "User-Agent": f"aix-lsp/{aix_lsp.__version__}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._client = httpx.AsyncClient(
                headers=headers,
                verify=_trust(settings.ca_file if self.address.root.scheme == "https" else None),
                proxy=settings.proxy if settings.proxy not in ("", "none") else None,
                # A proxy of the environment is for other machines.
                trust_env=settings.proxy == "" and not self.address.is_local,
                timeout=httpx.Timeout(None, connect=settings.connect_timeout_s, pool=settings.connect_timeout_s),
                limits=httpx.Limits(
                    max_connections=_MOST, max_keepalive_connections=_MOST_KEPT, keepalive_expiry=_KEPT_S
                ),
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            proxy = without_credentials(settings.proxy) or "of the environment"
            raise ModelError(f"the proxy {proxy} cannot be used (remote.proxy); it wants http:// or https://") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, path: str, *, timeout_s: float) -> Any:
        """The JSON at a path of the server. Raises RemoteError."""
        async with asyncio.timeout(timeout_s):
            async with self._sent("GET", path, None) as response:
                return await self._json(response)

    async def post(self, path: str, body: Mapping[str, Any], *, model: str = "", timeout_s: float) -> Any:
        """The JSON that answers a JSON body. Raises RemoteError, TimeoutError after `timeout_s`."""
        async with asyncio.timeout(timeout_s):
            async with self._sent("POST", path, body, model) as response:
                return await self._json(response)

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any], *, model: str = "") -> AsyncIterator[httpx.Response]:
        """An answer whose body is still to be read. Leaving the block closes its connection if there is more to come,
        which is what makes the server stop. Raises RemoteError, also for what happens inside the block."""
        async with self._sent("POST", path, body, model) as response:
            yield response

    @asynccontextmanager
    async def _sent(
        self, method: str, path: str, body: Mapping[str, Any] | None, model: str = ""
    ) -> AsyncIterator[httpx.Response]:
        try:
            response = await self._connected(method, path, body)
            self._limit_cookies()
            try:
                plain = response.headers.get("content-encoding", "").strip().lower() in ("", "identity")
                if response.status_code != 200:
                    content = await _beginning(response) if plain else b""
                    raise status_error(response, content, self.address.shown, model=model, token_name=self._token_name)
                if not plain:
                    raise compressed(self.address.shown)
                yield response
            finally:
                await response.aclose()
        except StreamError as error:
            raise garbage(self.address.shown, str(error)) from None
        except httpx.HTTPError as error:
            limit = self._settings.connect_timeout_s
            raise connection_error(error, self.address.shown, connect_timeout=limit, proxy=self._proxy) from error

    def _limit_cookies(self) -> None:
        """What spreads requests over several servers knows us again by a cookie. One that sends more and more of them
        gets none back: in the end it would refuse every request, for its header's length."""
        if sum(len(cookie.name) + len(cookie.value or "") for cookie in self._client.cookies.jar) > _MOST_COOKIES:
            self._client.cookies.clear()

    async def _connected(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        root = self.address.root
        url = root.copy_with(path=root.path.rstrip("/") + path)
        # of its own for each: to vLLM two of one id are one request
        name = f"{request_id.get() or new_request_id()}.{next(self._numbers)}"
        headers = {REQUEST_ID: name}
        logger.debug("sent", extra=fields(path=path, name=name))
        request = self._client.build_request(method, url, json=body, headers=headers)
        try:
            return await self._client.send(request, stream=True)
        except httpx.ConnectError:
            # Nothing was sent yet. A server that is being restarted is often there a moment later.
            await asyncio.sleep(_RETRY_AFTER_S)
        request = self._client.build_request(method, url, json=body, headers=headers)
        return await self._client.send(request, stream=True)

    async def _json(self, response: httpx.Response) -> Any:
        content = await read_whole(response)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            what = "a page" if "html" in kind else "something else"
            raise RemoteError(
                f"the server at {self.address.shown} sent {what} where JSON was expected; check remote.url",
                down=True,
            ) from None


def _proxy_for(address: Address, settings: RemoteSettings) -> Proxy | None:
    """What is called instead of the server; None where the server itself is. Of the environment as httpx reads it."""
    if settings.proxy:
        return None if settings.proxy == "none" else Proxy(without_credentials(settings.proxy), "remote.proxy")
    if address.is_local or urllib.request.proxy_bypass(address.root.host):
        return None
    found = urllib.request.getproxies()
    for scheme in (address.root.scheme, "all"):
        if found.get(scheme):
            return Proxy(without_credentials(found[scheme]), f"{scheme.upper()}_PROXY of the environment")
    return None


async def _beginning(response: httpx.Response) -> bytes:
    """What is there of an error's body, and of a long one the beginning: its status says what is wrong, however long
    the page is, and whether it comes to its end or not."""
    content = bytearray()
    with contextlib.suppress(httpx.HTTPError):
        async for part in response.aiter_bytes():
            content += part
            if len(content) >= _LARGEST_ERROR:
                break
    return bytes(content[:_LARGEST_ERROR])


async def read_whole(response: httpx.Response) -> bytes:
    """An answer's body. Raises StreamError for one that is larger than any answer."""
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > LARGEST_ANSWER:
            raise StreamError("more than an answer can be")
    return bytes(content)


def _trust(ca_file: str | None) -> ssl.SSLContext:
    """What a server's certificate is checked against: `ca_file` alone, else the system's authorities and Mozilla's.
    None is for a server without TLS: to read all authorities takes longer than anything else at start."""
    if ca_file is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not ca_file:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "no PEM certificates"
        raise ModelError(f"remote.ca_file {ca_file} cannot be used: {reason}") from None
