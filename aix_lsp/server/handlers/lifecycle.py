"""initialize, initialized, shutdown, exit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types as lsp
from pygls.capabilities import ServerCapabilitiesBuilder

from aix_lsp.server.handlers import completion, configuration
from aix_lsp.uris import path_to_uri

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer


def register(server: AixServer) -> None:
    """Register the handlers."""

    @server.feature(lsp.INITIALIZE)
    def initialize(params: lsp.InitializeParams) -> None:
        session = server.session
        capabilities = params.capabilities
        session.documents.encoding = str(
            getattr(encoding := ServerCapabilitiesBuilder.choose_position_encoding(capabilities), "value", encoding)
        )  # type: ignore[assignment]
        server.shows_progress = bool(capabilities.window and capabilities.window.work_done_progress)
        if isinstance(params.initialization_options, Mapping):
            session.initialization_options = params.initialization_options
        for folder in params.workspace_folders or ():
            session.add_folder(folder.uri)
        if not params.workspace_folders:
            root = params.root_uri or (path_to_uri(Path(params.root_path)) if params.root_path else None)
            if root:
                session.add_folder(root)
        completion.register_if_wanted(server)
        server.watch_parent(params.process_id)
        # after the answer is written: what follows imports for a few tenths of a second
        server.loop.call_soon(lambda: session.run(session.start()))

    @server.feature(lsp.INITIALIZED)
    def initialized(params: lsp.InitializedParams) -> None:
        server.session.run(configuration.register_and_pull(server))

    @server.feature(lsp.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.protocol.begin_shutdown()
        if server.session.started.is_set():
            server.session.acceptance.save()

    @server.feature(lsp.EXIT)
    def exit_(params: None) -> None:
        server.stop(0 if server.protocol.is_shutting_down else 1)
