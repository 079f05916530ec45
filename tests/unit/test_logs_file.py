"""The log file: small, private, whole lines, whoever else writes it; and no thread but its own waits for it."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aix_lsp.logs import JsonFormatter
from aix_lsp.logs_file import LogFile, default_file, file_for, older, read_records
from aix_lsp.logs_process import Logs, Outlet, arguments_for_helpers


def until(held: Callable[[], bool]) -> None:
    """Wait for a thread."""
    end = time.monotonic() + 60
    while not held():
        assert time.monotonic() < end
        time.sleep(0.005)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_two_files_of_the_given_size_hold_the_latest_lines(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log" / "a.jsonl", most_bytes=1_000)
    for number in range(200):
        file.append(json.dumps({"n": number}).encode() + b"\n")
    numbers = [record["n"] for record in read_records(file.path)]
    assert numbers == list(range(numbers[0], 200))
    assert file.path.stat().st_size <= 1_000 >= older(file.path).stat().st_size
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["a.jsonl", "a.jsonl.1", "a.jsonl.lock"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_and_new_folders_are_the_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = LogFile(tmp_path / "state" / "log" / "a.jsonl", most_bytes=10)
        for _ in range(3):
            file.append(b'{"a": 1}\n')
    finally:
        os.umask(before)
    assert {mode(path) for path in file.path.parent.iterdir()} == {0o600}
    assert mode(file.path.parent) == mode(tmp_path / "state") == 0o700


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "a.jsonl", tmp_path / "target"
    target.write_text("")
    if kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError, match=r"."):
        LogFile(path).append(b"{}\n")
    assert target.read_text() == ""


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_what_lies_in_the_place_of_the_file_before_or_of_the_lock_is_not_written_through(tmp_path: Path) -> None:
    target, file = tmp_path / "target", LogFile(tmp_path / "a.jsonl", most_bytes=10)
    target.write_text("mine")
    older(file.path).symlink_to(target)
    for _ in range(3):
        file.append(b'{"a": 1}\n')
    assert not older(file.path).is_symlink()
    lock = tmp_path / "a.jsonl.lock"
    lock.unlink()
    lock.symlink_to(target)
    with pytest.raises(OSError, match=r"a\.jsonl\.lock"):
        file.append(b'{"a": 1}\n')
    assert target.read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_who_reads_a_log_waits_for_no_pipe_in_its_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(OSError, match="no file of this user"):
        list(read_records(tmp_path / "a.jsonl"))


def test_of_a_file_that_something_else_has_made_too_large_the_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aix_lsp.logs_file.MOST_BYTES", 100)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"a": {number}}}\n' for number in range(1_000, 2_000)))
    read = [record["a"] for record in read_records(path)]
    assert read == [*range(2_000 - len(read), 2_000)]
    assert 40 < len(read) < 50


def test_several_writers_lose_no_line_when_the_file_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    # the file that is full is renamed once: what stood in it before is in the second file
    path.write_bytes(b'{"w": -1}\n' * 400)

    def write(writer: int) -> None:
        for number in range(100):
            LogFile(path, most_bytes=9_000).append(json.dumps({"w": writer, "n": number}).encode() + b"\n")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = {(record["w"], record.get("n")) for record in read_records(path)}
    assert {(writer, number) for writer in range(3) for number in range(100)} <= found


def test_half_a_line_of_a_full_disk_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2')
    LogFile(path).append(b'{"n": 3}\n')
    assert [record["n"] for record in read_records(path)] == [1, 3]


def test_a_file_that_nobody_can_rename_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogFile, "_rotate", lambda self: None)
    file = LogFile(tmp_path / "a.jsonl", most_bytes=100)
    for _ in range(9):
        file.append(b"x" * 49 + b"\n")
    with pytest.raises(OSError, match="it is full"):
        file.append(b"x" * 49 + b"\n")
    assert file.path.stat().st_size < 500


def test_where_the_log_is_by_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert file_for("auto") == default_file()
    assert file_for("none") is None is file_for("")
    assert file_for(str(tmp_path / "x")) == tmp_path / "x"


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Logs, list[str]]]:
    """A log that is not the process's: its handlers are called by hand."""
    told: list[str] = []
    made = Logs(told.append, None)
    yield made, told
    made.close()


def log_to(outlet: Outlet, event: str, number: int = 0) -> None:
    outlet.handle(logging.LogRecord("aix_lsp.test", logging.INFO, "f.py", 1, event, (number,), None))


def test_a_file_that_cannot_be_written_is_told_once_and_written_again_once_it_can(
    logs: tuple[Logs, list[str]], tmp_path: Path
) -> None:
    made, told = logs
    (tmp_path / "log").write_text("in the way")
    path = tmp_path / "log" / "a.jsonl"
    outlet = made._kept
    assert outlet is not None
    log_to(outlet, "before the settings %d")
    made.apply("warning", path)
    for number in range(3):
        log_to(outlet, "lost %d", number)
        until(lambda number=number: made._lost == number + 2)  # type: ignore[misc]
    assert len(told) == 1
    assert str(path) in told[0]
    assert told[0].endswith("the server works without it")
    (tmp_path / "log").unlink()
    log_to(outlet, "kept %d")
    until(lambda: made._lost == 0)
    assert [record["event"] for record in read_records(path)] == ["kept 0", "4 lines could not be written"]


def test_a_reason_that_the_system_has_no_words_for_is_told_too(
    logs: tuple[Logs, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, told = logs

    def refused(file: LogFile, lines: bytes) -> None:
        raise PermissionError("the folder belongs to somebody else")

    monkeypatch.setattr(LogFile, "append", refused)
    made.apply("warning", tmp_path / "a.jsonl")
    assert made._kept is not None
    log_to(made._kept, "lost")
    until(lambda: bool(told))
    assert told[0].endswith("cannot be written: the folder belongs to somebody else; the server works without it")


def test_lines_from_before_the_settings_are_kept_and_a_level_counts_at_once(
    logs: tuple[Logs, list[str]], tmp_path: Path
) -> None:
    made, _ = logs
    outlet = made._kept
    assert outlet is not None
    log_to(outlet, "early %d")
    made.apply("warning", tmp_path / "a.jsonl")
    assert outlet.level == logging.INFO
    made.apply("debug", tmp_path / "another.jsonl")
    assert outlet.level == logging.DEBUG
    made.close()
    assert [record["event"] for record in read_records(tmp_path / "a.jsonl")] == ["early 0"]
    assert not (tmp_path / "another.jsonl").exists()


def test_who_logs_never_waits_for_a_disk_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aix_lsp.logs_process._MOST_WAITING", 10)
    outlet = Outlet("aix-test", JsonFormatter(), logging.INFO)
    hangs = threading.Event()
    written: list[str] = []

    def write(text: str) -> None:
        hangs.wait(60)
        written.append(text)

    outlet.begin(write)
    for number in range(100):
        log_to(outlet, "n %d", number)
    outlet.finish(patience=0)  # nor does the process's end
    hangs.set()
    until(lambda: "records were dropped" in "".join(written) and outlet.queue.empty())
    lines = "".join(written).splitlines()
    # each batch may say of some
    said = [json.loads(line)["event"] for line in lines if "dropped" in line]
    dropped = sum(int(event.split()[0]) for event in said)
    # the line that ends the thread may be among them
    assert len(lines) - len(said) + dropped in (100, 101)


def test_without_a_log_a_helper_is_told_of_none() -> None:
    assert arguments_for_helpers() == []
