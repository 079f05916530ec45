"""The page that the editor opens: for the user alone, one at a time, gone at the end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aix_lsp.server.inspection_page import Page, sweep


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_page_can_be_read_by_the_user_alone_and_the_next_takes_its_place(temporary: Path) -> None:
    page = Page()
    first = page.write("one \ud800")
    assert first.read_text() == "one ?"
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    second = page.write("two")
    assert second.name != first.name
    assert list(second.parent.iterdir()) == [second]
    page.close()
    assert list(temporary.iterdir()) == []
    page.close()


def test_a_folder_that_was_tidied_away_is_made_anew() -> None:
    page = Page()
    first = page.write("one")
    first.unlink()
    first.parent.rmdir()
    assert page.write("two").read_text() == "two"
    page.close()


def test_pages_of_dead_servers_are_swept_and_no_others(temporary: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [f"aix-lsp-inspect-{ended.pid}-abc", f"aix-lsp-inspect-{os.getpid()}-abc", "aix-lsp-inspect-x", "other"]
    for name in names:
        (temporary / name).mkdir()
        (temporary / name / "page.md").write_text("x")
    sweep()
    assert sorted(path.name for path in temporary.iterdir()) == sorted(names[1:])
