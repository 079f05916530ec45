"""Which files of a project an evaluation may take places from, the ones that were changed last first.

What is no work of the project's own people tells little about them: generated, minified and binary files never come
this far (`workspace/scanner.py`), copies of other projects and second copies of the same text are left out, and tests,
which repeat themselves and so flatter every model, are left out unless asked for.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final

from aix_lsp.evaluation.html_page import counted
from aix_lsp.languages import language_id_of, language_of
from aix_lsp.workspace.git import find_git_view

_TEST_FOLDERS: Final = frozenset(("test", "tests", "testing", "__tests__", "spec", "specs", "e2e", "testdata"))
_TEST_NAME: Final = re.compile(
    r"(?:test_.*|.*_tests?|.*[._-](?:test|spec)|conftest|.*[a-z0-9](?:Test|Tests|Spec|TestCase))\Z"
)
_VENDORED: Final = frozenset(("vendor", "vendored", "_vendor", "third_party", "third-party", "thirdparty", "external"))
_VERSION: Final = re.compile(r"-\d.*\Z")
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that places are drawn from. `path` is relative to its folder, `language` the protocol's identifier,
    `changed` when it was last changed, in seconds since 1970 (0: before anything that is known)."""

    path: str
    text: str
    language: str
    changed: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Files, those changed last first, and one line for each thing that a reader should know of how they were chosen.

    `other_languages` counts the files in languages that were not asked for.
    """

    files: tuple[SourceFile, ...]
    notes: tuple[str, ...]
    other_languages: Mapping[str, int]


def choose(
    root: Path, texts: Mapping[str, str], languages: Collection[str], *, tests: bool = False, seed: int = 0
) -> Choice:
    """The files of a folder, given as path -> text, in these languages (names as in `languages.Language`; none means
    those with a grammar)."""
    left: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    kept = []
    for path in texts:
        language = language_of(path)
        is_asked = language.name in languages if languages else language.grammar is not None
        why = ""
        if is_vendored(path):
            why = "of other projects (vendor, third_party)"
        elif not tests and is_test(path):
            why = "of tests (--tests takes them too)"
        if why and is_asked:
            left[why] += 1
        elif is_asked:
            kept.append(path)
        elif not why:
            elsewhere[language_id_of(path)] += 1
    times, told = last_changes(root, kept)
    # ties, as in a checkout of one commit, are not to go to the first letters of the alphabet
    kept.sort(key=lambda path: (-times[path], sha256(f"{seed} {path}".encode("utf-8", "replace")).digest()))
    found: dict[str, SourceFile] = {}
    for path in kept:
        text = texts[path]
        if text in found:
            left["with the same text as another one"] += 1
        else:
            found[text] = SourceFile(path, text, language_id_of(path), times[path])
    notes = [told] if found else []
    if left:
        notes.append("left out: " + ", ".join(f"{counted(count, 'file')} {why}" for why, count in left.most_common()))
    return Choice(tuple(found.values()), tuple(notes), dict(elsewhere.most_common()))


def is_test(path: str) -> bool:
    """Whether a file is a test by its name or by a folder's."""
    parts = PurePosixPath(path)
    return not _TEST_FOLDERS.isdisjoint(part.lower() for part in parts.parts[:-1]) or bool(
        _TEST_NAME.match(parts.name.partition(".")[0] if parts.suffix == ".py" else parts.stem)
    )


def is_vendored(path: str) -> bool:
    """Whether a file is a copy of another project's by the name of one of its folders."""
    return not _VENDORED.isdisjoint(part.lower() for part in PurePosixPath(path).parts[:-1])


def last_changes(root: Path, paths: Iterable[str]) -> tuple[dict[str, float], str]:
    """When each file was last changed, and where that is known from, in a line. Its commit counts; where it differs
    from that, or there is no git, its own time does."""
    view = find_git_view(root)
    commits = None if view is None else view.last_commits()
    if view is None or commits is None:
        return {path: _own_time(root, path) for path in paths}, "files changed last first, by their own times (no git)"
    changed = view.uncommitted()
    times = {path: _own_time(root, path) if path in changed else float(commits.get(path, 0)) for path in paths}
    return times, "files changed last first, by git"


def _own_time(root: Path, path: str) -> float:
    try:
        return os.stat(root / path).st_mtime  # noqa: PTH116
    except (OSError, ValueError):
        return 0.0


def learned(root: Path) -> str:
    """The name under which the embedded model has learned from this project; "" where it has not. Told by
    the folder's name and by that in its `pyproject.toml`."""
    names = {_plain(root.name), _plain(_VERSION.sub("", root.name)), _plain(_project_name(root))}
    return next((name for name in _training_packages() if _plain(name) in names), "")


def _project_name(root: Path) -> str:
    try:
        data = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    project = data.get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else ""


@cache
def _training_packages() -> Sequence[str]:
    recipe = files("aix_lsp").joinpath("training", "recipes", "aix_mini_sources.toml")
    try:
        data = tomllib.loads(recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return [str(package["name"]) for package in data.get("package", ()) if isinstance(package, dict)]


def _plain(name: str) -> str:
    return _NOT_A_NAME.sub("-", name.lower())
