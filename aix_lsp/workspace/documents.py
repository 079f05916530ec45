"""Open documents: what the editor says their text is, which may differ from the disk.

The event loop owns the store. A snapshot is frozen and shares the text, so it can go to other threads.
No message of a client makes the store raise or loses text: what was odd about one is returned as a sentence,
for the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aix_lsp.text import Encoding, TextBuffer
from aix_lsp.types import DocumentSnapshot
from aix_lsp.uris import last_part, normalize, uri_to_path
from aix_lsp.workspace.notebooks import Cell, Notebook

Range = tuple[int, int, int, int]
"""Start line, start character, end line, end character; characters in the store's encoding."""


@dataclass(frozen=True, slots=True)
class Change:
    """One content change of `textDocument/didChange`: `text` takes the place of `range`, or of everything if None."""

    text: str
    range: Range | None = None


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """One version of an open document. `uri` is as the client wrote it; `path` is None for what is no file."""

    uri: str
    language_id: str
    version: int
    buffer: TextBuffer
    path: Path | None

    @property
    def text(self) -> str:
        """The whole text."""
        return self.buffer.text


class DocumentStore:
    """Open documents and notebooks by URI, however the URI is spelled.

    `name_of` gives the name that a prompt shows for a path, usually relative to its workspace folder.
    `encoding` is what positions are counted in; it is set once, when the client has been asked.
    """

    def __init__(self, name_of: Callable[[Path], str], encoding: Encoding = "utf-16") -> None:
        self.encoding = encoding
        self._name_of = name_of
        self._documents: dict[str, OpenDocument] = {}
        self._notebooks: dict[str, Notebook] = {}
        self._notebook_of_cell: dict[str, str] = {}

    def __iter__(self) -> Iterator[OpenDocument]:
        """All open documents, cells of notebooks among them, in the order in which they were opened."""
        return iter(tuple(self._documents.values()))

    def get(self, uri: str) -> OpenDocument | None:
        """The open document, or None."""
        return self._documents.get(normalize(uri))

    def open(self, uri: str, language_id: str, version: int, text: str) -> str | None:
        """Begin to follow a document. Returns what was odd, or None."""
        key = normalize(uri)
        again = key in self._documents
        path = uri_to_path(uri)
        self._documents[key] = OpenDocument(
            uri=uri,
            language_id=language_id,
            version=version,
            buffer=TextBuffer(text),
            path=None if path is None else Path(path),
        )
        return f"{uri} was opened twice; its text is the latest" if again else None

    def change(self, uri: str, version: int, changes: Sequence[Change]) -> str | None:
        """Apply `changes` in order, each to the result of the one before. Returns what was odd, or None.

        An unknown document and a version lower than the known one leave the text alone. A range whose end comes
        before its start is applied with its ends swapped, as the client meant the same text.
        """
        key = normalize(uri)
        document = self._documents.get(key)
        if document is None:
            return f"{uri} was changed but is not open"
        if version < document.version:
            return f"{uri}: version {version} came after {document.version} and was dropped"
        buffer = document.buffer
        reversed_ranges = 0
        for change in changes:
            if change.range is None:
                buffer = TextBuffer(change.text)
                continue
            start_line, start_character, end_line, end_character = change.range
            start = buffer.offset(start_line, start_character, self.encoding)
            end = buffer.offset(end_line, end_character, self.encoding)
            if end < start:
                start, end = end, start
                reversed_ranges += 1
            buffer = buffer.replace(start, end, change.text)
        self._documents[key] = OpenDocument(document.uri, document.language_id, version, buffer, document.path)
        return f"{uri}: the ends of {reversed_ranges} ranges were swapped" if reversed_ranges else None

    def close(self, uri: str) -> str | None:
        """Stop following a document. Returns what was odd, or None."""
        if self._documents.pop(normalize(uri), None) is None:
            return f"{uri} was closed but is not open"
        return None

    def snapshot(self, uri: str) -> DocumentSnapshot | None:
        """The document as it is now, or None when it is not open.

        A notebook's cell has the notebook's name and path, and the text of its other code cells around it.
        """
        key = normalize(uri)
        document = self._documents.get(key)
        if document is None:
            return None
        path, before, after = document.path, "", ""
        named_by = document.uri
        notebook = self._notebooks.get(self._notebook_of_cell.get(key, ""))
        if notebook is not None:
            path, named_by = notebook.path, notebook.uri
            before, after = notebook.around(key, self._text_of)
        return DocumentSnapshot(
            uri=document.uri,
            text=document.text,
            language_id=document.language_id,
            version=document.version,
            name=last_part(named_by) if path is None else self._name_of(path),
            path=path,
            before=before,
            after=after,
        )

    def open_notebook(
        self, uri: str, notebook_type: str, version: int, cells: Sequence[tuple[str, bool]]
    ) -> str | None:
        """Begin to follow a notebook. Returns what was odd, or None.

        `cells` are (URI of the cell's document, is it code?) in order. Their text comes through `open`, before or
        after this.
        """
        key = normalize(uri)
        again = key in self._notebooks
        if again:
            self._forget_cells(key)
        path = uri_to_path(uri)
        self._notebooks[key] = Notebook(uri, notebook_type, version, None if path is None else Path(path))
        self._splice(key, 0, 0, cells)
        return f"{uri} was opened twice; its cells are the latest" if again else None

    def change_notebook_cells(
        self, uri: str, start: int, delete_count: int, cells: Sequence[tuple[str, bool]]
    ) -> str | None:
        """Put `cells` in the place of `delete_count` cells from `start` on. Returns what was odd, or None."""
        key = normalize(uri)
        notebook = self._notebooks.get(key)
        if notebook is None:
            return f"{uri} was changed but is not open as a notebook"
        count = len(notebook.cells)
        odd = start < 0 or delete_count < 0 or start + delete_count > count
        start = min(max(start, 0), count)
        self._splice(key, start, min(max(delete_count, 0), count - start), cells)
        return f"{uri}: cells were changed outside its {count} cells" if odd else None

    def change_notebook_kinds(self, uri: str, cells: Sequence[tuple[str, bool]]) -> str | None:
        """Note which of a notebook's cells have become code or markup. Returns what was odd, or None."""
        notebook = self._notebooks.get(normalize(uri))
        if notebook is None:
            return f"{uri} was changed but is not open as a notebook"
        kinds = {normalize(cell): is_code for cell, is_code in cells}
        notebook.cells[:] = [Cell(cell.key, kinds.get(cell.key, cell.is_code)) for cell in notebook.cells]
        return None

    def close_notebook(self, uri: str) -> str | None:
        """Stop following a notebook and its cells. Returns what was odd, or None."""
        key = normalize(uri)
        notebook = self._notebooks.get(key)
        if notebook is None:
            return f"{uri} was closed but is not open as a notebook"
        for cell in notebook.cells:
            self._documents.pop(cell.key, None)
        self._forget_cells(key)
        del self._notebooks[key]
        return None

    def _text_of(self, key: str) -> str | None:
        document = self._documents.get(key)
        return None if document is None else document.text

    def _splice(self, key: str, start: int, delete_count: int, cells: Sequence[tuple[str, bool]]) -> None:
        notebook = self._notebooks[key]
        # A move arrives as a deletion and an insertion, perhaps of the same cell in one change.
        for cell in notebook.cells[start : start + delete_count]:
            self._notebook_of_cell.pop(cell.key, None)
        added = [Cell(normalize(cell), is_code) for cell, is_code in cells]
        notebook.cells[start : start + delete_count] = added
        for cell in added:
            self._notebook_of_cell[cell.key] = key

    def _forget_cells(self, key: str) -> None:
        for cell in self._notebooks[key].cells:
            if self._notebook_of_cell.get(cell.key) == key:
                del self._notebook_of_cell[cell.key]
