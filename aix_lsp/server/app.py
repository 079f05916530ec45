"""The server: pygls's LanguageServer with our protocol, one session, and the way it is run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

import aix_lsp
from aix_lsp.engine.memory import keep_together
from aix_lsp.server import handlers
from aix_lsp.server.parent import is_alive, until_gone
from aix_lsp.server.protocol import AixProtocol
from aix_lsp.server.responsive import take_short_turns
from aix_lsp.server.session import Session
from aix_lsp.server.transport import StreamWriter, accept_one, claim_stdio, pump

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

    protocol: AixProtocol

    def __init__(
        self, command_line: Mapping[str, Any] | None = None, engine_factory: EngineFactory = started_engine
    ) -> None:
        """`command_line` holds options given there, by their dotted names; `engine_factory` makes the engine."""
        super().__init__(
            "aix-lsp",
            aix_lsp.__version__,
            text_document_sync_kind=lsp.TextDocumentSyncKind.Incremental,
            notebook_document_sync=_NOTEBOOKS,
            protocol_cls=AixProtocol,
            converter_factory=default_converter,
        )
        self.command_line = dict(command_line or {})
        self.engine_factory = engine_factory
        self.shows_progress = False
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
        frames = traceback.extract_tb(error.__traceback__)
        places = " <- ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
        logger.error("%s failed: %s at %s", what, type(error).__name__, places)

    def _loop_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio's own handler would print the traceback with the error's message."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.log_failure("a callback", error)

    def apply_log_settings(self, settings: LogSettings) -> None:
        """Set the level now; open the log file if there is one and it is not open yet."""
        root = logging.getLogger("aix_lsp")
        root.setLevel(settings.level.upper())
        if settings.file and not any(isinstance(handler, RotatingFileHandler) for handler in root.handlers):
            try:
                file = RotatingFileHandler(settings.file, maxBytes=2_000_000, backupCount=2, encoding="utf-8")
            except OSError as error:
                self.session.messages.warn(f"the log file {settings.file} cannot be written: {error.strerror}")
                return
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            root.addHandler(file)

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
        pump(reader, self.loop, self.protocol.handle_body, lambda: self.stop(1))
        code = await self.exit_code
        try:
            await asyncio.wait_for(self.session.close(), timeout=3)
        except TimeoutError:
            logger.warning("the session took too long to close")
        await asyncio.to_thread(stream.close)
        return code

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
    _log_to_stderr()
    reader, writer = claim_stdio()
    _run(AixServer(command_line), reader, writer)


def serve_tcp(host: str, port: int, command_line: Mapping[str, Any], *, force: bool) -> None:
    """Serve the first client that connects; ends the process. Raises ValueError or OSError before that."""
    _log_to_stderr()
    reader, writer = accept_one(host, port, force=force, announce=_announce)
    _run(AixServer(command_line), reader, writer)


def _announce(line: str) -> None:
    sys.stderr.write(f"aix-lsp: {line}\n")
    sys.stderr.flush()


def _run(server: AixServer, reader: BinaryIO, writer: BinaryIO) -> None:
    async def serve_and_leave() -> None:
        _close_when_told(server)
        _leave(await server.serve(reader, writer))

    try:
        asyncio.run(serve_and_leave())
    except KeyboardInterrupt:
        _leave(130)


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


def _leave(code: int) -> NoReturn:
    """End the process at once. The model thread may be deep in native code, and pool threads may wait for a slow disk:
    to wait for them would keep a closed editor's process alive, and to end the interpreter under them can crash.
    Everything is saved by now."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("aix_lsp")
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
