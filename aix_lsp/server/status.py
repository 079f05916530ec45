"""What the server is doing, in one word and one line: for a status bar, the editor's log, and `aix.status`.

The notification `aix/status` goes to clients that ask for it with the experimental capability
`{"experimental": {"aix": {"status": true}}}` in `initialize`; others would take it for an unknown method, and some
(VS Code's client) log that as an error each time. Its params:

    {"state": "ready", "message": "aix-mini is ready (cpu, float32)", "model": "aix-mini", "device": "cpu",
     "latencyMs": 85, "language": "python", "offReason": "completions are paused for 30 more minutes (…)"}

- `state`: `loading` (the model), `indexing` (the workspace; completions work), `ready`, `busy` (working on a request),
  `degraded` (completions work less well than they could, `message` says why), `failed` (there are none until something
  is done about it), `off` (by the settings or `aix.toggle`), `paused` (`aix.pause`).
- `message`: one line for a person, never source text. `model` and `device`: null while there is none.
- `latencyMs`: how long the latest offer took; null before the first. `language`: of the latest request.
- `offReason`: with `off` and `paused`.

It is sent on changes only, at most five times a second; a request that is answered at once never shows as busy. Every
change but those from and to `busy` is also written to the editor's log (`window/logMessage`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

from aix_lsp.text import beside

if TYPE_CHECKING:
    from aix_lsp.completion.kept import Clock, Handle
    from aix_lsp.engine.base import EngineState
    from aix_lsp.types import ModelInfo

METHOD = "aix/status"

State = Literal["loading", "indexing", "ready", "busy", "degraded", "failed", "off", "paused"]

_PAUSE_SECONDS = 0.2
"""Between two notifications."""
_BUSY_SECONDS = 0.05
"""A request that takes no longer is never shown as busy: a status bar that flickers at each key tells nothing."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is shown; see the params above."""

    state: State
    message: str = ""
    model: str | None = None
    device: str | None = None
    latency_ms: float | None = None
    language: str = ""
    off_reason: str = ""

    def params(self) -> dict[str, Any]:
        """As it is sent."""
        data: dict[str, Any] = {
            "state": self.state,
            "message": self.message,
            "model": self.model,
            "device": self.device,
            "latencyMs": None if self.latency_ms is None else round(self.latency_ms, 1),
        }
        if self.language:
            data["language"] = self.language
        if self.off_reason:
            data["offReason"] = self.off_reason
        return data


@dataclass(frozen=True, slots=True)
class Folder:
    """The index of one folder: whether it is being made, and what is wrong with it."""

    name: str
    indexing: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All that the state depends on.

    `silence` is why nothing is offered in the current language. `troubles` are what the engine warned of and still
    holds (another model answers, less memory); `failure` why the latest request failed. `is_remote`: the model runs on
    a server elsewhere, which is looked at again by itself when it was away, so that nothing has failed for good, and
    what it warns of is no loss of quality.
    """

    engine: EngineState
    model: ModelInfo | None = None
    language: str = ""
    silence: str = ""
    paused: bool = False
    busy: bool = False
    folders: Sequence[Folder] = ()
    troubles: Sequence[str] = ()
    failure: str = ""
    other_languages: bool = False
    is_remote: bool = False
    latency_ms: float | None = None


def decide(view: View) -> Status:
    """The state of a moment. What the user switched off comes first, then what keeps requests from being answered, then
    work in progress, then what makes answers worse than they could be."""
    model = view.model
    status = Status(
        "ready",
        view.engine.message,
        model.name if model is not None else None,
        model.device if model is not None else None,
        view.latency_ms,
        view.language,
    )
    if view.silence:
        return replace(status, state="paused" if view.paused else "off", message=view.silence, off_reason=view.silence)
    if view.engine.phase == "failed" and model is None and not view.is_remote:
        return replace(status, state="failed")
    if view.engine.phase == "loading":
        return replace(status, state="loading")
    worse = _worse(view)
    if worse:
        status = replace(status, state="degraded", message=reduce(beside, worse))
    elif indexing := [folder.name for folder in view.folders if folder.indexing]:
        status = replace(status, state="indexing", message=f"indexing {', '.join(indexing)}")
    return replace(status, state="busy") if view.busy else status


def _worse(view: View) -> list[str]:
    found = []
    if view.engine.phase == "failed":
        message = view.engine.message
        found.append(beside(message, f"{view.model.name} answers meanwhile") if view.model is not None else message)
    if not view.is_remote:
        found += view.troubles
    if view.failure and view.failure not in found and view.failure != view.engine.message:
        found.append(view.failure)
    model, language = view.model, view.language
    if model is not None and not view.other_languages and language and language not in (model.languages or (language,)):
        found.append(f"{model.name} knows {', '.join(model.languages)} only: silent in {language}, ask explicitly")
    found += [folder.trouble for folder in view.folders if folder.trouble]
    return found


class StatusLine:
    """Tells the client of changes. `look` gives the status of now; `send` is None for a client that does not want the
    notification; `log` writes a line to the editor's log."""

    def __init__(
        self,
        look: Callable[[], Status],
        clock: Clock,
        *,
        log: Callable[[str], None],
        send: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.send = send
        self._look = look
        self._clock = clock
        self._log = log
        self._sent: Status | None = None
        self._sent_at = float("-inf")
        self._logged: tuple[str, str] = ("", "")
        self._timer: Handle | None = None
        self._due = 0.0

    def changed(self) -> None:
        """Something happened; tell it now or soon, if it makes a difference."""
        status = self._look()
        self._write(status)
        if self.send is None:
            return
        if _same(status, self._sent):
            self.close()
            return
        now = self._clock.time()
        due = max(self._sent_at + _PAUSE_SECONDS, now + _BUSY_SECONDS if status.state == "busy" else now)
        if due <= now:
            self._tell(status)
        elif self._timer is None or due < self._due:
            self.close()
            self._due = due
            self._timer = self._clock.call_later(due - now, self._time_has_come)

    def close(self) -> None:
        """Send nothing more of what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_has_come(self) -> None:
        self._timer = None
        status = self._look()
        self._write(status)
        if not _same(status, self._sent):
            self._tell(status)

    def _tell(self, status: Status) -> None:
        self.close()
        self._sent, self._sent_at = status, self._clock.time()
        if self.send is not None:
            self.send(status.params())

    def _write(self, status: Status) -> None:
        """To the log, but for flips to and from busy, the steps of a load, and the minutes of a pause."""
        told = (status.state, "" if status.state in ("loading", "indexing", "paused") else status.message)
        if status.state != "busy" and told != self._logged:
            self._logged = told
            self._log(f"status: {status.state}" + (f", {status.message}" if status.message else ""))


def _same(one: Status, other: Status | None) -> bool:
    """Whether the client would learn nothing; how long an answer took is told with something else."""
    return other is not None and replace(one, latency_ms=None) == replace(other, latency_ms=None)
