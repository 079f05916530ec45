"""What travels between the steps of the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Project:
    """A folder that holds one project.

    `licence` is an SPDX expression, or "" when none was recognised. `commits` is the number of git commits (0 without
    a history), `tests` the number of test files, `stars` what the caller knows of it, if anything.
    """

    name: str
    root: Path
    licence: str = ""
    commits: int = 0
    tests: int = 0
    stars: int | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a project. `path` is relative to the project's root with forward slashes; `language` is the name of
    `languages.language_of`; `text` is decoded UTF-8 with its own line endings."""

    project: str
    path: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that a step left out: a project's name, or a file's `project/path`, and why in a few words.

    `reason` is one of few fixed phrases, so that a report can count them; `detail` may say more.
    """

    step: str
    what: str
    reason: str
    characters: int = 0
    detail: str = ""
