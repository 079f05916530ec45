"""Open documents as retrieval sees them: the order in which they were worked on, and indexes packed behind them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.open_documents import MOST_RECENT, OpenDocuments
from aix_lsp.completion.packing import Packer
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet

HERON = "def heron_migration(start, end):\n    return start + end\n"
LONG = "    value = compute(other)\n" * 2_000


def asked(context: WorkspaceContext, root: Path, text: str, settings: Settings) -> list[Snippet]:
    path = root / "asking.py"
    document = DocumentSnapshot(path.as_uri(), f"{text}\nrest()\n", "python", 1, path.name, path)
    return context.snippets(document, len(text), settings)


def test_the_latest_file_comes_first_and_a_closed_one_was_worked_on_too() -> None:
    documents = OpenDocuments()
    names = [Path(f"f{number}.py") for number in range(MOST_RECENT + 1)]
    for path in names:
        documents.put(path, "x\n", "python")
    documents.put(names[1], "y\n", "python")
    documents.drop(names[2])
    assert documents.recent()[:2] == [names[1], names[-1]]
    assert set(documents.recent()) == set(names[1:])


def test_edits_elsewhere_only_become_more_and_nothing_is_kept_of_a_closed_document() -> None:
    documents = OpenDocuments()
    here, there = Path("here.py"), Path("there.py")
    for path in (here, there):
        documents.put(path, "x\n", "python")
        documents.put(path, "y\n", "python")
    documents.put(here, "z\n", "python")
    assert documents.edits_elsewhere(here) == 1
    assert documents.edits_elsewhere(there) == 2
    assert documents.edits_elsewhere(None) == 3
    documents.drop(there)
    assert documents.edits_elsewhere(here) == 1
    assert documents.edits_elsewhere(there) == 3
    assert list(documents._own_edits) == [here]


async def test_files_worked_on_lately_count_more_unless_switched_off(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.py").write_text(HERON + f"{name}_value = 1\n")
    context = WorkspaceContext(Settings())
    context.index_now(tmp_path)
    one = Settings.model_validate({"retrieval": {"snippets": 1, "definitions": False, "stable": False}})
    off = Settings.model_validate(
        {"retrieval": {"snippets": 1, "definitions": False, "stable": False, "recent": False}}
    )
    text = "x = heron_migration("
    for name in ("b", "c", "a"):
        context.opened_or_changed(tmp_path / f"{name}.py", HERON + f"{name}_value = 1\n", "python")
        context.closed(tmp_path / f"{name}.py")
        (found,) = asked(context, tmp_path, text, off)
        assert (found.path, found.notes) == ("a.py", ())
        if name == "b":
            (found,) = asked(context, tmp_path, text, one)
            assert (found.path, found.notes) == ("b.py", ("edited or opened lately",))
    await context.close()


async def test_definitions_of_a_long_open_document_follow_by_themselves(tmp_path: Path) -> None:
    context = WorkspaceContext(Settings())
    context.index_now(tmp_path)
    body = "".join(f"    stage_{number} = {number}\n" for number in range(30))
    stork = "x_y = 1\n" * 9 + f"class StorkTable:\n{body}{LONG}"
    context.opened_or_changed(tmp_path / "stork.py", stork, "python")

    def defined() -> list[str]:
        found = asked(context, tmp_path, "from stork import StorkTable\n", Settings())
        return [snippet.text.split("\n")[0] for snippet in found if snippet.kind == "definition"]

    assert defined() == []
    async with asyncio.timeout(120):
        while defined() != ["class StorkTable:"]:
            await asyncio.sleep(0.01)
    await context.close()


async def test_indexes_are_packed_one_after_the_other_and_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop_thread = threading.get_ident()
    running, most, threads = 0, 0, set()
    real = RetrievalIndex.pack

    def pack(index: RetrievalIndex) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threads.add(threading.get_ident())
        real(index)
        running -= 1

    monkeypatch.setattr(RetrievalIndex, "pack", pack)
    packer = Packer()
    indexes = [RetrievalIndex() for _ in range(3)]
    for round_ in range(3):
        for index in indexes:
            index.update("stork.py", f"class Stork{round_}:\n" + LONG)
            packer.soon(index)
            packer.soon(index)
        await asyncio.gather(*(packer.pack(index) for index in indexes))
    await packer.close()
    assert not any(index.packing_due for index in indexes)
    assert most == 1
    assert loop_thread not in threads


def test_without_an_event_loop_an_index_is_packed_at_once() -> None:
    index = RetrievalIndex()
    index.update("stork.py", "class Stork:\n" + LONG)
    Packer().soon(index)
    assert not index.packing_due
