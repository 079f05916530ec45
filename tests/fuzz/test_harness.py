"""The fuzzer sees a server that does wrong, and shortens what shows it: planted failures."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aix_lsp.server.protocol import AixProtocol
from aix_lsp.workspace.documents import DocumentStore
from tests.fuzz import __main__ as command
from tests.fuzz import files, in_process, run, texts
from tests.fuzz.damage import damaged
from tests.fuzz.judge import NOBODY, Judge, due
from tests.fuzz.kept_files import Kept
from tests.fuzz.process import Watch
from tests.fuzz.shrink import keep, kept, shrunk

Patch = pytest.MonkeyPatch


def loses_an_edit(patch: Patch) -> None:
    change = DocumentStore.change

    def changed(self: DocumentStore, uri: str, version: int, changes: Any) -> str | None:
        return change(self, uri, version, [edit for edit in changes if edit.text != "("])

    patch.setattr(DocumentStore, "change", changed)


def answers_twice(patch: Patch) -> None:
    refuse = AixProtocol._refuse

    def refused(self: AixProtocol, number: Any, error: Any) -> None:
        for _ in range(2 if error.code == -32602 else 1):
            refuse(self, number, error)

    patch.setattr(AixProtocol, "_refuse", refused)


def never_answers(patch: Patch) -> None:
    refuse = AixProtocol._refuse

    def refused(self: AixProtocol, number: Any, error: Any) -> None:
        if error.code != -32602:
            refuse(self, number, error)

    patch.setattr(AixProtocol, "_refuse", refused)


def crashes(patch: Patch) -> None:
    taken = AixProtocol.handle_body

    def handle(self: AixProtocol, body: bytes) -> None:
        taken(self, body)
        if b"didSave" in body:
            raise ValueError("planted")

    patch.setattr(AixProtocol, "handle_body", handle)


def fails_inside(patch: Patch) -> None:
    def snapshot(self: DocumentStore, uri: str) -> None:
        raise KeyError("planted")

    patch.setattr(DocumentStore, "snapshot", snapshot)


def logs_an_error(patch: Patch) -> None:
    change = DocumentStore.change

    def changed(self: DocumentStore, uri: str, version: int, changes: Any) -> str | None:
        logging.getLogger("aix_lsp.planted").error("no text of anybody")
        return change(self, uri, version, changes)

    patch.setattr(DocumentStore, "change", changed)


def keeps_requests(patch: Patch) -> None:
    forget = AixProtocol._forget

    def forgotten(self: AixProtocol, number: Any, done: Any) -> None:
        forget(self, number, done)
        # under a name that no client uses: nothing else goes wrong by it
        self._running[f"kept {id(done)}"] = [done]

    patch.setattr(AixProtocol, "_forget", forgotten)


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (loses_an_edit, "is not the client's"),
        (answers_twice, "answered twice"),
        (never_answers, "without an answer"),
        (crashes, "raised "),
        (fails_inside, "internal error"),
        (logs_an_error, "logged as an error"),
        (keeps_requests, "keeps requests"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_is_seen(plant: Callable[[Patch], None], seen: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    monkeypatch.setattr(run, "_shortened", lambda seed, steps, folder, broken: steps[:3])
    found = run.in_this_process(1500, 1, patience=3.0 if plant is never_answers else 300.0)
    assert seen in found.broken


def test_a_failing_session_is_shortened_kept_and_played_again(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs_an_error(monkeypatch)
    steps = run.some_steps(Random(1), 30)
    with in_process.own_place(tmp_path):
        short = run._shortened(5, steps, tmp_path, "logged as an error")
    assert 1 <= len(short) < 30  # one, unless the machine is too busy to try
    file = tmp_path / "kept.json"
    keep(file, 5, short, "logged as an error")
    assert kept(file) == (5, short)
    assert command.main(["--replay", str(file)]) == 1
    told = capsys.readouterr().out
    assert "textDocument/didChange" in told
    assert "broken   the sequence" in told
    monkeypatch.undo()
    assert command.main(["--replay", str(file)]) == 0


def test_shortening_leaves_what_is_needed() -> None:
    steps = [("x", number) for number in range(100)]
    assert shrunk(steps, lambda some: {("x", 17), ("x", 80)} <= set(some)) == [("x", 17), ("x", 80)]


def test_a_broken_part_ends_the_command_with_1(monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    seen = run.Seen(sent=10, broken="planted")
    monkeypatch.setattr(command, "in_this_process", lambda *_, **__: seen)
    monkeypatch.setattr(command, "in_processes", lambda *_, **__: run.Seen(sent=10))
    assert command.main(["--only", "protocol", "--messages", "10", "--seed", "3"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("fuzz: seed 3")
    assert "planted" in told
    watch = Watch([10.0] * 10 + [99.0] * 3, [4] * 13, [9] * 13)
    assert [row.state for row in run.findings("here", run.Seen(sent=10**6, watch=watch))][-1] == "broken"


def test_damage_that_comes_through_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_text("1 2 3 4 5 6 7 8 9 10")
    loose = Kept("loose", path, path.read_bytes)
    assert list(files.read_damaged([loose], 20, 1)["wrong"]) == ["loose: other data came out of it"]
    raises = Kept("raises", path, lambda: int(path.read_text()[0]) and path.read_text("ascii"), (ValueError,))
    said = list(files.read_damaged([raises], 60, 1)["wrong"])
    assert "raises: IndexError: string index out of range" in said
    assert path.read_text() == "1 2 3 4 5 6 7 8 9 10"
    assert files.rows("index", {"read": 5, "wrong": {"x": 1}, "slowest": 0.0})[0].state == "broken"


def test_damage_is_the_same_for_the_same_seed() -> None:
    whole = bytes(range(256)) * 4
    assert [damaged(whole, Random(seed)) for seed in range(50)] == [damaged(whole, Random(seed)) for seed in range(50)]
    assert sum(damaged(whole, Random(seed)) != whole for seed in range(50)) > 40


def test_a_property_that_fails_is_named_with_its_seed(monkeypatch: Patch) -> None:
    class Done:
        returncode = 1
        stdout = "FAILED tests/unit/test_text.py::test_x - AssertionError\n1 failed, 3 passed in 1s\n"

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: Done())
    (row,) = texts.properties(11, 5)
    assert row.state == "broken"
    assert "--hypothesis-seed=11 tests/unit/test_text.py::test_x" in row.seen


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b"{", NOBODY),
        (b"[]", NOBODY),
        (b'{"jsonrpc": "2.0", "method": "a"}', None),
        (b'{"jsonrpc": "2.0", "method": "a", "id": 1}', ("number", "1")),
        (b'{"jsonrpc": "2.0", "method": "a", "id": "1"}', ("text", "1")),
        (b'{"jsonrpc": "2.0", "method": "a", "id": true}', NOBODY),
        (b'{"jsonrpc": "2.0", "method": "a", "id": null}', NOBODY),
        (b'{"jsonrpc": "2.0", "result": 1, "id": 1}', None),
        (b'{"jsonrpc": "2.0", "id": 1}', ("number", "1")),
        (b'{"method": "a", "id": 1}', ("number", "1")),
    ],
)
def test_what_is_due_is_known(body: bytes, key: Any) -> None:
    assert due(body) == key
    judge = Judge()
    judge.was_sent(body)
    assert judge.waiting == (key is not None)
    if key is not None:
        answer = json.loads(body) if body[:1] == b"{" and body != b"{" else {}
        number = answer.get("id") if key != NOBODY else None
        judge.answered({"id": number, "result": None})
        assert not judge.broken
        judge.answered({"id": number, "result": None})
        assert "twice" in judge.broken[0]


def test_a_process_that_ends_is_seen() -> None:
    program = [sys.executable, "-c", "import os, sys; sys.stdin.buffer.read(10); os._exit(3)"]
    assert "ended with 3" in run.in_processes(200, 1, command=program, patience=60).broken


def test_damaged_files_are_read_in_a_process_of_their_own() -> None:
    (row,) = files._findings("index", 1, 5)
    assert row.state == "ok"
    assert row.seen.startswith("10 files")
