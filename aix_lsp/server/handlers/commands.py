"""workspace/executeCommand: acceptance and status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aix_lsp.server.handlers.inline_completion import ACCEPTED

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer

STATUS = "aix.status"
TRACE = "aix.trace"


def register(server: AixServer) -> None:
    """Register the commands."""

    @server.command(ACCEPTED)
    def accepted(*arguments: Any) -> bool:
        """The client inserted this item; counted here and nowhere else. False for an unknown item."""
        session = server.session
        return session.started.is_set() and bool(arguments) and session.acceptance.accepted(str(arguments[0]))

    @server.command(STATUS)
    def status(*arguments: Any) -> dict[str, Any]:
        """What the server is doing, for a status bar or a person."""
        from aix_lsp.completion.folder_report import folder_to_dict

        session = server.session
        if not session.started.is_set():
            return {"state": "starting"}
        engine = session.engine
        return {
            "state": engine.state.phase,
            "message": engine.state.message,
            "model": engine.model.name if engine.model is not None else None,
            "device": engine.model.device if engine.model is not None else None,
            "sharing": getattr(engine, "sharing", ""),
            "folders": [folder_to_dict(folder) for folder in session.context.folders],
            "counts": dict(session.acceptance.totals),
        }

    @server.command(TRACE)
    def trace(*arguments: Any) -> dict[str, Any] | None:
        """How the latest request was answered: snippets, timings, model, what was cut from the prompt and which
        rules changed the text. Kept in memory alone; asking for it is consent to send it to the client."""
        from aix_lsp.completion.trace_data import traced_to_dict

        session = server.session
        latest = session.trace.latest if session.started.is_set() else None
        return traced_to_dict(latest) if latest is not None else None
