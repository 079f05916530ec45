"""Where a process's log goes: to its standard error, for the editor to show, and to the log file.

Neither is written on the thread that logs: an editor may have stopped reading, a disk may hang. A handler makes a
record a line at once, and a daemon thread of its own writes it; what it has no room for is counted and said.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from logging.handlers import QueueHandler
from pathlib import Path, PurePath
from typing import Any, TextIO

from aix_lsp.logs import OWN, JsonFormatter, TextFormatter, discreet_record, fields, log_failure, said
from aix_lsp.logs_file import LogFile

logger = logging.getLogger(__name__)

_MOST_WAITING = 5_000
_MOST_AT_ONCE = 200
_CLOSE_S = 1.0

Write = Callable[[str], None]


class Outlet(QueueHandler):
    """A handler whose lines a thread writes, once `begin` has said how; until then they wait. No line is lost to a
    failure of `write` but its own."""

    queue: queue.Queue[str | None]
    file: LogFile | None = None
    """The log file that it writes, if it does."""

    def __init__(self, name: str, formatter: logging.Formatter, level: int) -> None:
        super().__init__(queue.Queue(_MOST_WAITING))
        self._formatter = formatter
        self._thread_name = name
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self.setLevel(level)

    def prepare(self, record: logging.LogRecord) -> str:
        """The line, made now: what a record names may change or end."""
        return self._formatter.format(record)

    def enqueue(self, record: Any) -> None:
        """Let a line wait for the thread; it is dropped where too many wait."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:  # its name in the standard library
        """A record that cannot be made a line counts as dropped; the standard handler would print its arguments."""
        self._dropped += 1

    def begin(self, write: Write) -> None:
        """Write all lines from now on, those that wait first."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(write,), name=self._thread_name, daemon=True)
            self._thread.start()

    def finish(self, patience: float = _CLOSE_S) -> None:
        """Write what waits, for so many seconds at most."""
        if self._thread is not None:
            self.enqueue(None)
            self._thread.join(patience)

    def _run(self, write: Write) -> None:
        ended = False
        while not ended:
            lines = [self.queue.get()]
            while len(lines) < _MOST_AT_ONCE and not self.queue.empty():
                lines.append(self.queue.get())
            ended = None in lines
            dropped, self._dropped = self._dropped, 0
            if dropped:
                made = logger.makeRecord(
                    logger.name, logging.WARNING, __file__, 0, "%d records were dropped", (dropped,), None
                )
                lines.append(self._formatter.format(made))
            text = "".join(f"{line}\n" for line in lines if line is not None)
            if text:
                write(text)


class Logs:
    """The log of this process. `apply` may come at any time; what is logged before waits in memory."""

    def __init__(self, on_problem: Callable[[str], None], stream: TextIO | None) -> None:
        """`on_problem` is told once, on a thread of the log's, when the file cannot be written. `stream` None shows
        nothing."""
        self._on_problem = on_problem
        self._stream = stream
        self._told = False
        self._lost = 0
        self._file: LogFile | None = None
        self._shown = Outlet("aix-log-shown", TextFormatter(), logging.WARNING)
        self._kept: Outlet | None = Outlet("aix-log-file", JsonFormatter(), logging.INFO)

    def install(self) -> None:
        """Take over the process's log and what else would print the text of exceptions and warnings."""
        logging.setLogRecordFactory(discreet_record)
        warnings.showwarning = _warned
        threading.excepthook = _thread_failed
        sys.unraisablehook = _unraisable
        root, own = logging.getLogger(), logging.getLogger(OWN)
        if self._stream is not None:
            root.addHandler(self._shown)
            self._shown.begin(self._show)
        if self._kept is not None:
            root.addHandler(self._kept)
        root.setLevel(logging.WARNING)
        own.setLevel(logging.INFO)

    def apply(self, level: str, file: Path | None) -> None:
        """Show records of this level and above; keep those, and all from `info` on, in `file` (None: nowhere). The file
        of the first call stays."""
        shown = logging.getLevelNamesMapping()[level.upper()]
        self._shown.setLevel(shown)
        if self._kept is not None and self._file is None:
            if file is None:
                logging.getLogger().removeHandler(self._kept)
                self._kept = None
            else:
                self._file = self._kept.file = LogFile(file)
                self._kept.begin(self._keep)
        if self._kept is not None:
            self._kept.setLevel(min(shown, logging.INFO))
        logging.getLogger(OWN).setLevel(min(shown, logging.INFO) if self._kept is not None else shown)

    @property
    def file(self) -> Path | None:
        """Where the log is kept; None while that is not known, and where it is not."""
        return self._file.path if self._file is not None else None

    def close(self) -> None:
        """Write what waits, for a moment at most."""
        for outlet in (self._kept, self._shown):
            if outlet is not None:
                outlet.finish()

    # on the threads of the outlets

    def _show(self, text: str) -> None:
        assert self._stream is not None
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads it any more

    def _keep(self, text: str) -> None:
        assert self._file is not None
        lines = text.count("\n")
        if self._lost:
            text += _line(logging.WARNING, "%d lines could not be written", self._lost)
        try:
            self._file.append(text.encode("utf-8", "replace"))
        except OSError as error:
            self._lost += lines
            if not self._told:
                self._told = True
                why = error.strerror or str(error)
                self._on_problem(
                    f"the log file {self._file.path} cannot be written: {why}; the server works without it"
                )
        else:
            self._lost = 0


def arguments_for_helpers() -> list[str]:
    """Level and file of this process's log, for a process of ours that is to write there too; empty without one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Outlet) and handler.file is not None:
            return [logging.getLevelName(handler.level), str(handler.file.path)]
    return []


def keep_as_told(arguments: Sequence[str]) -> Logs | None:
    """The log of a process that was started with `arguments_for_helpers`."""
    if len(arguments) != 2 or arguments[0] not in logging.getLevelNamesMapping():
        return None
    logs = Logs(lambda _: None, None)
    logs.install()
    logs.apply(arguments[0], Path(arguments[1]))
    return logs


def _line(level: int, event: str, *arguments: object) -> str:
    record = logger.makeRecord(logger.name, level, __file__, 0, event, arguments, None)
    return f"{JsonFormatter().format(record)}\n"


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In place of `warnings.showwarning`, which prints the message, and the line of source that it is about."""
    where = PurePath(filename).name
    logger.warning("a warning", extra=fields(category=category, at=said(f"{where}:{lineno}")))


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """In place of `threading.excepthook`, which prints the exception's message."""
    if failed.exc_type is not SystemExit:
        log_failure(logger, "a thread", failed.exc_value, failed.exc_traceback)


def _unraisable(failed: sys.UnraisableHookArgs) -> None:
    """In place of `sys.unraisablehook`."""
    log_failure(logger, "something that cannot fail", failed.exc_value, failed.exc_traceback)
