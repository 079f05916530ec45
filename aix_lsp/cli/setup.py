"""What the one-shot commands share: settings, the place in a file, the workspace around it, an engine."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aix_lsp.cli.assignments import command_line
from aix_lsp.cli.failure import UsageError
from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.index_cache import cache_folder
from aix_lsp.configuration import Configuration
from aix_lsp.engine.base import LoadEvent
from aix_lsp.languages import language_id_of
from aix_lsp.settings import Settings
from aix_lsp.text import TextBuffer
from aix_lsp.types import DocumentSnapshot
from aix_lsp.uris import path_to_uri

_PLACE = re.compile(r"^(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)$")
_PROJECT_MARKS = (".git", "pyproject.toml", "package.json", "Cargo.toml", "go.mod", "pom.xml", ".hg")


def read_settings(model: str | None, assignments: Sequence[str]) -> Configuration:
    """All sources that a terminal has. A problem with the command line is an error, with the others a warning."""
    configuration = Configuration()
    for problem in configuration.read_user_file() + configuration.read_environment():
        sys.stderr.write(f"aix-lsp: {problem}\n")
    problems = configuration.set_layer("command line", command_line(model, assignments))
    if problems:
        raise UsageError(problems[0])
    return configuration


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file on disk."""

    document: DocumentSnapshot
    buffer: TextBuffer
    offset: int


def find_place(location: str, root: Path | None) -> tuple[Place, Path]:
    """Read `FILE:LINE:COL` (1-based, columns in characters); also returns the workspace folder."""
    match = _PLACE.match(location)
    if match is None:
        raise UsageError(f"a place looks like FILE:LINE:COL, such as src/app.py:12:5, not {location!r}")
    path = Path(match["file"])
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    path = path.resolve()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path.name} is not UTF-8 text") from None
    buffer = TextBuffer(text)
    line, column = int(match["line"]), int(match["column"])
    if not 1 <= line <= buffer.line_count:
        raise UsageError(f"{path.name} has {buffer.line_count} lines; there is no line {line}")
    length = len(buffer.line(line - 1))
    if not 1 <= column <= length + 1:
        raise UsageError(f"line {line} of {path.name} has columns 1 to {length + 1}; there is no column {column}")
    folder = (root or project_of(path)).resolve()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    document = DocumentSnapshot(path_to_uri(path), text, language_id_of(path.name), 0, name, path)
    return Place(document, buffer, buffer.line_start(line - 1) + column - 1), folder


def project_of(path: Path) -> Path:
    """The folder of the project that a file belongs to: the nearest above it with a project's mark, else the current
    folder if the file is inside it, else the file's own."""
    for folder in path.parents:
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return folder
    return Path.cwd() if path.is_relative_to(Path.cwd()) else path.parent


def open_workspace(folder: Path, settings: Settings) -> WorkspaceContext:
    """Index a folder and wait for it."""
    context = WorkspaceContext(settings, cache=cache_folder())
    context.index_now(folder)
    return context


def warn(event: LoadEvent) -> None:
    """Show what the user should know of a load."""
    if event.kind == "warning":
        sys.stderr.write(f"aix-lsp: {event.message}\n")
