"""The workspace as retrieval sees it: disk, open documents, several folders."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.completion import following
from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.folder import RESCAN_PATHS
from aix_lsp.completion.index_job import IndexJob, Part
from aix_lsp.completion.indexing import index
from aix_lsp.completion.open_documents import MOST_CHARACTERS
from aix_lsp.settings import Settings, WorkspaceSettings
from aix_lsp.types import DocumentSnapshot, Snippet

HERON = "def heron_migration(start, end):\n    return start + end\n"
SETTINGS = Settings()


def asking(path: Path) -> DocumentSnapshot:
    return DocumentSnapshot(path.as_uri(), "x = heron_migration(", "python", 1, path.name, path)


class Asker:
    """A context on one folder, and a document in it that asks for herons."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states = ["new"]
        self.context = WorkspaceContext(SETTINGS, lambda folder, state: self.states.append(state))
        self.context.add_folder(root)

    def snippets(self, settings: Settings = SETTINGS) -> list[Snippet]:
        return self.context.snippets(asking(self.root / "asking.py"), 20, settings)

    def paths(self) -> list[str]:
        return [snippet.path for snippet in self.snippets() if "heron_migration" in snippet.text]

    async def ready(self) -> None:
        self.context.start_indexing(self.root)
        await self.until(lambda: self.states[-1] not in ("new", "indexing"))
        assert self.states[-1] == "ready"

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not true():
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def asker(tmp_path: Path) -> AsyncIterator[Asker]:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "heron.py").write_text(HERON)
    (tmp_path / "other.py").write_text("def unrelated(): pass\n")
    asker = Asker(tmp_path)
    yield asker
    await asker.context.close()


async def test_a_folder_is_indexed_in_a_process_of_its_own(asker: Asker) -> None:
    assert asker.paths() == []
    await asker.ready()
    (snippet,) = asker.snippets()
    assert (snippet.path, snippet.start_line, snippet.end_line) == ("birds/heron.py", 1, 2)
    assert "heron_migration" in snippet.text
    report = asker.context.folders[0].report
    assert report is not None
    assert report.files == 2


async def test_changes_on_disk_are_taken_over(asker: Asker) -> None:
    await asker.ready()
    heron = asker.root / "birds" / "heron.py"
    moved = asker.root / "moved.py"
    heron.rename(moved)
    asker.context.paths_changed([heron, moved])
    await asker.until(lambda: asker.paths() == ["moved.py"])
    moved.unlink()
    asker.context.paths_changed([moved])
    await asker.until(lambda: asker.paths() == [])


async def test_a_folder_that_comes_or_goes_is_taken_over_without_a_rescan(asker: Asker) -> None:
    await asker.ready()
    (asker.root / "birds").rename(asker.root / "animals")
    asker.context.paths_changed([asker.root / "birds", asker.root / "animals"])
    await asker.until(lambda: asker.paths() == ["animals/heron.py"])
    assert asker.states == ["new", "indexing", "ready"]


async def test_many_changes_at_once_are_left_to_the_indexer_and_what_is_gone_is_gone_at_once(asker: Asker) -> None:
    await asker.ready()
    (asker.root / "birds" / "heron.py").unlink()
    names = [asker.root / f"f{number}.py" for number in range(RESCAN_PATHS + 1)]
    for name in names:
        name.write_text("y = 1\n")
    asker.context.paths_changed([*names, asker.root / "birds" / "heron.py"])
    await asker.until(lambda: asker.states[-1] == "indexing")
    assert asker.paths() == []
    await asker.until(lambda: asker.states[-1] == "ready")
    assert asker.states == ["new", *["indexing", "ready"] * 2]
    assert len(asker.context.folders[0].index.paths()) == RESCAN_PATHS + 2


async def test_storms_while_indexing_do_not_keep_it_from_ending(asker: Asker) -> None:
    asker.context.start_indexing(asker.root)
    names = [asker.root / f"f{number}.py" for number in range(RESCAN_PATHS + 1)]
    for text in ("x = 1\n", "x = 2\n", "x = 3\n"):
        for name in names:
            name.write_text(text)
        asker.context.paths_changed(names)
        await asyncio.sleep(0.02)
    asker.context.paths_changed([asker.root / ".git" / "HEAD"])
    await asker.until(lambda: not asker.context.folders[0].is_building)
    assert asker.states.count("indexing") <= 2
    assert asker.states[-1] == "ready"
    assert asker.paths() == ["birds/heron.py"]
    assert len(asker.context.folders[0].index.paths()) == RESCAN_PATHS + 3


