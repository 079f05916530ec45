"""Several workspace folders: each its own index, the document's own first, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet

SETTINGS = Settings()
WEAK = "def heron_count():\n    return 3\n"
STRONG = "def heron_migration(start, end):\n    return heron_route(start, end)\n"
TEXT = "from birds import heron_migration\n\nroute = heron_migration("


class Roots:
    """Folders by their names, all indexed, and what a document in one of them is shown."""

    def __init__(self, parent: Path, **files: dict[str, str]) -> None:
        self.parent = parent
        self.context = WorkspaceContext(SETTINGS)
        for root, texts in files.items():
            for name, text in texts.items():
                path = parent / root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            self.context.index_now(parent / root)

    def snippets(self, root: str, settings: Settings = SETTINGS) -> list[Snippet]:
        path = self.parent / root / "asking.py"
        document = DocumentSnapshot(path.as_uri(), TEXT, "python", 1, path.name, path)
        return self.context.snippets(document, len(TEXT), settings)

    def paths(self, root: str, kind: str = "similar") -> list[str]:
        return [snippet.path for snippet in self.snippets(root) if snippet.kind == kind]


def numbered(text: str, number: int) -> str:
    return text + "".join(f"value_{number}_{i} = other_{number}_{i}\n" for i in range(4))


def test_each_folder_has_an_index_of_its_own(tmp_path: Path) -> None:
    roots = Roots(tmp_path, one={"a.py": STRONG}, two={"b.py": WEAK})
    first, second = roots.context.folders
    assert (first.index.paths(), second.index.paths()) == ({"a.py"}, {"b.py"})


def test_between_equal_hits_the_documents_own_folder_comes_first(tmp_path: Path) -> None:
    roots = Roots(
        tmp_path, one={"z.py": numbered(STRONG, 1), "p.py": WEAK}, two={"a.py": numbered(STRONG, 2), "q.py": WEAK}
    )
    assert roots.paths("one")[:2] == ["z.py", "a.py"]
    assert roots.paths("two")[:2] == ["a.py", "z.py"]


def test_other_folders_fill_what_the_own_one_leaves(tmp_path: Path) -> None:
    roots = Roots(tmp_path, one={"a.py": "x = 1\n" * 3}, two={"b.py": numbered(STRONG, 1)}, three={"c.py": WEAK})
    assert roots.paths("one")[0] == "b.py"
    assert "c.py" in roots.paths("one")


def test_the_limit_holds_over_all_folders(tmp_path: Path) -> None:
    texts = {f"f{number}.py": numbered(STRONG, number) for number in range(4)}
    others = {f"g{number}.py": numbered(STRONG, number + 4) for number in range(4)}
    roots = Roots(tmp_path, one=texts, two=others)
    assert len(roots.paths("one")) == 3
    none = Settings.model_validate({"retrieval": {"snippets": 1, "definitions": False}})
    assert len(roots.snippets("one", none)) == 1


def test_what_lies_in_two_folders_is_quoted_once_and_from_the_own_one(tmp_path: Path) -> None:
    copies = {f"birds{number}.py": numbered(STRONG, number) for number in range(3)}
    roots = Roots(tmp_path, one=copies, two={f"copy/{name}": text for name, text in copies.items()})
    found = roots.snippets("one")
    texts = [snippet.text for snippet in found if snippet.kind == "similar"]
    assert len(texts) == len(set(texts)) == 3
    assert not any(snippet.path.startswith("copy/") for snippet in found)
    assert all(snippet.path.startswith("copy/") for snippet in roots.snippets("two"))


def test_a_definition_is_found_in_another_folder(tmp_path: Path) -> None:
    body = "".join(f"    stage_{number} = {number}\n" for number in range(30))
    # three files more like the line than the definition is, which would else be quoted as similar
    calls = {f"{name}.py": numbered("heron_migration(1)\n" * 3, ord(name)) for name in "rst"}
    two = calls | {"birds.py": "y_z = 1\n" * 30 + f"class heron_migration:\n{body}"}
    roots = Roots(tmp_path, one={"a.py": "x = 1\n"}, two=two)
    assert roots.paths("one", "definition") == ["birds.py"]


@pytest.mark.parametrize("removed", ["one", "two"])
def test_a_folder_that_is_closed_is_quoted_no_longer(tmp_path: Path, removed: str) -> None:
    roots = Roots(tmp_path, one={"a.py": numbered(STRONG, 1)}, two={"b.py": numbered(STRONG, 2)})
    roots.context.remove_folder(tmp_path / removed)
    assert roots.paths("one") == (["b.py"] if removed == "one" else ["a.py"])
