"""The server: pygls's LanguageServer with our protocol, one session, and the way it is run."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

import aix_lsp
from aix_lsp import logs
from aix_lsp.engine.memory import keep_together
from aix_lsp.logs_file import file_for
from aix_lsp.logs_process import Logs
from aix_lsp.server import handlers
from aix_lsp.server.parent import is_alive, until_gone
from aix_lsp.server.responsive import take_short_turns
from aix_lsp.server.session import Session
from aix_lsp.server.tracing import TracedProtocol
from aix_lsp.server.transport import MAX_MESSAGE_BYTES, StreamWriter, accept_one, claim_stdio, pump
from aix_lsp.workspace.git_process import end_running

if TYPE_CHECKING:
    from aix_lsp.engine.base import Engine, OnEvent
    from aix_lsp.settings import LogSettings, Settings

logger = logging.getLogger(__name__)

EngineFactory = Callable[["Settings", "OnEvent"], "Engine"]

_NOTEBOOKS = lsp.NotebookDocumentSyncOptions(
    notebook_selector=[lsp.NotebookDocumentFilterWithNotebook(notebook="*")], save=False
)


def started_engine(settings: Settings, on_event: OnEvent) -> Engine:
    """The engine that the settings ask for, already loading."""
    from aix_lsp.engine.select import engine_for

    engine = engine_for(settings, on_event)
    engine.start(asyncio.get_running_loop())
    return engine


class AixServer(LanguageServer):
    """One server for one client."""

    protocol: TracedProtocol

    def __init__(
        self,
        command_line: Mapping[str, Any] | None = None,
        engine_factory: EngineFactory = started_engine,
        *,
        own_process: bool = False,
    ) -> None:
        """`command_line` holds options given there, by their dotted names; `engine_factory` makes the engine. With
        `own_process` the process's log is the server's."""
        super().__init__(
            "aix-lsp",
            aix_lsp.__version__,
            text_document_sync_kind=lsp.TextDocumentSyncKind.Incremental,
            notebook_document_sync=_NOTEBOOKS,
            protocol_cls=TracedProtocol,
            converter_factory=default_converter,
        )
        self.command_line = dict(command_line or {})
        self.engine_factory = engine_factory
        self.shows_progress = False
        self.log_level = ""
        """The level that `aix-lsp log --level` asked for; empty: that of the settings."""
        self.logs = Logs(self._log_problem, sys.stderr) if own_process else None
        if self.logs is not None:
            self.logs.install()
        self.exit_code: asyncio.Future[int]
        self.loop: asyncio.AbstractEventLoop
        self.session: Session
        handlers.register(self)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """What pygls calls when a handler fails."""
        self.log_failure("a handler", error)

    @staticmethod
    def log_failure(what: str, error: BaseException) -> None:
        """Log that something failed and where, without the error's message: it may quote the user's text."""
        logs.log_failure(logger, what, error)

    def _loop_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio's own handler would print the traceback with the error's message."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.log_failure("a callback", error)

    def apply_log_settings(self, settings: LogSettings) -> None:
        """Set the level now; the log file is that of the first call."""
        level = self.log_level or settings.level
        if self.logs is None:
            logging.getLogger(logs.OWN).setLevel(level.upper())
        else:
            self.logs.apply(level, file_for(settings.file))

    def _log_problem(self, text: str) -> None:
        """Called on a thread of the log's."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going down anyway
            self.loop.call_soon_threadsafe(self.session.messages.warn, text)

    def stop(self, code: int) -> None:
        """End `serve` with this exit code."""
        if not self.exit_code.done():
            self.exit_code.set_result(code)

    async def serve(self, reader: BinaryIO, writer: BinaryIO) -> int:
        """Serve one client until it says exit or is gone; returns the exit code (LSP: 0 only after shutdown)."""
        take_short_turns()
        keep_together()
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._loop_failure)
        self.exit_code = self.loop.create_future()
        self.session = Session(self)
        stream = StreamWriter(writer, self._client_is_gone)
        self.protocol.set_writer(stream)
        pump(reader, self.loop, self.protocol.handle_body, lambda: self.stop(1), self._message_was_too_large)
        code = await self.exit_code
        try:
            await asyncio.wait_for(self.session.close(), timeout=3)
        except TimeoutError:
            logger.warning("the session took too long to close")
        except Exception as error:  # noqa: BLE001  # the process is to end, whatever is left undone
            self.log_failure("closing the session", error)
        await asyncio.to_thread(stream.close)
        return code

    def _message_was_too_large(self, size: int) -> None:
        most = MAX_MESSAGE_BYTES / 1e6
        self.session.messages.warn(
            f"a message of the editor was not read; it has {size / 1e6:,.0f} MB, and the most is {most:,.0f} MB"
        )

    def _client_is_gone(self) -> None:
        """Called on the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going down anyway
            self.loop.call_soon_threadsafe(self.stop, 1)

    def watch_parent(self, process_id: int | None) -> None:
        """End when the editor's process ends, whatever becomes of the pipe."""
        # an id that is not seen from here (the server runs in a container, say) says nothing about the editor
        if process_id is not None and is_alive(process_id):
            self.session.run(self._stop_when_gone(process_id))

    async def _stop_when_gone(self, process_id: int) -> None:
        await until_gone(process_id)
        logger.info("the editor is gone")
        self.stop(1)


def serve_stdio(command_line: Mapping[str, Any]) -> None:
    """Serve over stdin and stdout; ends the process."""
    reader, writer = claim_stdio()
    _run(AixServer(command_line, own_process=True), reader, writer)


def serve_tcp(host: str, port: int, command_line: Mapping[str, Any], *, force: bool) -> None:
    """Serve the first client that connects; ends the process. Raises ValueError or OSError before that."""
    reader, writer = accept_one(host, port, force=force, announce=_announce)
    _run(AixServer(command_line, own_process=True), reader, writer)


def _announce(line: str) -> None:
    sys.stderr.write(f"aix-lsp: {line}\n")
    sys.stderr.flush()


def _run(server: AixServer, reader: BinaryIO, writer: BinaryIO) -> None:
    async def serve_and_leave() -> None:
        _close_when_told(server)
        _leave(server, await server.serve(reader, writer))

    with contextlib.suppress(OSError, ValueError, RuntimeError):  # a standard error that is no file
        faulthandler.enable(sys.stderr)  # where native code went down: places, no values
    try:
        asyncio.run(serve_and_leave())
    except KeyboardInterrupt:
        _leave(server, 130)


def _close_when_told(server: AixServer) -> None:
    """An editor or a system that ends us by a signal ends us as a client that is gone does: the page of `aix.inspect`
    and the socket are removed, and what was counted is saved. The second signal ends the process at once."""
    loop = asyncio.get_running_loop()

    def told(number: int) -> None:
        loop.remove_signal_handler(number)
        server.stop(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, told, number)


def _leave(server: AixServer, code: int) -> NoReturn:
    """End the process at once. The model thread may be deep in native code, and pool threads may wait for a slow disk:
    to wait for them would keep a closed editor's process alive, and to end the interpreter under them can crash.
    Everything is saved by now."""
    if server.logs is not None:
        # not logging.shutdown: it waits for a disk as long as that takes
        server.logs.close()
    end_running()
    os._exit(code)