async def test_what_is_read_while_the_rules_change_is_not_taken_over(asker: Asker) -> None:
    asker.context.start_indexing(asker.root)
    rules = asker.root / ".aixignore"
    seen: list[str] = []
    while not asker.context.folders[0].found:
        if not rules.exists():
            await asyncio.sleep(0.05)
            rules.write_text("birds/\n")
            asker.context.paths_changed([rules])
        seen += asker.paths()
        await asyncio.sleep(0.005)
    assert seen + asker.paths() == []


async def test_a_change_while_indexing_is_not_lost(asker: Asker) -> None:
    asker.context.start_indexing(asker.root)
    await asyncio.sleep(0)
    (asker.root / "new.py").write_text(HERON.replace("start", "begin"))
    asker.context.paths_changed([asker.root / "new.py"])
    await asker.until(lambda: "new.py" in asker.paths())


async def test_changed_ignore_rules_lead_to_a_rescan(asker: Asker) -> None:
    await asker.ready()
    rules = asker.root / ".aixignore"
    rules.write_text("birds/\n")
    asker.context.paths_changed([rules])
    await asker.until(lambda: asker.paths() == [])


async def test_what_changed_rules_ignore_is_gone_before_the_indexer_has_looked(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = asker.root / "opened.py"
    opened.write_text(HERON.replace("start", "begin"))
    asker.context.opened_or_changed(opened, opened.read_text(), "python")
    await asker.ready()
    (folder,) = asker.context.folders
    await asker.until(lambda: not folder.is_building)
    assert sorted(asker.paths()) == ["birds/heron.py", "opened.py"]
    monkeypatch.setattr("sys.executable", "/nowhere/python")  # it never looks
    rules = asker.root / ".aixignore"
    rules.write_text("birds/\nopened.py\n")
    asker.context.paths_changed([rules])
    await asker.until(lambda: asker.paths() == [])
    asker.context.opened_or_changed(opened, HERON.replace("start", "first"), "python")
    assert asker.paths() == []
    await asker.until(lambda: folder.index.definitions.paths() == {"other.py"})
    await asker.until(lambda: asker.states[-1].startswith("failed"))
    assert asker.paths() == []
    assert folder.index.paths() == {"other.py"}


async def test_files_searched_before_the_others_are_read_follow_changed_rules_too(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is searched while the last files come into it."""
    (folder,) = asker.context.folders
    monkeypatch.setattr("aix_lsp.completion.indexing._FIRST_FROM", 0)
    (asker.root / "late").mkdir()
    (asker.root / "late" / "heron.py").write_text(HERON)
    rules = asker.root / ".aixignore"
    parts = index(folder.job_with([asker.root / "birds" / "open.py"]))
    seen: list[list[str]] = []
    jobs: list[IndexJob] = []

    class Process:
        async def parts(self, job: IndexJob) -> AsyncIterator[Part]:
            jobs.append(job)
            for part in parts if len(jobs) == 1 else ():
                yield part
                seen.append(asker.paths())
                if seen[-1] and not rules.exists():
                    rules.write_text("late/\nbirds/\n")
                    asker.context.paths_changed([rules])
                    await asker.until(lambda: folder.rules_changed and folder.index.paths() == set())

    @asynccontextmanager
    async def process() -> AsyncIterator[Process]:
        yield Process()

    monkeypatch.setattr("aix_lsp.completion.following.indexer_process", process)
    asker.context.start_indexing(asker.root)
    await asker.until(lambda: len(jobs) == 2)
    assert seen == [[], ["birds/heron.py"]]
    assert asker.paths() == []
    assert folder.index.paths() == {"other.py"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_what_git_tracks_although_changed_rules_ignore_it_stays(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["init", "--quiet"], ["add", "birds/heron.py"]):
        subprocess.run(["git", *arguments], cwd=asker.root, check=True)
    await asker.ready()
    (folder,) = asker.context.folders
    await asker.until(lambda: not folder.is_building)
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    (asker.root / ".gitignore").write_text("birds/\nother.py\n")
    asker.context.paths_changed([asker.root / ".gitignore"])
    await asker.until(lambda: folder.index.definitions.paths() == {"birds/heron.py"})
    assert folder.index.paths() == {"birds/heron.py"}
    assert asker.paths() == ["birds/heron.py"]


async def test_the_text_of_an_open_document_counts(asker: Asker) -> None:
    await asker.ready()
    heron = asker.root / "birds" / "heron.py"
    asker.context.opened_or_changed(heron, "def stork(): pass\n", "python")
    assert asker.paths() == []
    # not even a change on disk wins over it
    asker.context.paths_changed([heron])
    await asyncio.sleep(0.05)
    assert asker.paths() == []
    asker.context.closed(heron)
    await asker.until(lambda: asker.paths() == ["birds/heron.py"])


async def test_open_documents_outside_all_folders_are_quoted_by_name(asker: Asker, tmp_path: Path) -> None:
    await asker.ready()
    (asker.root / "birds" / "heron.py").unlink()
    asker.context.paths_changed([asker.root / "birds" / "heron.py"])
    await asker.until(lambda: asker.paths() == [])
    elsewhere = tmp_path.parent / "elsewhere.py"
    asker.context.opened_or_changed(elsewhere, HERON, "python")
    assert asker.paths() == ["elsewhere.py"]
    asker.context.closed(elsewhere)
    assert asker.paths() == []


@pytest.mark.parametrize("ready", [True, False])
async def test_a_folder_that_is_added_later_decides_about_documents_in_it(tmp_path: Path, ready: bool) -> None:
    (tmp_path / ".aixignore").write_text("heron.py\n")
    (tmp_path / "heron.py").write_text(HERON)
    context = WorkspaceContext(SETTINGS)
    context.opened_or_changed(tmp_path / "heron.py", HERON, "python")

    def quoted(asker: str) -> list[str]:
        return [snippet.path for snippet in context.snippets(asking(tmp_path / asker), 20, SETTINGS)]

    assert quoted("asking.py") == ["heron.py"]
    if ready:
        context.index_now(tmp_path)
    else:
        context.add_folder(tmp_path)
    assert quoted("heron.py") == []
    assert quoted("asking.py") == []
    context.remove_folder(tmp_path)
    assert quoted("asking.py") == ["heron.py"]


async def test_open_secrets_are_not_quoted(asker: Asker) -> None:
    await asker.ready()
    (asker.root / "birds" / "heron.py").unlink()
    asker.context.paths_changed([asker.root / "birds" / "heron.py"])
    await asker.until(lambda: asker.paths() == [])
    for name in (".env", "id_rsa"):
        asker.context.opened_or_changed(asker.root / name, HERON, "plaintext")
    key = "-----BEGIN " + "PRIVATE KEY-----\n"
    asker.context.opened_or_changed(asker.root / "a.py", key + HERON, "python")
    assert asker.paths() == []


async def test_the_documents_own_folder_comes_first(tmp_path: Path) -> None:
    context = WorkspaceContext(SETTINGS)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "heron.py").write_text(HERON + f"# {name}\n")
        context.index_now(tmp_path / name)
    for name, other in (("one", "two"), ("two", "one")):
        found = context.snippets(asking(tmp_path / name / "asking.py"), 20, SETTINGS)
        assert [snippet.text.splitlines()[-1] for snippet in found] == [f"# {name}", f"# {other}"]


async def test_files_are_called_by_their_path_in_the_innermost_folder(tmp_path: Path) -> None:
    context = WorkspaceContext(SETTINGS)
    (tmp_path / "inner").mkdir()
    context.add_folder(tmp_path)
    context.add_folder(tmp_path / "inner")
    assert context.name_of(tmp_path / "inner" / "a" / "b.py") == "a/b.py"
    assert context.name_of(tmp_path / "c.py") == "c.py"
    assert context.name_of(tmp_path.parent / "d.py") == "d.py"


async def test_the_number_of_snippets_is_a_setting(asker: Asker) -> None:
    for number in range(5):
        (asker.root / f"h{number}.py").write_text(HERON.replace("return", f"value{number} = other{number}\n    return"))
    await asker.ready()
    few = Settings.model_validate({"retrieval": {"snippets": 2}})
    assert len(asker.snippets()) == 3
    assert len(asker.snippets(few)) == 2


async def test_a_folder_is_never_shown_as_being_indexed_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise struct.error("what is quoted here is private")

    monkeypatch.setattr(following.DiskFollower, "_follow", broken)
    asker = Asker(tmp_path)
    asker.context.start_indexing(tmp_path)
    await asker.until(lambda: asker.states[-1] == "failed: broken index")
    await asker.context.close()


@pytest.mark.skipif(os.name == "nt", reason="no signals and no scripts")
@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("kill -9 $$", "the system or somebody ended the indexer by signal 9, as when the memory is short"),
        ("exit 3", "the indexer ended with status 3"),
    ],
)
async def test_an_indexer_that_ends_without_a_word_is_told_by_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, told: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nread job\n{last}\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    asker = Asker(tmp_path)
    asker.context.start_indexing(tmp_path)
    await asker.until(lambda: asker.states[-1] == f"failed: {told}")
    await asker.context.close()


async def test_an_indexer_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = Asker(tmp_path)
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    asker.context.start_indexing(tmp_path)
    await asker.until(lambda: asker.states[-1].startswith("failed"))
    await asker.context.close()


async def test_too_many_files_are_said(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"a{number}.py").write_text("x = 1\n")
    context = WorkspaceContext(Settings(workspace=WorkspaceSettings(max_files=3)))
    report = context.index_now(tmp_path)
    assert (report.files, report.truncated) == (3, True)


async def test_a_secret_typed_into_a_file_takes_it_out(asker: Asker) -> None:
    await asker.ready()
    heron = asker.root / "birds" / "heron.py"
    asker.context.opened_or_changed(heron, HERON, "python")
    assert asker.paths() == ["birds/heron.py"]
    asker.context.opened_or_changed(heron, HERON + "# -----BEGIN " + "PRIVATE KEY-----\n", "python")
    assert asker.snippets() == []


async def test_a_new_file_that_is_not_on_disk_yet_is_quoted(asker: Asker) -> None:
    await asker.ready()
    asker.context.opened_or_changed(asker.root / "new.py", HERON.replace("start", "begin"), "python")
    assert "new.py" in asker.paths()


@pytest.mark.parametrize("name", ["notes.txt", "data.csv"])
async def test_open_documents_that_are_no_code_or_too_large_are_not_quoted(asker: Asker, name: str) -> None:
    await asker.ready()
    for folder in (asker.root, asker.root.parent):
        asker.context.opened_or_changed(folder / name, HERON.replace("start", "begin"), "plaintext")
        asker.context.opened_or_changed(folder / "big.py", "# heron_migration\n" * 50_000, "python")
    assert asker.paths() == ["birds/heron.py"]


async def test_a_name_that_cannot_be_looked_at_costs_no_other_change(asker: Asker) -> None:
    await asker.ready()
    (asker.root / "late.py").write_text(HERON.replace("start", "begin"))
    asker.context.paths_changed([asker.root / ("x" * 300), asker.root / "late.py"])
    await asker.until(lambda: "late.py" in asker.paths())


async def test_removing_a_folder_while_it_is_indexed_is_told(asker: Asker) -> None:
    asker.context.start_indexing(asker.root)
    await asyncio.sleep(0.05)
    asker.context.remove_folder(asker.root)
    assert asker.states == ["new", "indexing", "removed"]


async def test_a_file_in_two_nested_folders_is_quoted_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "heron.py").write_text(HERON)
    context = WorkspaceContext(SETTINGS)
    context.index_now(tmp_path)
    context.index_now(tmp_path / "inner")
    found = context.snippets(asking(tmp_path / "asking.py"), 20, SETTINGS)
    assert [snippet.path for snippet in found] == ["heron.py"]


async def test_a_workspaces_own_modules_are_not_imported(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editors start servers inside the workspace."""
    for name in ("numpy", "json", "logging", "sitecustomize"):
        (asker.root / f"{name}.py").write_text("raise SystemExit('the workspace was run')\n")
    monkeypatch.chdir(asker.root)
    await asker.ready()


async def test_definitions_come_from_the_indexer_and_follow_the_files(asker: Asker) -> None:
    body = "".join(f"    stage_{number} = {number}\n" for number in range(30))
    store = asker.root / "stork.py"
    store.write_text("x_y = 1\n" * 9 + f"class StorkTable:\n{body}")
    await asker.ready()
    text = "from stork import StorkTable\n\n"

    def meant() -> list[str]:
        path = asker.root / "asking.py"
        document = DocumentSnapshot(path.as_uri(), f"{text}\nrest()\n", "python", 1, path.name, path)
        found = asker.context.snippets(document, len(text), SETTINGS)
        return [snippet.text.split("\n")[0] for snippet in found if snippet.kind == "definition"]

    await asker.until(lambda: meant() == ["class StorkTable:"])
    store.write_text(store.read_text().replace("StorkTable", "StorkList"))
    asker.context.paths_changed([store])
    await asker.until(lambda: meant() == [])
    store.write_text(store.read_text().replace("StorkList", "StorkTable"))
    asker.context.paths_changed([store])
    await asker.until(lambda: meant() == ["class StorkTable:"])


async def test_a_folder_that_goes_is_searched_no_more_and_is_again_when_it_is_back(asker: Asker) -> None:
    await asker.ready()
    away = asker.root.with_name(f"{asker.root.name}-away")
    asker.root.rename(away)
    asker.context.paths_changed([asker.root])
    await asker.until(lambda: asker.states[-1] == "gone")
    (folder,) = asker.context.folders
    assert (asker.paths(), folder.phase, len(folder.index)) == ([], "failed", 0)
    open_one = asker.root / "open.py"
    asker.context.opened_or_changed(open_one, HERON, "python")
    assert asker.paths() == ["open.py"]
    asker.context.closed(open_one)
    away.rename(asker.root)
    asker.context.paths_changed([asker.root])
    await asker.until(lambda: asker.paths() == ["birds/heron.py"])


def test_nothing_is_offered_or_remembered_of_a_text_too_long_to_be_looked_through(tmp_path: Path) -> None:
    context = WorkspaceContext(SETTINGS)
    long = "x = 1\n" * (MOST_CHARACTERS // 6)
    place = tmp_path / "a.py"
    at_most = DocumentSnapshot(place.as_uri(), long, "python", 1, place.name, place)
    over = replace(at_most, text=long + "x" * 10)
    assert (context.silence(at_most).reason, context.is_private(at_most)) == ("", False)
    assert context.silence(over).always
    assert context.is_private(over)


async def test_a_mount_that_is_dead_is_a_folder_that_is_gone(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    await asker.ready()
    looked = os.stat

    def dead(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if isinstance(path, (str, Path)) and Path(path) == asker.root:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return looked(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", dead)
    asker.context.paths_changed([asker.root])
    await asker.until(lambda: asker.states[-1] == "gone")


async def test_a_folder_that_is_lost_while_it_is_indexed_is_indexed_when_it_is_back(asker: Asker) -> None:
    """Also where what was at work on it ends slowly."""
    away = asker.root.with_name("away")
    (folder,) = asker.context.folders
    goes_on = asyncio.Event()

    async def ends_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await goes_on.wait()

    folder.building = asyncio.ensure_future(ends_slowly())
    slow = folder.building
    await asyncio.sleep(0)
    asker.root.rename(away)
    asker.context.paths_changed([asker.root])
    await asker.until(lambda: asker.states[-1] == "gone")
    away.rename(asker.root)
    asker.context.paths_changed([asker.root])
    await asker.until(lambda: asker.states[-1] == "ready")
    assert asker.paths() == ["birds/heron.py"]
    goes_on.set()
    await asyncio.wait([slow])


async def test_a_folder_that_was_away_for_a_moment_is_indexed_without_a_word_of_the_watcher(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LOOK_AGAIN_S", 0.2)
    await asker.ready()
    away = asker.root.with_name("away")
    asker.root.rename(away)
    asker.context.paths_changed([asker.root])
    await asker.until(lambda: asker.states[-1] == "gone")
    away.rename(asker.root)
    await asker.until(lambda: asker.states[-1] == "ready")
    assert asker.paths() == ["birds/heron.py"]
