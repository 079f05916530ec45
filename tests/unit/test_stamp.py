"""What an offer was made of has changed, or could be better now: the workspace's stamp is another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.retrieval.bm25 import Bm25Index
from aix_lsp.retrieval.build import ChunkBuilder
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet

HERON = "def heron_migration(start, end):\n    return start + end\n"


class Place:
    """A folder with two files, and a document that asks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("heron.py", "asking.py"):
            (root / name).write_text(HERON)
        self.context = WorkspaceContext(Settings())
        self.context.index_now(root)
        self.open("asking.py", "x = heron_migration(")
        self.open("stork.py", "y = 1\n")
        self.stamp()  # what is open is in the index from now on

    def open(self, name: str, text: str) -> None:
        self.context.opened_or_changed(self.root / name, text, "python")

    def save(self, name: str, text: str = HERON + "\n\ndef stork(): return 1\n") -> None:
        self.context.folders[0].index.update(name, text, "python")

    @property
    def document(self) -> DocumentSnapshot:
        path = self.root / "asking.py"
        return DocumentSnapshot(path.as_uri(), "x = heron_migration(", "python", 1, "asking.py", path)

    def snippets(self) -> list[Snippet]:
        return self.context.snippets(self.document, 20, Settings())

    def stamp(self) -> tuple[object, ...]:
        return self.context.stamp(self.document, self.snippets())


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (lambda place: None, False),
        (lambda place: place.open("asking.py", "x = heron_migration(a"), False),
        (lambda place: place.save("asking.py"), False),
        (lambda place: place.open("stork.py", "y = 2\n"), True),
        (lambda place: place.open("/elsewhere/crane.py", "y = 2\n"), False),
        (lambda place: place.save("heron.py"), True),
        (lambda place: place.save("new.py"), True),
        (lambda place: place.context.folders[0].index.remove("heron.py"), True),
        (lambda place: place.context.folders[0].index.remove("nothing.py"), False),
        (lambda place: place.context.index_now(place.root), True),
        (lambda place: place.context.remove_folder(place.root), True),
    ],
)
def test_what_changes_the_stamp(tmp_path: Path, event: Callable[[Place], object], changes: bool) -> None:
    place = Place(tmp_path)
    before = place.stamp()
    assert place.stamp() == before
    event(place)
    assert (place.stamp() != before) == changes


@pytest.mark.parametrize(
    "event",
    [
        lambda place: (place.root / "heron.py").unlink(),
        lambda place: (place.root / "heron.py").write_text("x = 1\n"),
    ],
)
def test_a_quoted_file_that_changed_on_disk_counts_before_anybody_has_told(
    tmp_path: Path, event: Callable[[Place], object]
) -> None:
    place = Place(tmp_path)
    snippets = place.snippets()
    assert [snippet.path for snippet in snippets] == ["heron.py"]
    before = place.context.stamp(place.document, snippets)
    place.open("heron.py", HERON)
    assert place.context.stamp(place.document, snippets) == before
    event(place)
    assert place.context.stamp(place.document, snippets) != before


def test_the_latest_change_of_another_file_is_known_whoever_changed_in_between() -> None:
    index = Bm25Index()

    def change(path: str) -> None:
        index.replace(path, ChunkBuilder().chunks(path, HERON, "python"))

    change("own")
    alone = index.changed_besides("own")
    change("own")
    assert index.changed_besides("own") == alone
    change("other")
    changed = index.changed_besides("own")
    assert changed > alone
    change("own")
    change("own")
    assert index.changed_besides("own") == changed
    assert index.changed_besides("other") > changed
    assert index.changed_besides(None) > changed
    index.remove_many(["other", "own"])
    assert index.changed_besides("own") > changed
