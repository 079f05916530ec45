"""workspace/executeCommand `aix.inspect`: opens a page in the editor that says why the latest requests went so.

Asking for it is consent to have it on disk: for the user alone, until the next page or the server's end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException

from aix_lsp.uris import path_to_uri

if TYPE_CHECKING:
    from pathlib import Path

    from aix_lsp.server.app import AixServer

logger = logging.getLogger(__name__)

INSPECT = "aix.inspect"
_IN_DETAIL = 5
_SHOW_S = 15.0


def register(server: AixServer) -> None:
    """Register the command."""

    @server.command(INSPECT)
    def inspect(*arguments: Any) -> dict[str, Any] | None:
        """Write the page and have it shown. The argument is a request's number; without one it is about the latest
        ones. Answers at once with the page's path and the numbers of the requests that it shows in detail; None where
        there is nothing to show, which a message tells."""
        from aix_lsp.completion.trace_markdown import page

        session = server.session
        if not session.started.is_set():
            failed = session.settled.is_set()
            _tell(server, "the server could not start" if failed else "the server is still starting; ask again")
            return None
        log = session.trace
        number = _number(arguments)
        found = log.find(number) if number is not None else None
        if number is not None and found is None:
            kept = f"{next(iter(log)).number} to {log.latest.number}" if log.latest is not None else "none"
            _tell(server, f"request {number} is not remembered (remembered: {kept})")
            return None
        if not log.capacity:
            _tell(server, "nothing is remembered: inspect.requests is 0")
            return None
        details = [found] if found is not None else list(log)[-_IN_DETAIL:]
        try:
            text = page(details, details) if found is not None else page(list(log), details, session.given_up)
            path = session.inspecting.write_page(text)
        except OSError as error:
            _tell(server, f"the page cannot be written: {error.strerror or error}")
            return None
        session.run(_show(server, path))
        return {"path": str(path), "requests": [traced.number for traced in details]}


def _number(arguments: tuple[Any, ...]) -> int | None:
    """The number among a command's arguments; editors send them as they like, also in a list."""
    first = arguments[0] if arguments else None
    if isinstance(first, (list, tuple)):
        first = first[0] if first else None
    try:
        return int(first) if first is not None and not isinstance(first, bool) else None
    except (TypeError, ValueError, OverflowError):
        return None


async def _show(server: AixServer, path: Path) -> None:
    """Open the page, or say where it is: the client may not be able to show it, or refuse."""
    shown = False
    if get_capability(server.client_capabilities, "window.show_document.support", False):
        try:
            async with asyncio.timeout(_SHOW_S):
                answer = await server.protocol.send_request_async(
                    lsp.WINDOW_SHOW_DOCUMENT, lsp.ShowDocumentParams(uri=path_to_uri(path), take_focus=True)
                )
            shown = bool(getattr(answer, "success", False))
        except (JsonRpcException, TimeoutError):
            logger.info("the editor did not show the page")
    if not shown:
        _tell(server, f"the page is in {path}")


def _tell(server: AixServer, text: str) -> None:
    server.protocol.notify(
        lsp.WINDOW_SHOW_MESSAGE, lsp.ShowMessageParams(type=lsp.MessageType.Info, message=f"aix: {text}")
    )
