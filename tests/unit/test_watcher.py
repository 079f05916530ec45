"""Changes on a real disk are posted as paths; the system's limit leads to polling."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.api import BaseObserver

from aix_lsp.workspace import watch_plan
from aix_lsp.workspace import watcher as module
from aix_lsp.workspace.observers import system_observer
from aix_lsp.workspace.presence import is_gone, pause_after
from aix_lsp.workspace.watch_plan import is_reported, list_watched, plan
from aix_lsp.workspace.watcher import WorkspaceWatcher

TIMEOUT_S = 10.0
SETTLED_S = 0.2

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="watches of single folders")


class Recorder:
    """Remembers what was posted, and on which threads."""

    def __init__(self) -> None:
        self.batches: list[frozenset[Path]] = []
        self.messages: list[str] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def on_paths(self, paths: frozenset[Path]) -> None:
        with self._changed:
            self.batches.append(paths)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    @property
    def paths(self) -> set[Path]:
        return set().union(*self.batches)

    def wait_for(self, *paths: Path) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.paths >= set(paths), TIMEOUT_S), self.batches

    def wait_for_message(self, text: str) -> None:
        end = time.monotonic() + TIMEOUT_S
        while text not in self.messages:
            assert time.monotonic() < end, self.messages
            time.sleep(0.01)

    def forget(self) -> None:
        time.sleep(SETTLED_S)
        self.batches.clear()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


Start = Callable[..., WorkspaceWatcher]


@pytest.fixture
def start(recorder: Recorder) -> Iterator[Start]:
    """Makes a watcher of folders and closes it at the end."""
    started: list[WorkspaceWatcher] = []

    def begin(*roots: Path, **options: Any) -> WorkspaceWatcher:
        watcher = WorkspaceWatcher(recorder.on_paths, recorder.messages.append, batch_delay=0.02, **options)
        started.append(watcher)
        for root in roots:
            watcher.add(root)
        return watcher

    yield begin
    for watcher in started:
        watcher.close()


@pytest.mark.parametrize("options", [{}, {"mode": "poll", "poll_interval": 0.05}], ids=["events", "poll"])
def test_create_change_rename_and_delete_are_posted(
    tmp_path: Path, recorder: Recorder, start: Start, options: dict[str, Any]
) -> None:
    old, new = tmp_path / "a.py", tmp_path / "sub" / "b.py"
    new.parent.mkdir()
    start(tmp_path, **options)
    for change, posted in (
        (lambda: old.write_text("1"), [old]),
        (lambda: old.write_text("22"), [old]),
        (lambda: old.rename(new), [old, new]),
        (new.unlink, [new]),
    ):
        change()
        recorder.wait_for(*posted)
        recorder.forget()
    assert recorder.messages == []
    assert recorder.threads == {"workspace-watcher"}


@pytest.mark.parametrize("with_git", [True, False])
def test_folders_are_followed_when_they_are_made_renamed_and_made_again(
    tmp_path: Path, recorder: Recorder, start: Start, with_git: bool
) -> None:
    if with_git:
        (tmp_path / ".git").mkdir()
    start(tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "deep").mkdir(parents=True)
    (one / "deep" / "a.py").write_text("1")
    recorder.wait_for(one)
    recorder.forget()
    (one / "deep" / "a.py").write_text("2")
    recorder.wait_for(one / "deep" / "a.py")
    one.rename(two)
    recorder.wait_for(one, two)
    recorder.forget()
    (two / "deep" / "b.py").write_text("3")
    recorder.wait_for(two / "deep" / "b.py")
    shutil.rmtree(two)
    recorder.wait_for(two)
    recorder.forget()
    two.mkdir()
    recorder.wait_for(two)
    recorder.forget()
    (two / "c.py").write_text("4")
    recorder.wait_for(two / "c.py")


@pytest.mark.parametrize("options", [{}, {"mode": "poll", "poll_interval": 0.05}], ids=["events", "poll"])
def test_a_switched_branch_is_posted_and_the_rest_of_git_and_heavy_folders_are_not(
    tmp_path: Path, recorder: Recorder, start: Start, options: dict[str, Any]
) -> None:
    for folder in (".git/objects", "node_modules/m", "src"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    start(tmp_path, **options)
    (tmp_path / ".git" / "objects" / "aa").write_text("x")
    (tmp_path / ".git" / "config").write_text("x")
    (tmp_path / "node_modules" / "m" / "i.js").write_text("x")
    (tmp_path / "src" / "__pycache__").mkdir()
    (tmp_path / "src" / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / ".git" / "HEAD.lock").write_text("ref: refs/heads/other\n")
    (tmp_path / ".git" / "HEAD.lock").replace(tmp_path / ".git" / "HEAD")
    recorder.wait_for(tmp_path / ".git" / "HEAD")
    time.sleep(SETTLED_S)
    assert recorder.paths == {tmp_path / ".git" / "HEAD"}


def test_folders_made_faster_than_the_system_is_read_do_not_end_the_watch(
    tmp_path: Path, recorder: Recorder, start: Start
) -> None:
    start(tmp_path)
    for number in range(40):
        (tmp_path / str(number) / "a" / "b" / "c").mkdir(parents=True)
    recorder.forget()
    (tmp_path / "last.py").write_text("1")
    recorder.wait_for(tmp_path / "last.py")


def test_reading_files_posts_nothing(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    (tmp_path / "a.py").write_text("1")
    start(tmp_path)
    recorder.forget()
    (tmp_path / "a.py").read_text()
    list(tmp_path.iterdir())
    time.sleep(SETTLED_S)
    assert recorder.batches == []


def test_paths_are_posted_below_a_linked_root_as_it_is_spelled(
    tmp_path: Path, recorder: Recorder, start: Start
) -> None:
    (tmp_path / "real" / "node_modules").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    start(tmp_path / "link")
    (tmp_path / "real" / "a.py").write_text("1")
    recorder.wait_for(tmp_path / "link" / "a.py")
    (tmp_path / "real" / "new").mkdir()
    recorder.wait_for(tmp_path / "link" / "new")
    recorder.forget()
    (tmp_path / "real" / "new" / "b.py").write_text("1")
    recorder.wait_for(tmp_path / "link" / "new" / "b.py")


def test_a_root_below_a_folder_of_a_heavy_name_is_watched(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    root = tmp_path / ".cache" / "project"
    root.mkdir(parents=True)
    start(root)
    (root / "a.py").write_text("1")
    recorder.wait_for(root / "a.py")


def test_a_removed_root_is_silent_and_a_root_inside_it_is_not(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    inner = tmp_path / "inner"
    (inner / "node_modules").mkdir(parents=True)
    watcher = start(tmp_path, inner)
    watcher.remove(tmp_path)
    watcher.remove(tmp_path / "never-added")
    (tmp_path / "a.py").write_text("1")
    (inner / "b.py").write_text("1")
    recorder.wait_for(inner / "b.py")
    time.sleep(SETTLED_S)
    assert recorder.paths == {inner / "b.py"}


def test_changes_close_together_come_in_one_batch(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    start(tmp_path)
    paths = [tmp_path / f"{number}.py" for number in range(20)]
    for path in paths:
        path.write_text("1")
    recorder.wait_for(*paths)
    assert len(recorder.batches) < 10


def test_a_storm_of_changes_is_posted_as_the_root(
    tmp_path: Path, recorder: Recorder, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STORM_PATHS", 50)
    start(tmp_path)
    for number in range(200):
        (tmp_path / f"{number}.py").write_text("1")
    recorder.wait_for(tmp_path)
    time.sleep(SETTLED_S)
    assert recorder.batches[-1] == {tmp_path}
    assert len(recorder.paths) <= 51


def test_changes_that_go_on_and_on_are_no_storm(
    tmp_path: Path, recorder: Recorder, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STORM_PATHS", 20)
    monkeypatch.setattr(module, "_STORM_MEMORY_S", 0.2)
    start(tmp_path)
    paths = [tmp_path / f"{number}.py" for number in range(40)]
    for path in paths:
        path.write_text("1")
        time.sleep(0.03)
    recorder.wait_for(*paths)
    assert recorder.paths == set(paths)


def test_mode_off_watches_nothing(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    watcher = start(tmp_path, mode="off")
    (tmp_path / "a.py").write_text("1")
    time.sleep(SETTLED_S)
    assert (recorder.batches, recorder.messages, watcher.is_polling) == ([], [], False)


@pytest.mark.parametrize("mode", ["auto", "poll"])
def test_a_folder_that_is_not_there_is_told_of_and_watched_when_it_comes(
    tmp_path: Path, recorder: Recorder, start: Start, mode: str
) -> None:
    place = tmp_path / "nowhere"
    start(place, mode=mode, poll_interval=0.05, look_interval=0.02)
    assert recorder.messages == [is_gone(str(place))]
    place.mkdir()
    recorder.wait_for(place)
    recorder.forget()
    (place / "a.py").write_text("1")
    recorder.wait_for(place / "a.py")
    assert len(recorder.messages) == 1


@pytest.mark.parametrize("mode", ["auto", "poll"])
@pytest.mark.parametrize("becomes", ["nothing", "a file"])
def test_a_root_that_goes_is_posted_and_told_of_and_watched_when_it_is_back(
    tmp_path: Path, recorder: Recorder, start: Start, mode: str, becomes: str
) -> None:
    place = tmp_path / "place"
    (place / "sub").mkdir(parents=True)
    start(place, mode=mode, poll_interval=0.05, look_interval=0.02)
    place.rename(tmp_path / "elsewhere")
    if becomes == "a file":
        place.write_text("1")
    recorder.wait_for(place)
    recorder.wait_for_message(is_gone(str(place)))
    if becomes == "a file":
        place.unlink()
    recorder.forget()
    (tmp_path / "elsewhere").rename(place)
    recorder.wait_for(place)
    recorder.forget()
    (place / "sub" / "a.py").write_text("1")
    recorder.wait_for(place / "sub" / "a.py")


def test_a_root_that_another_folder_took_the_place_of_is_watched_anew(
    tmp_path: Path, recorder: Recorder, start: Start
) -> None:
    place, other = tmp_path / "place", tmp_path / "other"
    place.mkdir()
    other.mkdir()
    start(place, look_interval=0.02)
    place.rename(tmp_path / "before")
    other.rename(place)
    recorder.wait_for(place)
    recorder.forget()
    (place / "a.py").write_text("1")
    recorder.wait_for(place / "a.py")


def test_close_ends_all_threads_quickly_and_for_good(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    before = set(threading.enumerate())
    watcher = start(tmp_path)
    polling = start(tmp_path, mode="poll", poll_interval=60.0)
    began = time.monotonic()
    watcher.close()
    polling.close()
    assert time.monotonic() - began < 20  # a poll is 60 s away
    assert set(threading.enumerate()) <= before
    watcher.close()
    watcher.add(tmp_path)
    (tmp_path / "a.py").write_text("1")
    time.sleep(SETTLED_S)
    assert recorder.batches == []
    assert set(threading.enumerate()) <= before


def test_a_watcher_may_be_closed_by_its_own_callback(tmp_path: Path) -> None:
    closed = threading.Event()

    def close(_paths: frozenset[Path]) -> None:
        watcher.close()
        closed.set()

    watcher = WorkspaceWatcher(close, lambda message: None)
    watcher.add(tmp_path)
    (tmp_path / "a.py").write_text("1")
    assert closed.wait(TIMEOUT_S)


def limited(allowed: int, error: int) -> Callable[[], BaseObserver]:
    """Observers of the system's events that give out `allowed` watches in all, and none after."""
    left = allowed

    def make() -> BaseObserver:
        observer = system_observer()
        schedule = observer.schedule

        def limited_schedule(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(error, os.strerror(error))
            return schedule(*arguments, **options)

        observer.schedule = limited_schedule  # type: ignore[method-assign]
        return observer

    return make


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EMFILE])
# 0: the folder itself gets no watch. 1: the folders below it get none, of which the system says nothing.
@pytest.mark.parametrize("allowed", [0, pytest.param(1, marks=linux_only)])
def test_at_the_systems_limit_it_falls_back_to_polling_and_says_so_once(
    tmp_path: Path, recorder: Recorder, start: Start, error: int, allowed: int
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    watcher = start(one, two, poll_interval=0.05, observer_factory=limited(allowed, error))
    assert watcher.is_polling
    assert len(recorder.messages) == 1
    assert "limit" in recorder.messages[0]
    (one / "a.py").write_text("1")
    (two / "b.py").write_text("1")
    recorder.wait_for(one / "a.py", two / "b.py")


def test_it_falls_back_when_the_system_gives_no_observer_at_all(
    tmp_path: Path, recorder: Recorder, start: Start
) -> None:
    def refuse() -> BaseObserver:
        raise OSError(errno.EMFILE, "too many")

    assert start(tmp_path, poll_interval=0.05, observer_factory=refuse).is_polling
    (tmp_path / "a.py").write_text("1")
    recorder.wait_for(tmp_path / "a.py")


@linux_only
def test_it_falls_back_when_the_limit_is_reached_later(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    watcher = start(tmp_path, poll_interval=0.05, observer_factory=limited(2, errno.ENOSPC))
    assert not watcher.is_polling
    (tmp_path / "new").mkdir()
    recorder.wait_for(tmp_path / "new")
    assert watcher.is_polling
    assert len(recorder.messages) == 1
    (tmp_path / "new" / "a.py").write_text("1")
    recorder.wait_for(tmp_path / "new" / "a.py")
    # no event tells of what changed between the last watch and the first look
    assert tmp_path in recorder.paths


def test_polling_does_not_follow_links_in_circles(tmp_path: Path, recorder: Recorder, start: Start) -> None:
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to("..")
    start(tmp_path, mode="poll", poll_interval=0.05)
    (tmp_path / "sub" / "a.py").write_text("1")
    recorder.wait_for(tmp_path / "sub" / "a.py")
    time.sleep(SETTLED_S)
    assert recorder.paths == {tmp_path / "sub" / "a.py"}


def test_a_plan_watches_whole_folders_and_goes_around_heavy_ones(tmp_path: Path) -> None:
    for folder in ("src/a/b", "docs", "web/node_modules/m", "web/app/x", ".git/objects/aa", ".venv/lib"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to("src")
    found = {Path(folder).relative_to(tmp_path).as_posix(): whole for folder, whole in plan(str(tmp_path))}
    assert found == {".": False, "src": True, "docs": True, "web": False, "web/app": True, ".git": False}
    assert plan(str(tmp_path))[0] == (str(tmp_path), False)
    assert plan(str(tmp_path / "src")) == [(str(tmp_path / "src"), True)]
    assert plan(str(tmp_path / ".git")) == [(str(tmp_path / ".git"), False)]


def test_a_plan_of_too_many_watches_is_one_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_plan, "_MAX_WATCHES", 10)
    for number in range(10):
        (tmp_path / f"{number}" / "node_modules").mkdir(parents=True)
    assert plan(str(tmp_path)) == [(str(tmp_path), True)]


@pytest.mark.parametrize(
    ("path", "is_folder", "reported"),
    [
        ("a.py", False, True),
        ("src/a.py", False, True),
        (".gitignore", False, True),
        (".git", True, True),
        (".git/HEAD", False, True),
        ("sub/.git/index", False, True),
        (".git/HEAD.lock", False, False),
        (".git/refs/heads/main", False, False),
        (".git/logs/HEAD", False, False),
        ("node_modules", True, False),
        ("a/node_modules/b/c.js", False, False),
        ("venv", False, True),
    ],
)
def test_which_changes_are_reported(path: str, is_folder: bool, reported: bool) -> None:
    assert is_reported(path.replace("/", os.sep), is_folder) is reported


def test_a_poll_looks_at_no_more_than_is_reported(tmp_path: Path) -> None:
    for path in (".git/HEAD", ".git/index", ".git/config", "node_modules/x", "src/a.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert {entry.name for entry in list_watched(str(tmp_path))} == {".git", "src"}
    assert {entry.name for entry in list_watched(str(tmp_path / ".git"))} == {"HEAD", "index"}


def test_roots_are_looked_at_less_often_where_a_look_takes_long() -> None:
    assert pause_after(0.0001, interval=2.0) == 2.0
    assert pause_after(0.1, interval=2.0) == 5.0
    assert pause_after(600.0, interval=2.0) == 60.0
