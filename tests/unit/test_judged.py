"""Files that were looked through for secrets are not looked through again, unless they may have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot
from aix_lsp.workspace import scanner as module
from aix_lsp.workspace.judged import Judged, is_settled, marks_of
from aix_lsp.workspace.scanner import Scanner
from aix_lsp.workspace.secrets import contains_secret

TEXT = "def heron_migration(start, end):\n    return start + end\n"
KEY = "key = '-----BEGIN " + "PRIVATE KEY-----'\n"
SECOND = 1_000_000_000

stamps = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
files = st.dictionaries(st.sampled_from(["a.py", "b.py", "a/b.py"]), stamps, max_size=3)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were looked through."""
    found: list[str] = []

    def look(text: str) -> bool:
        found.append(text)
        return contains_secret(text)

    monkeypatch.setattr(module, "contains_secret", look)
    return found


def settle(path: Path) -> None:
    """Wait until the file's stamp can be trusted."""
    while not is_settled((0, path.stat().st_mtime_ns, path.stat().st_ctime_ns), time.time_ns()):
        time.sleep(0.01)


@given(bulk=files, later=files, path=st.sampled_from(["a.py", "b.py", "a/b.py"]), stamp=stamps)
def test_what_was_marked_is_known_and_nothing_else(
    bulk: dict[str, tuple[int, int, int]],
    later: dict[str, tuple[int, int, int]],
    path: str,
    stamp: tuple[int, int, int],
) -> None:
    judged = Judged()
    judged.take_over(marks_of(bulk.items()))
    for name, known in later.items():
        judged.note(name, known, time.time_ns())
    assert judged.holds(path, stamp) == (stamp in (bulk.get(path), later.get(path)))


def test_a_stamp_is_trusted_when_it_could_not_stay_the_same_in_a_change() -> None:
    now = 1_000 * SECOND
    assert is_settled((1, now - SECOND // 5 + 1, 5), now)
    assert not is_settled((1, now - SECOND // 20, 5), now)
    assert not is_settled((1, 5, now - SECOND // 20), now)
    assert not is_settled((1, now - SECOND, 5), now)  # a file system that counts in seconds
    assert is_settled((1, now - 3 * SECOND, 5), now)
    assert not is_settled((1, now + SECOND, 5), now)


def test_a_file_is_looked_through_once_and_anew_when_it_changed(tmp_path: Path, looked: list[str]) -> None:
    path = tmp_path / "heron.py"
    path.write_text(TEXT)
    settle(path)
    scanner = Scanner(tmp_path)
    for _ in range(3):
        assert scanner.read("heron.py") == TEXT
    assert len(looked) == 1
    was = path.stat()
    path.write_text(KEY.ljust(len(TEXT)))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))  # same size, same time of change
    assert scanner.read("heron.py") is None
    settle(path)
    assert scanner.read("heron.py") is None
    assert len(looked) == 3


def test_a_file_that_changed_just_now_is_looked_through_each_time(tmp_path: Path, looked: list[str]) -> None:
    path = tmp_path / "heron.py"
    scanner = Scanner(tmp_path)
    for text in (TEXT, TEXT, TEXT + "\n", KEY, TEXT):
        path.write_text(text)
        assert scanner.read("heron.py") == (None if text == KEY else text)
    assert len(looked) == 5


async def test_what_the_indexer_has_looked_through_is_quoted_as_it_is_and_a_later_secret_is_seen(
    tmp_path: Path, looked: list[str]
) -> None:
    path = tmp_path / "heron.py"
    path.write_text(TEXT)
    (tmp_path / "key.py").write_text(TEXT + KEY)
    settle(tmp_path / "key.py")
    context = WorkspaceContext(Settings())
    context.index_now(tmp_path)
    asking = tmp_path / "asking.py"
    document = DocumentSnapshot(asking.as_uri(), "x = heron_migration(", "python", 1, asking.name, asking)
    looked.clear()
    assert [snippet.path for snippet in context.snippets(document, 20, Settings())] == ["heron.py"]
    assert looked == []
    path.write_text(TEXT + KEY)
    assert context.snippets(document, 20, Settings()) == []
