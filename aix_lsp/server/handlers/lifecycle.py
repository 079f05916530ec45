"""initialize, initialized, shutdown, exit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp
from pygls.capabilities import ServerCapabilitiesBuilder

from aix_lsp.server.handlers import completion, configuration
from aix_lsp.server.status import METHOD
from aix_lsp.uris import path_to_uri

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer


def register(server: AixServer) -> None:
    """Register the handlers."""

    @server.feature(lsp.INITIALIZE)
    def initialize(params: lsp.InitializeParams) -> None:
        session = server.session
        # runs after the answer is written, whatever becomes of it: what is imported then takes a few tenths of a second
        server.loop.call_soon(lambda: session.run(session.start()))
        capabilities = params.capabilities
        session.documents.encoding = str(
            getattr(encoding := ServerCapabilitiesBuilder.choose_position_encoding(capabilities), "value", encoding)
        )  # type: ignore[assignment]
        server.shows_progress = bool(capabilities.window and capabilities.window.work_done_progress)
        client = params.client_info
        session.client_name = client.name if client is not None else ""
        session.client_version = (client.version or "") if client is not None else ""
        server.protocol.trace = params.trace or lsp.TraceValue.Off
        if isinstance(params.initialization_options, Mapping):
            session.initialization_options = params.initialization_options
        for folder in params.workspace_folders or ():
            session.add_folder(folder.uri)
        if not params.workspace_folders:
            if params.root_uri:
                session.add_folder(params.root_uri)
            elif params.root_path and Path(params.root_path).is_absolute():
                session.add_folder(path_to_uri(Path(params.root_path)))
        session.client_waits = asks_for("waits", capabilities.experimental)
        if asks_for("status", capabilities.experimental):
            session.activity.tell_with(lambda params: server.protocol.notify(METHOD, params))
        configuration.prepare(server)
        inline = capabilities.text_document and capabilities.text_document.inline_completion
        completion.register_if_wanted(server, inline_is_known=bool(inline))
        server.watch_parent(params.process_id)

    @server.feature(lsp.INITIALIZED)
    def initialized(params: lsp.InitializedParams) -> None:
        server.session.initialized.set()
        server.session.run(configuration.register_interest(server))

    @server.feature(lsp.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.protocol.begin_shutdown()
        if server.session.started.is_set():
            server.session.save_statistics()

    @server.feature(lsp.EXIT)
    def exit_(params: None) -> None:
        server.stop(0 if server.protocol.is_shutting_down else 1)


def asks_for(name: str, experimental: Any) -> bool:
    """Whether the client's experimental capabilities say so under `aix`: `status`, it takes `aix/status` (see
    `server/status.py`); `waits`, it waits for the end of typing before it asks (see `completion/debounce.py`)."""
    own = configuration.plain(experimental).get("aix")
    return configuration.plain(own).get(name) is True
