"""`aix-lsp log` says what it shows, and why there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.cli import log
from aix_lsp.cli.doctor_log import examine_log
from aix_lsp.settings import LogSettings


def shown(request: str = "") -> None:
    log.run(last=50, request=request, as_json=False, level="", pid=None)


def test_a_log_that_has_not_begun_a_request_that_is_not_in_it_and_records_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aix-lsp.jsonl"
    monkeypatch.setattr(log, "log_files", lambda: [file])
    shown()
    assert capsys.readouterr().err == (
        f"aix-lsp: nothing is logged yet: {file} begins when an editor starts the server\n"
    )
    assert "none yet" in examine_log(LogSettings(file=str(file))).detail
    file.write_text('{"time": "2026-11-22T01:13:45.684Z", "level": "info", "event": "ready", "request": "a-1"}\n')
    shown()
    told = capsys.readouterr()
    assert told.out == "01:13:45.684 info    ready  [a-1]\n"
    assert told.err == f"aix-lsp: 1 record of {file}, times in UTC\n"
    shown("b-2")
    assert capsys.readouterr().err == (
        f"aix-lsp: {file} has no record of request b-2; requests are followed at debug (aix-lsp log --level debug)\n"
    )
    assert "shows its end" in examine_log(LogSettings(file=str(file))).detail


def test_lines_that_a_crash_or_somebody_has_damaged_do_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aix-lsp.jsonl"
    monkeypatch.setattr(log, "log_files", lambda: [file])
    damaged = (
        b'{"level": null, "event": "first"}\n{"level": ["info"], "time": 7, "request": {}}\n\x00\x00\xff{"le\n'
        b'[1, 2]\n{"level": "info", "event": "\\ud800\\u001b[2J last"}\n'
    )
    file.write_bytes(damaged)
    shown()
    told = capsys.readouterr()
    assert [line.split()[-1] for line in told.out.splitlines()] == ["first", "['info']", "last"]
    assert "\x1b" not in told.out
    assert told.err == f"aix-lsp: 3 records of {file}, times in UTC\n"
