"""What the server is at: the requests in flight and the last results, and with them the status of a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.server.status import Status, StatusLine, View, decide

if TYPE_CHECKING:
    from aix_lsp.server.session import Session
    from aix_lsp.types import CompletionResult, DocumentSnapshot


class Activity:
    """Follows one session's requests and tells the client what changes."""

    def __init__(self, session: Session) -> None:
        self.is_remote = False
        """Whether the model runs on a server elsewhere."""
        self._session = session
        self._line = StatusLine(self.status, session.server.loop, log=session.messages.note)
        self._running = 0
        self._language = ""
        self._path: Path | None = None
        self._latency_ms: float | None = None
        self._failure = ""

    def tell_with(self, send: Callable[[dict[str, Any]], None]) -> None:
        """The client wants to be notified, from the next change on: `initialize` is not answered yet."""
        self._line.send = send

    def changed(self) -> None:
        """Something happened that the status may depend on."""
        self._line.changed()

    def close(self) -> None:
        """Tell nothing more."""
        self._line.close()

    def at(self, document: DocumentSnapshot) -> None:
        """The user is in this document now."""
        if (document.language_id, document.path) != (self._language, self._path):
            self._language, self._path = document.language_id, document.path
            self.changed()

    def asked(self) -> None:
        """A request begins."""
        self._running += 1
        self.changed()

    def answered(self, result: CompletionResult) -> None:
        """A request ended."""
        self._running = max(self._running - 1, 0)
        if result.items:
            self._latency_ms = result.timings.total
        if result.failed:
            self._failure = result.reason
        elif result.model:
            self._failure = ""
        self.changed()

    def status(self) -> Status:
        """What the server is doing now."""
        session = self._session
        if not session.started.is_set():
            if session.settled.is_set():
                return Status("failed", "the server could not start; run `aix-lsp doctor`")
            return Status("loading", "starting")
        settings = session.told_settings_for(self._path)
        return decide(
            View(
                engine=session.engine.state,
                model=session.engine.model,
                language=self._language,
                silence=session.switch.silence(settings, self._language),
                paused=session.switch.paused_seconds > 0,
                busy=self._running > 0,
                folders=session.reports.folders(),
                troubles=session.reports.troubles,
                failure=self._failure,
                other_languages=settings.completion.other_languages,
                is_remote=self.is_remote,
                latency_ms=self._latency_ms,
            )
        )
