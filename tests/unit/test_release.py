"""The version has one home, and the notes of a release come out of CHANGELOG.md."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import aix_lsp

ROOT = Path(aix_lsp.__file__).parent.parent

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "docs"))
    release: ModuleType = importlib.import_module("release")

FILES = (
    "aix_lsp/__init__.py",
    "CHANGELOG.md",
    "docs/demo.svg",
    "editors/emacs/aix-lsp.el",
    "editors/vscode/CHANGELOG.md",
    "editors/vscode/package.json",
)
RELEASED = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n- Two.\n\n## [0.1.0] - 2026-11-30\n\n- One.\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that name a version."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_everything_names_the_version_of_the_package() -> None:
    assert release.version() == aix_lsp.__version__
    assert release.disagreements() == []


def test_a_checkout_has_notes(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main([]) == 0
    assert capsys.readouterr().out.startswith("### ")


def test_a_version_that_this_is_not_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["9.9.9"]) == 1
    assert f"says {aix_lsp.__version__}, not 9.9.9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("aix_lsp/__init__.py", aix_lsp.__version__, "9.9.9", "editors/emacs/aix-lsp.el says"),
        ("editors/emacs/aix-lsp.el", f"Version: {aix_lsp.__version__}", "Version: 9.9.9", "aix-lsp.el says 9.9.9"),
        ("editors/emacs/aix-lsp.el", ";; Version: ", ";; ", "aix-lsp.el says no version"),
        ("editors/vscode/CHANGELOG.md", f"## {aix_lsp.__version__}", "## 9.9.9", "vscode/CHANGELOG.md says 9.9.9"),
        ("editors/vscode/package.json", '"version": "0.0.0"', '"version": "9.9.9"', "it keeps 0.0.0"),
        ("docs/demo.svg", f"&#160;{aix_lsp.__version__}:", "&#160;9.9.9:", "docs/demo.svg says 9.9.9"),
        ("CHANGELOG.md", "## [Unreleased]", "## [9.9.9] - 2026-12-01", "CHANGELOG.md says 9.9.9"),
    ],
)
def test_another_version_somewhere_is_named(checkout: Path, name: str, old: str, new: str, words: str) -> None:
    text = (checkout / name).read_text(encoding="utf-8")
    assert old in text
    (checkout / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert any(words in line for line in release.disagreements(checkout))


def test_the_notes_of_a_version_end_where_the_next_begin(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(RELEASED)
    assert release.notes(checkout, "0.2.0") == "- Two.\n"
    assert release.notes(checkout, "0.1.0") == "- One.\n"


@pytest.mark.parametrize(
    ("text", "wanted", "words"),
    [
        (RELEASED, "0.3.0", "no heading for 0.3.0"),
        (RELEASED.replace("0.2.0] - 2026-12-01", "0.2.0]"), "0.2.0", "does not say when"),
        (RELEASED.replace("- Two.", ""), "0.2.0", "says nothing of 0.2.0"),
    ],
)
def test_a_release_without_notes_or_date_fails(checkout: Path, text: str, wanted: str, words: str) -> None:
    (checkout / "CHANGELOG.md").write_text(text)
    with pytest.raises(ValueError, match=words):
        release.notes(checkout, wanted)
