"""notebookDocument/didOpen, didChange, didClose: cells are documents that know their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types as lsp

from aix_lsp.server.handlers.documents import change_document, close_document, open_document

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer


def register(server: AixServer) -> None:
    """Register the handlers."""

    @server.feature(lsp.NOTEBOOK_DOCUMENT_DID_OPEN)
    def did_open(params: lsp.DidOpenNotebookDocumentParams) -> None:
        notebook = params.notebook_document
        server.session.documents.open_notebook(
            notebook.uri, notebook.notebook_type, notebook.version, _cells(notebook.cells)
        )
        for item in params.cell_text_documents:
            open_document(server.session, item)

    @server.feature(lsp.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def did_change(params: lsp.DidChangeNotebookDocumentParams) -> None:
        cells = params.change.cells
        if cells is None:
            return
        if cells.structure is not None:
            array = cells.structure.array
            for item in cells.structure.did_open or ():
                open_document(server.session, item)
            server.session.documents.change_notebook_cells(
                params.notebook_document.uri, array.start, array.delete_count, _cells(array.cells or ())
            )
            for closed in cells.structure.did_close or ():
                close_document(server.session, closed.uri)
        if cells.data:
            server.session.documents.change_notebook_kinds(params.notebook_document.uri, _cells(cells.data))
        for content in cells.text_content or ():
            change_document(server.session, content.document.uri, content.document.version, content.changes)

    @server.feature(lsp.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def did_close(params: lsp.DidCloseNotebookDocumentParams) -> None:
        for closed in params.cell_text_documents:
            close_document(server.session, closed.uri)
        server.session.documents.close_notebook(params.notebook_document.uri)


def _cells(cells: Sequence[lsp.NotebookCell]) -> list[tuple[str, bool]]:
    return [(cell.document, cell.kind == lsp.NotebookCellKind.Code) for cell in cells]
