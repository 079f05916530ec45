"""workspace/didChangeWorkspaceFolders, didChangeWatchedFiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types as lsp

from aix_lsp.server.handlers import configuration
from aix_lsp.uris import uri_to_path

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer


def register(server: AixServer) -> None:
    """Register the handlers."""

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def did_change_workspace_folders(params: lsp.DidChangeWorkspaceFoldersParams) -> None:
        for folder in params.event.removed:
            server.session.remove_folder(folder.uri)
        for folder in params.event.added:
            server.session.add_folder(folder.uri)
        if params.event.added:
            server.session.run(configuration.pull_if_started(server))

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(params: lsp.DidChangeWatchedFilesParams) -> None:
        session = server.session
        paths = [path for change in params.changes if (path := uri_to_path(change.uri)) is not None]
        if session.started.is_set():
            session.context.paths_changed(Path(path) for path in paths)
