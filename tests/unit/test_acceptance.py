"""What became of offers."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from aix_lsp.completion.acceptance import AcceptanceLog, read_totals

URI = "file:///a.py"


@pytest.fixture
def log() -> AcceptanceLog:
    log = AcceptanceLog(None)
    log.offered("1", URI, "python", 10, "return x")
    return log


def test_the_command_counts_once(log: AcceptanceLog) -> None:
    log.edited(URI, 10, 10, "return x")
    assert log.accepted("1")
    assert log.accepted("1")
    assert log.totals == {"offered": 1, "accepted": 1, "accepted_characters": 8}


def test_an_unknown_item_is_no_acceptance(log: AcceptanceLog) -> None:
    assert not log.accepted("2")
    assert log.totals["accepted"] == 0


def test_inserting_it_in_one_go_is_an_acceptance(log: AcceptanceLog) -> None:
    log.edited(URI, 10, 10, "return x")
    assert log.totals["accepted"] == 1


def test_typing_through_is_told_from_accepting(log: AcceptanceLog) -> None:
    for number, character in enumerate("return x"):
        log.edited(URI, 10 + number, 10 + number, character)
    assert log.totals == {"offered": 1, "typed_through": 1}


def test_accepting_a_word_is_partial(log: AcceptanceLog) -> None:
    log.edited(URI, 10, 10, "return")
    log.edited(URI, 16, 16, " x")
    assert log.totals["partly_accepted"] == 1
    assert log.totals["accepted"] == 0


@pytest.mark.parametrize("edit", [(10, 10, "z"), (4, 4, "return x"), (9, 10, "return x"), (10, 10, "")])
def test_another_edit_ends_the_offer(log: AcceptanceLog, edit: tuple[int, int, str]) -> None:
    log.edited(URI, *edit)
    log.edited(URI, 10, 10, "return x")
    assert log.totals == {"offered": 1}


def test_edits_elsewhere_do_not_matter(log: AcceptanceLog) -> None:
    log.edited("file:///b.py", 0, 0, "q")
    log.edited(URI, 10, 10, "return x")
    assert log.totals["accepted"] == 1


def test_counts_are_kept_in_a_private_file_without_text(tmp_path: Path) -> None:
    path = tmp_path / "state" / "statistics.jsonl"
    for _ in range(2):
        log = AcceptanceLog(path, today=lambda: "2026-01-02")
        log.offered("1", URI, "python", 10, "secret_text")
        log.accepted("1")
        log.save()
        log.save()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert (
        rows
        == [{"day": "2026-01-02", "language": "python", "offered": 1, "accepted": 1, "accepted_characters": 11}] * 2
    )
    assert read_totals(path) == {"offered": 2, "accepted": 2, "accepted_characters": 22}
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "statistics.jsonl"
    path.write_bytes(b'{"offered": 1}\n{"offe\xff\n[]\n{"offered": 2}\n')
    assert read_totals(path) == {"offered": 3}
    assert read_totals(tmp_path / "none") == {}


def test_a_disk_that_refuses_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    log = AcceptanceLog(tmp_path / "file" / "statistics.jsonl")
    log.offered("1", URI, "python", 10, "x")
    log.save()
    assert "statistics could not be saved" in caplog.text


def test_old_offers_are_forgotten() -> None:
    log = AcceptanceLog(None)
    for number in range(200):
        log.offered(str(number), URI, "python", 0, "x")
    assert not log.accepted("0")
    assert log.accepted("199")


def test_what_is_counted_while_another_thread_writes_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "statistics.jsonl"
    log = AcceptanceLog(path)
    log.offered("1", URI, "python", 0, "x")
    taken = log.take_unsaved()
    log.offered("2", URI, "python", 0, "x")
    log.write(taken)
    log.save()
    assert read_totals(path) == {"offered": 2}


def test_statistics_can_be_switched_off_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "statistics.jsonl"
    log = AcceptanceLog(path)
    log.offered("1", URI, "python", 0, "x")
    log.keep_in(None)
    log.save()
    log.keep_in(path)
    log.save()
    assert not path.exists()
