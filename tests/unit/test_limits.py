"""Limits of a workspace: what is over them is left out in a stated way, the most recently touched first."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.folder import Folder
from aix_lsp.completion.folder_report import cut_in_words, folder_to_dict, left_out_in_words
from aix_lsp.completion.index_job import IndexReport
from aix_lsp.settings import Settings

LIMITED = Settings.model_validate({"workspace": {"max_files": 3, "max_file_kb": 16}})


def write(folder: Path, name: str, age: int, text: str = "") -> Path:
    path = folder / name
    path.write_text(text or f"def {path.stem}_heron():\n    return {age}\n")
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


async def indexed(root: Path) -> tuple[WorkspaceContext, Folder, list[str]]:
    """A folder that the indexer process has gone through, and the phases seen on the way."""
    phases: list[str] = []
    context = WorkspaceContext(LIMITED)
    folder = context.add_folder(root)
    enter = folder.enter

    def note(phase: str, failure: str = "") -> None:
        phases.append(phase)
        enter(phase, failure)

    folder.enter = note
    context.start_indexing(root)
    assert folder.building is not None
    await asyncio.wait_for(folder.building, 30)
    return context, folder, phases


async def until(context: WorkspaceContext, folder: Folder, paths: set[str]) -> None:
    async with asyncio.timeout(120):
        while folder.index.paths() != paths:
            await asyncio.sleep(0.01)


async def test_the_most_recently_changed_files_are_indexed_and_the_rest_is_said(tmp_path: Path) -> None:
    for age in range(5):
        write(tmp_path, f"f{age}.py", age)
    big = write(tmp_path, "big.py", 0, "x = 1\n" * 10_000)
    context, folder, phases = await indexed(tmp_path)
    assert phases == ["scanning", "chunks", "definitions", "ready"]
    told = folder_to_dict(folder)
    assert folder.index.paths() == {"f0.py", "f1.py", "f2.py"}
    assert (told["files"], told["chunks"], told["found"], told["truncated"]) == (3, 3, 3, True)
    assert told["left_out"] == {"size": 1}
    assert (told["phase"], told["indexing"], told["message"], told["from_disk"]) == ("ready", False, "", False)
    # a file that is touched later is taken in, however old it was
    write(tmp_path, "f4.py", -1)
    context.paths_changed([tmp_path / "f4.py"])
    await until(context, folder, {"f0.py", "f1.py", "f2.py", "f4.py"})
    # one that grows too large goes, one that shrinks comes
    write(tmp_path, "f0.py", -2, big.read_text())
    write(tmp_path, "big.py", -2)
    context.paths_changed([tmp_path / "f0.py", big])
    await until(context, folder, {"big.py", "f1.py", "f2.py", "f4.py"})
    # with the next scan the most recent count again
    context.start_indexing(tmp_path)
    assert folder.building is not None
    await folder.building
    assert folder.index.paths() == {"big.py", "f1.py", "f4.py"}
    await context.close()


async def test_files_that_only_reading_tells_about_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.py", 0)
    write(tmp_path, "key.py", 0, "KEY = '''-----BEGIN " + "PRIVATE KEY-----\n'''\n")
    context, folder, _ = await indexed(tmp_path)
    assert folder_to_dict(folder)["left_out"] == {"withheld": 1}
    assert folder_to_dict(folder)["files"] == 1
    await context.close()


async def test_a_folder_that_cannot_be_indexed_says_why(tmp_path: Path) -> None:
    context = WorkspaceContext(LIMITED)
    folder = context.add_folder(tmp_path)
    assert folder_to_dict(folder)["phase"] == "waiting"
    folder.enter("failed", "no room")
    assert (folder_to_dict(folder)["phase"], folder_to_dict(folder)["message"]) == ("failed", "no room")
    folder.enter("scanning")
    assert folder_to_dict(folder)["message"] == ""


def test_what_is_cut_is_told_in_words() -> None:
    assert cut_in_words(IndexReport(3, {}, truncated=False), 3) == ""
    assert "the 2 most recently changed" in cut_in_words(IndexReport(2, {"withheld": 1}, truncated=True), 3)
    assert "too many entries" in cut_in_words(IndexReport(2, {"size": 1}, truncated=True), 3)


def test_reasons_are_told_in_words_most_first() -> None:
    told = left_out_in_words({"type": 1200, "size": 2, "binary": 0, "secret": 2})
    assert told == "1,200 not code, 2 named like secrets, 2 larger than workspace.max_file_kb"
    assert left_out_in_words({}) == ""
