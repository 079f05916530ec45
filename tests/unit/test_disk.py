"""A disk that does not answer is waited for once, a moment; what is asked goes on without it until it answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.completion import silent_disk
from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot
from aix_lsp.workspace import watcher as watching
from aix_lsp.workspace.disk import Disk, in_thread
from aix_lsp.workspace.scanner import Scanner
from aix_lsp.workspace.watcher import WorkspaceWatcher

PATIENCE_S = 0.2
HERON = "def heron_migration(start, end):\n    return start + end\n"


class Hanging:
    """What waits on a disk for as long as it `hangs`."""

    def __init__(self) -> None:
        self._answers = threading.Event()
        self._answers.set()

    def hang(self) -> None:
        self._answers.clear()

    def answer(self) -> None:
        self._answers.set()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            assert self._answers.wait(60)
            return function(*arguments)

        return call


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    hanging = Hanging()
    yield hanging
    hanging.answer()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_question_is_answered_and_its_error_raised() -> None:
    disk = Disk(patience=30)
    assert disk.ask(lambda: 42, 0) == 42
    with pytest.raises(FileNotFoundError):
        disk.ask(lambda: Path("/nowhere/at/all").stat(), None)
    assert not disk.is_silent
    disk.close()


def test_without_patience_the_asker_s_own_thread_asks() -> None:
    assert Disk().ask(threading.current_thread, None) is threading.current_thread()


def test_an_overdue_answer_is_waited_for_once_and_done_without_until_it_comes(hanging: Hanging) -> None:
    disk = Disk(PATIENCE_S)
    events: list[str] = []
    disk.on_silent = partial(events.append, "silent")
    disk.on_answer = partial(events.append, "answers")
    question = hanging.before(lambda: "answered")
    hanging.hang()
    began = time.monotonic()
    assert disk.ask(question, "without") == "without"
    assert time.monotonic() - began >= PATIENCE_S
    began = time.monotonic()
    assert {disk.ask(question, "without") for _ in range(100)} == {"without"}
    assert time.monotonic() - began < PATIENCE_S
    assert events == ["silent"]
    hanging.answer()
    until(lambda: events == ["silent", "answers"])
    assert disk.ask(question, "without") == "answered"
    disk.close()


def test_a_closed_disk_asks_nothing_and_its_thread_ends(hanging: Hanging) -> None:
    disk = Disk(PATIENCE_S)
    hanging.hang()
    before = threading.active_count()
    assert disk.ask(hanging.before(lambda: True), False) is False
    disk.close()
    assert disk.ask(lambda: True, False) is False
    hanging.answer()
    until(lambda: threading.active_count() <= before)
    assert disk.ask(lambda: True, False) is False


async def test_what_waits_in_a_thread_can_be_left_to_itself(hanging: Hanging) -> None:
    assert await in_thread(int, "42") == 42
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "x")
    hanging.hang()
    waiting = asyncio.ensure_future(in_thread(hanging.before(int), "42"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hanging.answer()


async def test_completions_go_on_from_open_documents_while_a_folder_does_not_answer(
    tmp_path: Path, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heron.py").write_text(HERON)
    (tmp_path / ".aixignore").write_text("ignored.py\n")
    for name in ("read", "reason", "ignored_by", "accepts"):
        monkeypatch.setattr(Scanner, name, hanging.before(getattr(Scanner, name)))
    monkeypatch.setattr(silent_disk, "TELL_SECONDS", 0.05)
    states: list[str] = []
    context = WorkspaceContext(Settings(), lambda folder, state: states.append(state), patience=PATIENCE_S)
    context.add_folder(tmp_path)
    context.index_now(tmp_path)
    opened = tmp_path / "egret.py"
    context.opened_or_changed(opened, HERON.replace("start", "first"), "python")

    def quoted() -> list[str]:
        path = tmp_path / "asking.py"
        asking = DocumentSnapshot(path.as_uri(), "x = heron_migration(", "python", 1, path.name, path)
        return sorted({snippet.path for snippet in context.snippets(asking, 20, Settings())})

    def silence_of(name: str) -> str:
        path = tmp_path / name
        return context.silence(DocumentSnapshot(path.as_uri(), "x", "python", 1, path.name, path)).reason

    assert quoted() == ["egret.py", "heron.py"]
    ignored = silence_of("ignored.py")
    assert ".aixignore" in ignored
    hanging.hang()
    assert quoted() == ["egret.py"]
    began = time.monotonic()
    context.opened_or_changed(opened, HERON.replace("start", "second"), "python")
    assert quoted() == ["egret.py"]
    assert silence_of("ignored.py") == ignored
    assert not silence_of("other.py")
    assert time.monotonic() - began < PATIENCE_S
    async with asyncio.timeout(30):
        while "silent" not in states:
            await asyncio.sleep(0.01)
        (tmp_path / "tern.py").write_text(HERON.replace("heron", "tern"))
        hanging.answer()
        while "answers" not in states or "tern.py" not in context.folders[0].index.paths():
            await asyncio.sleep(0.01)
    assert states.count("silent") == 1
    assert "heron.py" in quoted()
    await context.close()


def test_a_folder_that_does_not_answer_keeps_no_change_of_another_from_being_noticed(
    tmp_path: Path, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("silent", "other"):
        (tmp_path / name).mkdir()
    identity = watching.identity
    asks = hanging.before(identity)
    monkeypatch.setattr(watching, "identity", lambda name: (asks if name.endswith("silent") else identity)(name))
    monkeypatch.setattr(watching, "_LOOK_PATIENCE_S", 0.05)
    posted: set[Path] = set()
    watcher = WorkspaceWatcher(posted.update, lambda message: None, batch_delay=0.02, look_interval=0.05)
    for name in ("silent", "other"):
        watcher.add(tmp_path / name)
    hanging.hang()
    time.sleep(0.3)
    (tmp_path / "other" / "new.py").write_text("x = 1\n")
    until(lambda: tmp_path / "other" / "new.py" in posted)
    began = time.monotonic()
    watcher.close()
    assert time.monotonic() - began < 1.5
