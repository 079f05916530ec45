"""Open documents and notebooks: the store says what the editor says, whatever the editor says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.text import Encoding, TextBuffer
from aix_lsp.workspace.documents import Change, DocumentStore

URI = "file:///project/src/a.py"
NOTEBOOK = "file:///project/n.ipynb"


def cell(number: int) -> str:
    return f"vscode-notebook-cell:/project/n.ipynb#W{number}"


def name_of(path: Path) -> str:
    return path.relative_to("/project").as_posix()


@pytest.fixture
def store() -> DocumentStore:
    return DocumentStore(name_of)


def text_of(store: DocumentStore, uri: str = URI) -> str:
    document = store.get(uri)
    assert document is not None
    return document.text


def test_an_open_document_is_found_by_any_spelling_of_its_uri(store: DocumentStore) -> None:
    assert store.open("file:///C%3A/a%20b.py", "python", 1, "x") is None
    assert store.change("file:///c:/a b.py", 2, [Change("y")]) is None
    assert text_of(store, "file:///c%3a/a%20b.py") == "y"
    assert [document.uri for document in store] == ["file:///C%3A/a%20b.py"]
    assert store.close("FILE:///c:/a%20b.py") is None
    assert list(store) == []


def test_a_snapshot_has_name_path_and_version_and_outlives_later_edits(store: DocumentStore) -> None:
    store.open(URI, "python", 3, "one\n")
    snapshot = store.snapshot(URI)
    store.change(URI, 4, [Change("two\n")])
    store.close(URI)
    assert snapshot is not None
    assert (snapshot.uri, snapshot.language_id, snapshot.version, snapshot.text) == (URI, "python", 3, "one\n")
    assert (snapshot.name, snapshot.path) == ("src/a.py", Path("/project/src/a.py"))
    assert (snapshot.before, snapshot.after) == ("", "")
    assert store.snapshot(URI) is None


def test_a_document_that_is_no_file_is_named_by_its_uri(store: DocumentStore) -> None:
    store.open("untitled:Untitled-1", "python", 0, "")
    snapshot = store.snapshot("untitled:Untitled-1")
    assert snapshot is not None
    assert (snapshot.name, snapshot.path) == ("Untitled-1", None)


def test_changes_of_one_message_apply_in_order_each_to_the_result_of_the_last(store: DocumentStore) -> None:
    store.open(URI, "python", 1, "a\r\nb\r\n")
    changes = [
        Change("xy", (0, 1, 0, 1)),
        Change("", (0, 3, 1, 0)),
        Change("!", (9, 9, 9, 9)),
        Change("é", (0, 0, 0, 1)),
    ]
    assert store.change(URI, 2, changes) is None
    assert text_of(store) == "éxyb\r\n!"


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 5), ("utf-16", 3), ("utf-32", 2)])
def test_ranges_are_counted_in_the_encoding_of_the_store(
    store: DocumentStore, encoding: Encoding, character: int
) -> None:
    store.encoding = encoding
    store.open(URI, "python", 1, "😀ab")
    store.change(URI, 2, [Change("X", (0, character, 0, character))])
    assert text_of(store) == "😀aXb"


def test_a_change_of_an_unknown_document_is_reported_and_changes_nothing(store: DocumentStore) -> None:
    assert "not open" in str(store.change(URI, 1, [Change("x")]))
    assert "not open" in str(store.close(URI))
    assert store.get(URI) is None


def test_an_older_version_is_dropped_and_an_equal_one_is_applied(store: DocumentStore) -> None:
    store.open(URI, "python", 5, "new")
    assert "version 4 came after 5" in str(store.change(URI, 4, [Change("old")]))
    document = store.get(URI)
    assert document is not None
    assert (document.text, document.version) == ("new", 5)
    assert store.change(URI, 5, [Change("same")]) is None
    assert text_of(store) == "same"


def test_a_reversed_range_is_applied_with_its_ends_swapped(store: DocumentStore) -> None:
    store.open(URI, "python", 1, "abcdef")
    assert "1 ranges were swapped" in str(store.change(URI, 2, [Change("-", (0, 4, 0, 1)), Change("+", (0, 0, 0, 0))]))
    assert text_of(store) == "+a-ef"


def test_opening_twice_takes_the_latest_text_and_says_so(store: DocumentStore) -> None:
    store.open(URI, "python", 7, "old")
    assert "opened twice" in str(store.open(URI, "python", 1, "new"))
    assert store.change(URI, 2, [Change("newer")]) is None
    assert text_of(store) == "newer"


positions = st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 4), st.integers(0, 6))
edits = st.lists(st.tuples(st.text(alphabet="a\r\né😀", max_size=4), st.none() | positions), max_size=6)


@settings(max_examples=150)
@given(st.text(alphabet="ab\r\né😀", max_size=15), edits, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_random_changes_equal_slicing_the_text(
    text: str, changes: list[tuple[str, tuple[int, int, int, int] | None]], encoding: Encoding
) -> None:
    store = DocumentStore(name_of, encoding)
    store.open(URI, "python", 0, text)
    for version, (new, span) in enumerate(changes):
        store.change(URI, version, [Change(new, span)])
        if span is None:
            text = new
        else:
            fresh = TextBuffer(text)
            start, end = sorted((fresh.offset(*span[:2], encoding), fresh.offset(*span[2:], encoding)))
            text = text[:start] + new + text[end:]
        assert text_of(store) == text


@pytest.fixture
def notebook(store: DocumentStore) -> DocumentStore:
    """A notebook with code in cells 0, 2 and 3 and markup in cell 1."""
    store.open_notebook(NOTEBOOK, "jupyter-notebook", 1, [(cell(0), True), (cell(1), False), (cell(2), True)])
    store.change_notebook_cells(NOTEBOOK, 3, 0, [(cell(3), True)])
    for number, text in enumerate(["import os", "# Title", "os.", "print(1)\n"]):
        store.open(cell(number), "python", 1, text)
    return store


def around(store: DocumentStore, number: int) -> tuple[str, str]:
    snapshot = store.snapshot(cell(number))
    assert snapshot is not None
    return snapshot.before, snapshot.after


def test_a_cell_has_the_code_around_it_and_the_name_of_its_notebook(notebook: DocumentStore) -> None:
    snapshot = notebook.snapshot(cell(2))
    assert snapshot is not None
    assert (snapshot.before, snapshot.text, snapshot.after) == ("import os\n", "os.", "print(1)\n")
    assert (snapshot.name, snapshot.path) == ("n.ipynb", Path("/project/n.ipynb"))
    assert snapshot.uri == cell(2)


def test_an_edit_of_one_cell_is_seen_from_another(notebook: DocumentStore) -> None:
    notebook.change(cell(0), 2, [Change("import sys", (0, 0, 0, 9))])
    assert around(notebook, 3) == ("import sys\nos.\n", "")


def test_markup_and_empty_cells_and_unopened_ones_are_no_context(notebook: DocumentStore) -> None:
    notebook.change(cell(0), 2, [Change("")])
    notebook.close(cell(3))
    assert around(notebook, 2) == ("", "")
    assert around(notebook, 1) == ("", "os.\n")


def test_cells_are_added_removed_and_moved(notebook: DocumentStore) -> None:
    notebook.change_notebook_cells(NOTEBOOK, 0, 1, [])
    assert around(notebook, 2) == ("", "print(1)\n")
    assert notebook.snapshot(cell(0)) is not None
    assert around(notebook, 0) == ("", "")
    notebook.change_notebook_cells(NOTEBOOK, 1, 2, [(cell(3), True), (cell(2), True)])
    assert around(notebook, 2) == ("print(1)\n", "")


def test_a_cell_that_becomes_code_becomes_context(notebook: DocumentStore) -> None:
    assert notebook.change_notebook_kinds(NOTEBOOK, [(cell(1), True), (cell(0), False)]) is None
    assert around(notebook, 2) == ("# Title\n", "print(1)\n")


def test_a_closed_notebook_takes_its_cells_along(notebook: DocumentStore) -> None:
    notebook.open(URI, "python", 1, "")
    assert notebook.close_notebook(NOTEBOOK) is None
    assert [document.uri for document in notebook] == [URI]
    assert notebook.snapshot(cell(2)) is None


def test_cells_of_an_untitled_notebook_have_no_path(store: DocumentStore) -> None:
    store.open_notebook("untitled:Untitled-1.ipynb", "jupyter-notebook", 1, [("vscode-notebook-cell:Untitled#1", True)])
    store.open("vscode-notebook-cell:Untitled#1", "python", 1, "")
    snapshot = store.snapshot("vscode-notebook-cell:Untitled#1")
    assert snapshot is not None
    assert (snapshot.name, snapshot.path) == ("Untitled-1.ipynb", None)


def test_odd_messages_about_notebooks_are_reported_and_harmless(notebook: DocumentStore) -> None:
    for unknown in (
        notebook.change_notebook_cells("file:///project/other.ipynb", 0, 0, []),
        notebook.change_notebook_kinds("file:///project/other.ipynb", []),
        notebook.close_notebook("file:///project/other.ipynb"),
    ):
        assert "not open" in str(unknown)
    assert "outside" in str(notebook.change_notebook_cells(NOTEBOOK, 9, 9, []))
    assert "outside" in str(notebook.change_notebook_cells(NOTEBOOK, -1, -1, []))
    assert around(notebook, 2) == ("import os\n", "print(1)\n")
    again = notebook.open_notebook(NOTEBOOK, "jupyter-notebook", 2, [(cell(2), True)])
    assert "opened twice" in str(again)
    assert around(notebook, 2) == ("", "")
