"""Files in which nothing is offered by itself: ignored ones, and texts that hold a secret."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.policy import Silence
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot

SECRET = 'api_key = "' + "q7Hs92kLmZ0xPw4RtYv8" + '"\n'  # joined: not a real one


def snapshot(path: Path | None, text: str = "x = 1\n", name: str = "a.py") -> DocumentSnapshot:
    return DocumentSnapshot("untitled:a" if path is None else path.as_uri(), text, "python", 1, name, path)


@pytest.fixture
def context(tmp_path: Path) -> WorkspaceContext:
    (tmp_path / ".gitignore").write_text("build/\n*.gen.py\n!kept.gen.py\n")
    (tmp_path / ".aixignore").write_text("vendor/\n!vendor\n/vendor/\n")
    settings = Settings.model_validate({"workspace": {"ignore": ["*.min.js", "private/**"]}})
    context = WorkspaceContext(settings)
    context.add_folder(tmp_path)
    return context


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("src/a.py", ""),
        ("build/a.py", ".gitignore"),
        ("src/x.gen.py", ".gitignore"),
        ("src/kept.gen.py", ""),
        ("vendor/b.py", ".aixignore"),
        ("web/x.min.js", "workspace.ignore"),
        ("private/deep/a.py", "workspace.ignore"),
    ],
)
def test_an_ignored_file_is_silent_until_it_is_asked_for_and_says_by_what(
    context: WorkspaceContext, tmp_path: Path, name: str, by: str, indexed: bool
) -> None:
    if indexed:
        context.index_now(tmp_path)
    silence = context.silence(snapshot(tmp_path / name, name=name))
    assert silence.holds_for("automatic") is bool(by)
    assert not silence.holds_for("invoked")
    assert by in silence.reason
    assert (not by) == (silence == Silence())


def test_what_git_tracks_in_spite_of_its_rules_is_not_ignored(context: WorkspaceContext, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "tracked.py").write_text("x = 1\n")
    for command in (["init", "-q"], ["add", "-f", "build/tracked.py"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    context.index_now(tmp_path)
    assert not context.silence(snapshot(tmp_path / "build" / "tracked.py")).reason
    assert ".gitignore" in context.silence(snapshot(tmp_path / "build" / "other.py")).reason


def test_rules_that_change_count_from_then_on(context: WorkspaceContext, tmp_path: Path) -> None:
    file = tmp_path / "build" / "a.py"
    assert context.silence(snapshot(file)).reason
    (tmp_path / ".gitignore").write_text("")
    context.folders[0].forget_rules()
    assert not context.silence(snapshot(file)).reason


@pytest.mark.parametrize("path", [None, Path("/somewhere/else/build/a.py")])
def test_what_is_no_file_or_lies_outside_has_no_rules(context: WorkspaceContext, path: Path | None) -> None:
    assert context.silence(snapshot(path)) == Silence()


@pytest.mark.parametrize("opened", [True, False])
def test_a_text_with_a_secret_is_never_answered(context: WorkspaceContext, tmp_path: Path, opened: bool) -> None:
    path = tmp_path / "src" / "a.py"
    for text, silent in (("x = 1\n", False), ("x = 1\n" + SECRET, True), ("x = 12\n" + SECRET, True), ("x\n", False)):
        if opened:
            context.opened_or_changed(path, text, "python")
        silence = context.silence(snapshot(path, text))
        assert silence.holds_for("automatic") is silence.holds_for("invoked") is silent
        assert ("key or a password" in silence.reason) is silent


def test_a_snapshot_is_judged_by_its_own_text_not_by_a_later_version(context: WorkspaceContext, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    context.opened_or_changed(path, "x = 1\n", "python")
    assert context.silence(snapshot(path, SECRET)).always
    assert not context.silence(snapshot(path)).reason


def test_an_untitled_text_and_the_other_cells_of_a_notebook_are_judged_too(context: WorkspaceContext) -> None:
    assert context.silence(snapshot(None, SECRET)).always
    cell = replace(snapshot(None), uri="notebook-cell:1")
    assert not context.silence(cell).reason
    assert context.silence(replace(cell, before=SECRET)).always
    assert context.silence(replace(cell, after=SECRET)).always


def test_many_documents_that_nobody_opened_are_not_all_remembered(context: WorkspaceContext) -> None:
    for number in range(100):
        context.silence(replace(snapshot(None), uri=f"untitled:{number}"))
    assert len(context._finders) <= 20
