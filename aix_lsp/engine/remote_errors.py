"""What can go wrong with a model on another machine, each in one line that says what to do about it.

The lines name the server without credentials, and never quote what it sent about a request: an error may repeat the
prompt, which is the user's text.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from aix_lsp.engine.base import ModelError

_LONGEST_DETAIL = 200
_LONGEST_NAME = 80
_LONGEST_WAIT_S = 3600
"""A server that asks for more, or for a date, is told of without the number."""

_TOO_OLD_OR_NEW = (9, 10)
_OTHER_HOST = (62, 64)
"""OpenSSL's codes (`X509_V_ERR_…`): not yet valid, expired; issued for another name, another address."""


class RemoteError(ModelError):
    """The server could not answer. `down` says that no other request would fare better for now, so that the server is
    looked at again before the next one is sent; `status` is that of the HTTP answer, 0 without one; `wait_s` are the
    seconds for which it has asked to be left alone, 0 where it has not."""

    def __init__(self, message: str, *, down: bool = False, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.down = down
        self.status = status
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Proxy:
    """What is called instead of a server: its address as it may be shown, and where that comes from."""

    shown: str
    setting: str


def connection_error(
    error: Exception, address: str, *, connect_timeout: float, proxy: Proxy | None = None
) -> RemoteError:
    """What an exception of httpx means. `address` is the server's, as it may be shown; `proxy` is what is called
    instead of it."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = _printable(cause.verify_message.rstrip("."))
            return RemoteError(
                f"the certificate of {address} is not trusted ({why}); {_advice(cause)}",
                down=True,
            )
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or "TLS failed").lower().replace("_", " ")
            return RemoteError(
                f"no encrypted connection to {address} ({reason}); does the server speak https there?", down=True
            )
        if isinstance(cause, socket.gaierror):
            if proxy is not None:
                return RemoteError(
                    f"the name of the proxy {proxy.shown} is not known; check {proxy.setting}", down=True
                )
            return RemoteError(f"the name of the server {address} is not known; check remote.url", down=True)
    if isinstance(error, httpx.ProxyError):
        if str(error).startswith("407"):
            return RemoteError(_proxy_wants_password(address), down=True, status=407)
        check = "remote.proxy" if proxy is None else proxy.setting
        return RemoteError(f"the proxy does not let {address} through; check {check}", down=True)
    called, check = f"the server at {address}", ""
    if proxy is not None:
        called, check = f"the proxy {proxy.shown}", f"; check {proxy.setting}"
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return RemoteError(f"{called} did not answer the call within {connect_timeout:g} s{check}", down=True)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return RemoteError(f"{called} refuses the connection{check or '; is it running?'}", down=True)
    if isinstance(error, httpx.ConnectError):
        return RemoteError(f"{called} cannot be reached{check}", down=True)
    if isinstance(error, httpx.TimeoutException):
        return RemoteError(f"the server at {address} stopped answering")
    ended = isinstance(error, httpx.RemoteProtocolError) and any(
        word in str(error) for word in ("disconnected", "closed")
    )
    if ended or isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError):
        return cut_off(address)
    return RemoteError(f"the server at {address} does not speak HTTP as expected ({type(error).__name__})")


def _advice(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _TOO_OLD_OR_NEW:
        return "whoever runs that server has to renew it; or this machine's clock is wrong"
    if error.verify_code in _OTHER_HOST:
        return "remote.url must have the name that it was issued for"
    return "if that server is yours, name the certificate authority's file in remote.ca_file"


def _proxy_wants_password(address: str) -> str:
    return f"the proxy before {address} wants a user and a password (407); put them into remote.proxy"


def cut_off(address: str) -> RemoteError:
    """The connection ended in the middle of an answer."""
    return RemoteError(f"the server at {address} broke off its answer")


def garbage(address: str, what: str) -> RemoteError:
    """The answer is none of an OpenAI-compatible server. `what` was found, in words of our own."""
    return RemoteError(f"the server at {address} sent {what} where a completion was expected; check remote.url")


def compressed(address: str) -> RemoteError:
    """The answer is compressed, which we never ask for: a small answer could become one that fills the memory."""
    return RemoteError(
        f"the server at {address} compresses its answers though it was asked not to; switch that off there, or in what "
        "stands before it"
    )


def shown_name(name: str) -> str:
    """A name that a server chose, as it may stand in a message: short, without controls and marks that turn text."""
    text = _printable(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def status_error(response: httpx.Response, body: bytes, address: str, *, model: str, token_name: str) -> RemoteError:
    """What an HTTP status other than success means. `token_name` is the environment variable for the token, in
    brackets where none is set; of `body` only our own words are told."""
    status = response.status_code
    wait_s = _wait(response.headers) if status == 429 else 0
    return RemoteError(
        _sentence(status, response.headers, body, address, model, token_name),
        down=status in (401, 403, 404, 405, 407, 502, 503, 504) or 300 <= status < 400 or wait_s > 0,
        status=status,
        wait_s=wait_s,
    )


def _sentence(status: int, headers: httpx.Headers, body: bytes, address: str, model: str, token_name: str) -> str:
    text = body[:4096].decode("utf-8", "replace").lower()
    if 300 <= status < 400:
        return f"the server at {address} sends us elsewhere ({status}); put the final address into remote.url"
    if status in (401, 403):
        wants = f"wants a token ({status}); set" if token_name.startswith("(") else f"refuses the token ({status}) of"
        return f"the server at {address} {wants} {token_name.strip('()')}"
    if status == 407:
        return _proxy_wants_password(address)
    if status in (404, 405):
        if model and "model" in text:
            return f"the server at {address} does not know the model {model} ({status}); check remote.model"
        return f"there is no /v1/completions at {address} ({status}); check remote.url"
    if status == 429:
        wait_s = _wait(headers)
        more = f"; it asks to wait {wait_s} s" if wait_s else "; try again in a moment"
        return f"the server at {address} has too many requests (429){more}"
    if status in (502, 503, 504):
        return f"the server at {address} is not ready ({status}); it may still be loading its model"
    if status >= 500:
        return f"the server at {address} failed ({status}); its log says why"
    if status == 413 or ("context" in text and ("length" in text or "exceed" in text or "maximum" in text)):
        return f"the server at {address} takes no prompt of that length ({status}); lower remote.context"
    return f"the server at {address} refused the request ({status})"


def _wait(headers: httpx.Headers) -> int:
    """For how many seconds a server wants to be left alone (RFC 9110, 10.2.3, "Retry-After"); 0 where it says none, or
    none that can be meant."""
    said = headers.get("retry-after", "").strip()
    known = said.isascii() and said.isdigit() and len(said) < 5 and int(said) <= _LONGEST_WAIT_S
    return int(said) if known else 0


def detail(body: bytes) -> str:
    """The server's own words about a request that held nothing of the user's, in one line."""
    text = " ".join(body[:4096].decode("utf-8", "replace").split())
    text = _printable(text)
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what led to it, and what is inside groups."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
