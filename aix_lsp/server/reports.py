"""What loads and indexing tell the user: `$/progress`, messages, and what the status remembers of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aix_lsp.server.progress import Messages, Progress
from aix_lsp.server.responsive import pass_by_what_is_there
from aix_lsp.server.status import Folder
from aix_lsp.workspace.presence import does_not_answer, is_gone

if TYPE_CHECKING:
    from aix_lsp.completion.context import WorkspaceContext
    from aix_lsp.engine.base import Engine, LoadEvent
    from aix_lsp.server.app import AixServer


class Reports:
    """Takes the events of the engine and of the folders. `changed` is called when the status may be another one."""

    def __init__(self, server: AixServer, messages: Messages, changed: Callable[[], None]) -> None:
        self._server = server
        self._messages = messages
        self._changed = changed
        self._progress: dict[str, Progress] = {}
        self._indexing: set[Path] = set()
        self._warned: list[str] = []
        self.troubles: tuple[str, ...] = ()
        """What the engine warned of in its latest load, or since."""
        self._context: WorkspaceContext | None = None
        self._engine: Engine | None = None

    def watch(self, engine: Engine, context: WorkspaceContext) -> None:
        """Whose events these are, as soon as both are there."""
        self._engine, self._context = engine, context

    # the index

    def index_state(self, path: Path, state: str) -> None:
        """What `WorkspaceContext` tells of a folder."""
        if state == "indexing":
            self._indexing.add(path)
            if "index" not in self._progress:
                self._progress["index"] = Progress(self._server, "aix: indexing")
            self._progress["index"].report(path.name)
            self._changed()
            return
        if state == "silent":
            self._messages.warn(does_not_answer(str(path)))
            self._changed()
            return
        if state == "answers":
            self._messages.note(f"the workspace folder {path} answers again")
            self._changed()
            return
        self._indexing.discard(path)
        if state == "absent":
            self._messages.warn(is_gone(str(path)))
        elif state.startswith("failed"):
            why = state.removeprefix("failed: ")
            self._messages.warn(f"the folder {path.name} could not be indexed ({why}); no snippets come from it")
        elif state == "ready":
            pass_by_what_is_there()
            self._report_index(path)
        if not self._indexing and "index" in self._progress:
            self._progress.pop("index").end()
        self._changed()

    def folders(self) -> list[Folder]:
        """The folders as the status sees them."""
        from aix_lsp.completion.folder_report import cut_in_words

        found = []
        for folder in self._context.folders if self._context is not None else ():
            trouble = ""
            if folder.silent:
                trouble = f"{folder.path.name} does not answer"
            elif folder.phase == "failed":
                trouble = f"{folder.path.name} is not indexed ({folder.failure})"
            elif folder.report is not None and (cut := cut_in_words(folder.report, folder.job.max_files)):
                trouble = f"{folder.path.name} {cut}"
            found.append(Folder(folder.path.name, folder.path in self._indexing, trouble))
        return found

    def _report_index(self, path: Path) -> None:
        from aix_lsp.completion.folder_report import cut_in_words, left_out_in_words

        folders = self._context.folders if self._context is not None else ()
        known = next((item for item in folders if item.path == path), None)
        report = known.report if known is not None else None
        if known is None or report is None:
            return
        left_out = left_out_in_words(report.left_out)
        self._messages.note(
            f"indexed {report.files} files of {path.name}, {report.reused} of them as at the last start"
            + (f"; left out: {left_out}" if left_out else "")
        )
        if cut := cut_in_words(report, known.job.max_files):
            self._messages.warn(f"{path.name} {cut}")

    # the model

    def load_event(self, event: LoadEvent) -> None:
        """What the engine tells of a load."""
        self._remember(event)
        if event.kind == "progress":
            if "model" not in self._progress:
                self._progress["model"] = Progress(self._server, "aix: loading the model")
            self._progress["model"].report(event.message, event.percent)
        else:
            # A warning may be the last that is heard of a load.
            if "model" in self._progress:
                self._progress.pop("model").end(event.message)
            if event.kind == "warning":
                self._messages.warn(event.message)
            else:
                pass_by_what_is_there()
                self._messages.note(event.message)
        self._changed()

    def _remember(self, event: LoadEvent) -> None:
        """A load's warnings come after its last step and before it is ready: another model answers, memory ran out. A
        shared model's host warns of a step down without a load of ours."""
        if event.kind == "progress":
            self._warned.clear()
        elif event.kind == "warning" and event.message not in self._warned:
            self._warned.append(event.message)
        if event.kind == "ready" or (self._engine is not None and self._engine.state.phase == "ready"):
            self.troubles = tuple(self._warned)
