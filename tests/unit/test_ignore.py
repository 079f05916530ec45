"""Ignore patterns decide as git does: a table, and git itself as the oracle."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aix_lsp.workspace import ignore
from aix_lsp.workspace.ignore import IgnoreRules, Patterns, read_lines

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def rules_of(lines: str) -> IgnoreRules:
    return IgnoreRules(Path("/nowhere"), weaker=[lines.split("\n")])


@pytest.mark.parametrize(
    ("lines", "path", "ignored"),
    [
        ("", "a.py", False),
        ("# a.py", "a.py", False),
        ("*.log", "x/y.log", True),
        ("*.log\n!keep.log", "x/keep.log", False),
        ("!keep.log\n*.log", "x/keep.log", True),
        ("build/", "build", False),
        ("build/", "a/build/x", True),
        ("/build", "a/build", False),
        ("build/\n!build/keep", "build/keep", True),
        ("build/*\n!build/keep", "build/keep", False),
        ("build/**\n!build/keep", "build/keep", False),
        ("*.py\n!/src", "src/a.py", True),
        ("/*\n!/src", "src/a.py", False),
        ("*\n!*/\n!*.py", "a/b/c.py", False),
        ("*\n!*/\n!*.py", "a/b/c.txt", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("**/deep", "x/y/deep", True),
        ("doc/*.txt", "doc/a/b.txt", False),
        ("\\#x", "#x", True),
        ("\\!x", "!x", True),
        ("x\\", "x", False),
        ("[ab].c", "b.c", True),
        ("[!ab].c", "b.c", False),
        ("trailing   ", "trailing", True),
    ],
)
def test_pattern_decides(lines: str, path: str, ignored: bool) -> None:
    assert rules_of(lines).ignored(path) is ignored


def test_folders_that_come_and_go_for_weeks_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ignore, "_REMEMBERED_FOLDERS", 8)
    rules = IgnoreRules(Path("/nowhere"), "inside/", weaker=[["*.log", "inside"]])
    for number in range(50):
        assert rules.ignored(f"made_{number}/a.log")
        assert not rules.ignored(f"made_{number}/a.py")
    assert max(map(len, (rules._ignored_folders, rules._chains, rules._owned))) <= 10


def test_a_deeper_file_counts_more_and_a_weaker_one_less(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "a" / ".gitignore").write_text("!*.log\n/only-here\n")
    rules = IgnoreRules(tmp_path, weaker=[["*.tmp", "!x.log"]], file_name=".gitignore")
    assert rules.ignored("x.log")
    assert not rules.ignored("a/b/x.log")
    assert rules.ignored("a/only-here")
    assert not rules.ignored("a/b/only-here")
    assert rules.ignored("a/b/x.tmp")


def test_files_above_the_folder_that_asks_count_too(tmp_path: Path) -> None:
    (tmp_path / "part" / "src").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.log\n/part/gone.py\n")
    rules = IgnoreRules(tmp_path, "part/", file_name=".gitignore")
    assert rules.ignored("src/x.log")
    assert rules.ignored("gone.py")
    assert not rules.ignored("src/gone.py")


def test_ignore_files_may_have_a_mark_crlf_and_odd_bytes(tmp_path: Path) -> None:
    (tmp_path / "rules").write_bytes(b"\xef\xbb\xbf*.log\r\n\xff\x0c\r\n*.tmp")
    patterns = Patterns(read_lines(tmp_path / "rules"))
    assert patterns.match("a.log")
    assert patterns.match("a.tmp")
    assert patterns.match("a.py") is None


def test_an_ignore_file_that_is_absent_a_folder_or_a_link_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("*.log\n")
    (tmp_path / "link").symlink_to("real")
    for name in ("link", "absent", "."):
        assert read_lines(tmp_path / name) == []


SEGMENTS = ["a", "b", "ab", "*", "a*", "?", "**", "[ab]", "*b"]
pattern_texts = st.builds(
    lambda negated, root, parts, end: ("!" if negated else "") + root + "/".join(parts) + end,
    st.booleans(),
    st.sampled_from(["", "/"]),
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)
TREE = ["a", "b/a", "b/b", "ab/a/b", "ab/b/a/ab", "ab/ab", "bb/a", "bb/bb/b"]


@needs_git
@settings(max_examples=60, deadline=None)
@given(st.lists(pattern_texts, min_size=1, max_size=5), st.lists(pattern_texts, max_size=3))
@example(["ab/**", "!ab/ab"], [])
@example(["*", "!ab/"], ["!b"])
@example(["**/*/**", "!a"], [])
@example(["*/"], ["!a/"])
@example(["a"], ["!a", "a/**/"])
def test_git_leaves_out_the_same_files(top: list[str], below: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in TREE:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        subprocess.run(["git", "init", "--quiet", name], check=True)
        (root / ".gitignore").write_text("\n".join(top))
        (root / "ab" / ".gitignore").write_text("\n".join(below))
        listed = subprocess.run(
            ["git", "-c", "core.excludesFile=", "ls-files", "--others", "--exclude-standard"],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        )
        rules = IgnoreRules(root, file_name=".gitignore")
        assert {path for path in TREE if not rules.ignored(path)} == set(listed.stdout.split()) & set(TREE)
