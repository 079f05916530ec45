"""workspace/executeCommand: acceptance, status, switching off and on, why the latest answer is as it is, and which text
the server holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcServerNotInitialized

from aix_lsp.server.handlers.inline_completion import ACCEPTED

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer
    from aix_lsp.server.session import Session

STATUS = "aix.status"
TOGGLE = "aix.toggle"
PAUSE = "aix.pause"
TRACE = "aix.trace"
DOCUMENTS = "aix.documents"


def register(server: AixServer) -> None:
    """Register the commands."""

    @server.command(ACCEPTED)
    def accepted(*arguments: Any) -> bool:
        """The client inserted this item; counted here and nowhere else. False for an unknown item."""
        session = server.session
        return session.started.is_set() and bool(arguments) and session.acceptance.accepted(str(arguments[0]))

    @server.command(STATUS)
    def status(*arguments: Any) -> dict[str, Any]:
        """What the server is doing, for a status bar or a person. `state` and `message` are the engine's; `status` is
        what `aix/status` tells (`server/status.py`), `switch` what `aix.toggle` and `aix.pause` have done."""
        from aix_lsp.completion.folder_report import folder_to_dict

        session = server.session
        told = session.activity.status().params()
        if not session.started.is_set():
            return {"state": "starting", "status": told}
        engine = session.engine
        return {
            "state": engine.state.phase,
            "message": engine.state.message,
            "status": told,
            "switch": session.switch.state(session.settings),
            "model": engine.model.name if engine.model is not None else None,
            "device": engine.model.device if engine.model is not None else None,
            "sharing": getattr(engine, "sharing", ""),
            "folders": [folder_to_dict(folder) for folder in session.context.folders],
            "engine": {"runs": session.service.runs, "background_runs": session.service.background_runs},
            "counts": dict(session.statistics.totals),
        }

    @server.command(TOGGLE)
    def toggle(*arguments: Any) -> dict[str, Any]:
        """Switch completions off or on for this session: everywhere, or for the language identifier given. Off holds
        for explicit requests too. Returns the new state (`Switch.state`)."""
        refuse_before_start(server)
        language = _only(arguments, "a language identifier or nothing", str, "")
        state = server.session.switch.toggle(server.session.settings, language)
        _stop_if_off(server.session)
        return state

    @server.command(PAUSE)
    def pause(*arguments: Any) -> dict[str, Any]:
        """Offer nothing for so many minutes (30), explicit requests included; 0, or the command once more, resumes, and
        so does the end of the time. Returns the new state (`Switch.state`)."""
        from aix_lsp.server.switch import PAUSE_MINUTES

        refuse_before_start(server)
        minutes = _only(arguments, "a number of minutes or nothing", (int, float), PAUSE_MINUTES)
        try:
            state = server.session.switch.pause(server.session.settings, minutes)
        except (ValueError, OverflowError) as error:
            raise JsonRpcInvalidParams(str(error)) from error
        _stop_if_off(server.session)
        return state

    @server.command(TRACE)
    def trace(*arguments: Any) -> dict[str, Any] | None:
        """How the latest request was answered: snippets, timings, model, what was cut from the prompt and which
        rules changed the text. Kept in memory alone; asking for it is consent to send it to the client. With the
        argument "summary" its long texts are left out."""
        from aix_lsp.completion.trace_data import traced_to_dict

        session = server.session
        latest = session.trace.latest if session.started.is_set() else None
        if latest is None:
            return None
        data = traced_to_dict(latest)
        if arguments == ("summary",):
            for name in ("snippets", "prompt", "raw", "before", "after"):
                data.pop(name, None)
        return data

    @server.command(DOCUMENTS)
    def documents(*arguments: Any) -> list[dict[str, Any]]:
        """The open documents in the order in which they were opened, without their text: a client can tell whether the
        server holds what the editor shows. `characters` are Unicode code points, `sha256` is of the text in UTF-8."""
        return [
            {
                "uri": document.uri,
                "version": document.version,
                "characters": len(document.text),
                # a client may send half of a surrogate pair
                "sha256": hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest(),
            }
            for document in server.session.documents
        ]


def refuse_before_start(server: AixServer) -> None:
    """Raises JsonRpcServerNotInitialized until the server has started."""
    if not server.session.started.is_set():
        raise JsonRpcServerNotInitialized("the server is still starting; try again in a moment")


def _stop_if_off(session: Session) -> None:
    """A request that is on its way gets an empty answer at once where nothing is to be offered any more."""
    if session.activity.status().state in ("off", "paused") and session.in_flight is not None:
        session.in_flight()


def _only(arguments: Sequence[Any], wanted: str, kinds: type | tuple[type, ...], default: Any) -> Any:
    """The one argument of a command, or the default for none or null. Refused with one line where it is none of these
    kinds."""
    value = arguments[0] if arguments else None
    if value is None:
        return default
    if len(arguments) > 1 or not isinstance(value, kinds) or isinstance(value, bool):
        refusal: JsonRpcException = JsonRpcInvalidParams(f"this command takes {wanted}")
        raise refusal
    return value
