"""textDocument/didOpen, didChange, didSave, didClose: the documents as the editor has them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types as lsp

from aix_lsp.logs import said
from aix_lsp.server.oddities import NO_VERSION
from aix_lsp.workspace.documents import Change

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer
    from aix_lsp.server.session import Session

logger = logging.getLogger(__name__)


def register(server: AixServer) -> None:
    """Register the handlers."""

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: lsp.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        open_document(server.session, item)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: lsp.DidChangeTextDocumentParams) -> None:
        identifier = params.text_document
        change_document(server.session, identifier.uri, identifier.version, params.content_changes)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: lsp.DidCloseTextDocumentParams) -> None:
        close_document(server.session, params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE, lsp.SaveOptions(include_text=False))
    def did_save(params: lsp.DidSaveTextDocumentParams) -> None:
        # the open text counts already; a save may have changed ignore rules or the file next to it
        document = server.session.documents.get(params.text_document.uri)
        if document is not None and document.path is not None and server.session.started.is_set():
            server.session.context.paths_changed([document.path])


def open_document(session: Session, item: lsp.TextDocumentItem) -> None:
    """Take a document or a notebook's cell over."""
    _log(session.documents.open(item.uri, item.language_id, item.version, item.text))
    _tell_retrieval(session, item.uri)


def change_document(
    session: Session, uri: str, version: int, changes: Sequence[lsp.TextDocumentContentChangeEvent]
) -> None:
    """Apply the changes in order, and follow which offers they type through. Changes of an older version than the one
    that is known are dropped."""
    known = session.documents.get(uri)
    if known is not None and version == NO_VERSION:
        version = known.version
    if known is None or version < known.version or not changes:
        _log(session.documents.change(uri, version, []))
        return
    for change in changes:
        document = session.documents.get(uri)
        if document is not None and isinstance(change, lsp.TextDocumentContentChangePartial):
            start, end = change.range.start, change.range.end
            encoding = session.documents.encoding
            if session.started.is_set():
                session.acceptance.edited(
                    document.uri,
                    document.buffer.offset(start.line, start.character, encoding),
                    document.buffer.offset(end.line, end.character, encoding),
                    change.text,
                )
            edit = Change(change.text, (start.line, start.character, end.line, end.character))
        else:
            if document is not None and session.started.is_set():
                session.acceptance.replaced(document.uri, document.text, change.text)
            edit = Change(change.text)
        _log(session.documents.change(uri, version, [edit]))
    _tell_retrieval(session, uri)


def close_document(session: Session, uri: str) -> None:
    """Forget a document; what is on disk counts again."""
    document = session.documents.get(uri)
    _log(session.documents.close(uri))
    if document is not None and session.started.is_set():
        session.acceptance.closed(document.uri)
        session.service.closed(document.uri)
    if document is not None and document.path is not None and session.started.is_set():
        session.context.closed(document.path)


def _tell_retrieval(session: Session, uri: str) -> None:
    document = session.documents.get(uri)
    if document is not None and document.path is not None and session.started.is_set():
        session.context.opened_or_changed(document.path, document.text, document.language_id)


def _log(oddity: str | None) -> None:
    if oddity is not None:
        logger.info("%s", said(oddity))
