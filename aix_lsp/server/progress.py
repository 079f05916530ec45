"""Telling the user what the server is busy with: `$/progress`, messages shown once, and the log.

Own code instead of pygls's, which keeps every progress token for ever.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp

from aix_lsp.logs import said

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer

logger = logging.getLogger(__name__)


class Progress:
    """One running task in the client's progress display; silent where the client shows none."""

    _numbers = itertools.count(1)

    def __init__(self, server: AixServer, title: str) -> None:
        self._server = server
        self._token = f"aix-{next(self._numbers)}"
        self._supported = server.shows_progress
        self._ended = False
        if self._supported:
            future = server.protocol.send_request(
                lsp.WINDOW_WORK_DONE_PROGRESS_CREATE, lsp.WorkDoneProgressCreateParams(self._token)
            )
            # a client may refuse the token; the notifications below are then its to ignore
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._notify(lsp.WorkDoneProgressBegin(title=title, cancellable=False))

    def report(self, message: str, percent: int | None = None) -> None:
        """Say how far it is."""
        if not self._ended:
            self._notify(lsp.WorkDoneProgressReport(message=message, percentage=percent))

    def end(self, message: str = "") -> None:
        """Close the display; more calls do nothing."""
        if not self._ended:
            self._ended = True
            self._notify(lsp.WorkDoneProgressEnd(message=message or None))

    def _notify(self, value: Any) -> None:
        if self._supported:
            self._server.protocol.notify(lsp.PROGRESS, lsp.ProgressParams(token=self._token, value=value))


_MOST_REMEMBERED = 1_000
"""Warnings that are not shown again. A client that sends another wrong value each time makes another each time."""


class Messages:
    """Messages to the user; each is shown once in a session, however often its cause comes back. What stands behind its
    first semicolon (advice, or for how many seconds a server wants to be left alone) makes no other message of it."""

    def __init__(self, server: AixServer) -> None:
        self._server = server
        self._shown: dict[str, None] = {}

    def warn(self, text: str) -> None:
        """Show a warning in the editor, once."""
        cause = text.partition("; ")[0]
        if cause in self._shown:
            logger.info("%s", said(text))
        else:
            logger.warning("%s", said(text))
            self._shown[cause] = None
            if len(self._shown) > _MOST_REMEMBERED:
                del self._shown[next(iter(self._shown))]
            self._server.protocol.notify(
                lsp.WINDOW_SHOW_MESSAGE, lsp.ShowMessageParams(type=lsp.MessageType.Warning, message=f"aix: {text}")
            )

    def note(self, text: str) -> None:
        """Write a line to the editor's log of this server."""
        logger.info("%s", said(text))
        self._server.protocol.notify(
            lsp.WINDOW_LOG_MESSAGE, lsp.LogMessageParams(type=lsp.MessageType.Info, message=text)
        )
