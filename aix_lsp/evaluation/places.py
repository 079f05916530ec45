"""Places where something is to be filled in: HumanEval's lines, the rest of lines, and lines that need other files.

Each way of drawing gives the same places for the same files and seed, so that models are compared over the same ones.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Literal

from aix_lsp.evaluation.cases import Case, find_cases, words
from aix_lsp.evaluation.retrieval import Workspace
from aix_lsp.languages import Language, language_of
from aix_lsp.settings import RetrievalSettings, Settings
from aix_lsp.types import Snippet

Task = Literal["humaneval", "line", "start", "middle"]
"""HumanEval's single lines; the rest of a line from a random column; a line that needs other files from its start, and
from behind its first word."""

CROSS_FILE: Final = frozenset[Task](("start", "middle"))

_SMALLEST_FILE = 3000
_MARGINS = (500, 200)  # characters that a file has at least before and after a place
_DRAWS_FOR_ONE = 1000
_FIRST_WORD = re.compile(r"\w+|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Place:
    """`wanted` stood between `before` and `after`; the line end belongs to `after`, except in HumanEval. Blanks at the
    end of a line are in none of them.

    `group` is the folder's name, `name` the path that the prompt's header shows. Cross-file places have the `snippets`
    that the product would quote there, and in `names` the identifiers that other files define.
    """

    task: Task
    group: str
    name: str
    before: str
    after: str
    wanted: str
    names: frozenset[str] = frozenset()
    snippets: tuple[Snippet, ...] = ()


def humaneval_places(path: Path, *, count: int = 0, seed: int = 0) -> list[Place]:
    """Problems of HumanEval's single-line infilling (Fried et al. 2022; Bavarian et al. 2022), `count` of them drawn,
    or all for 0, in the file's order.

    The file has one JSON object a line with `prompt`, `suffix` and `canonical_solution`, gzipped or not. Raises
    ValueError when it has not, OSError when it cannot be read.
    """
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    # not splitlines, which also cuts at characters that JSON allows inside of a string
    places = [_problem(path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not places:
        raise ValueError(f"{path} has no problems")
    if 0 < count < len(places):
        places = [places[index] for index in sorted(random.Random(seed).sample(range(len(places)), count))]
    return places


def _problem(path: Path, number: int, line: str) -> Place:
    try:
        fields: dict[str, Any] = json.loads(line)
        before, after, wanted = (fields[name] for name in ("prompt", "suffix", "canonical_solution"))
        if not all(isinstance(part, str) for part in (before, after, wanted)) or not wanted.strip():
            raise ValueError("a part that is no text, or nothing to fill in")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}, line {number}: no problem of HumanEval infilling (prompt, suffix, canonical_solution)"
        ) from error
    return Place("humaneval", "HumanEval", "test.py", before, after, wanted.strip())


def texts_in(texts: Mapping[str, str], languages: Collection[str]) -> dict[str, str]:
    """Those of the files that are written in one of these languages (names as in `languages.Language`)."""
    return {path: text for path, text in texts.items() if language_of(path).name in languages}


def line_places(texts: Mapping[str, str], group: str, *, count: int, seed: int = 0) -> list[Place]:
    """`count` different places in files given as path -> text, anywhere in a line that goes on after the cursor.

    Files are drawn with equal chance, then a character of one. Files of at most 3,000 bytes, files with `test` in
    their path, and lines that are comments are left out. Raises ValueError when there are not so many.
    """
    files = [
        path for path in sorted(texts) if "test" not in path.lower() and len(texts[path].encode()) > _SMALLEST_FILE
    ]
    if not files:
        raise ValueError(f"{group} has no file over {_SMALLEST_FILE:,} bytes (tests aside) in the languages asked for")
    draw = random.Random(seed)
    places: dict[tuple[str, int], Place] = {}
    for _ in range(_DRAWS_FOR_ONE * count):
        if len(places) == count:
            break
        path = draw.choice(files)
        text = texts[path]
        offset = draw.randrange(_MARGINS[0], len(text) - _MARGINS[1])
        start, end = text.rfind("\n", 0, offset) + 1, text.find("\n", offset)
        wanted = text[offset:end].rstrip() if end >= 0 else ""
        if text[start:offset].strip() and wanted and not _is_comment(text[start:end], language_of(path)):
            behind = text[end - 1 :] if text[end - 1] == "\r" else text[end:]
            # a place that is drawn twice would count twice
            places.setdefault((path, offset), Place("line", group, path, text[:offset], behind, wanted))
    if len(places) < count:
        raise ValueError(f"{group} has hardly a line to complete in the languages asked for, not {count:,} places")
    return _in_order(list(places.values()))


def _is_comment(line: str, language: Language) -> bool:
    opening = language.comment if isinstance(language.comment, str) else language.comment[0]
    return line.lstrip().startswith(opening)


def cross_file_places(
    workspaces: Sequence[Workspace], languages: Collection[str], *, count: int, seed: int = 0
) -> list[Place]:
    """Up to `count` cross-file cases, taken from the folders in turn, each from its start and from its middle.

    Cases are those of `cases.py`, snippets those that the product would quote at each of the two cursors. A line of
    one word has no middle.
    """
    found = [find_cases(texts_in(workspace.texts, languages), count=count, seed=seed) for workspace in workspaces]
    turns = [
        (workspace, case)
        for turn in zip_longest(*found)
        for workspace, case in zip(workspaces, turn, strict=True)
        if case is not None
    ]
    return _in_order([place for workspace, case in turns[:count] for place in _cross_file(workspace, case)])


def _cross_file(workspace: Workspace, case: Case) -> Iterator[Place]:
    group, settings = workspace.folder.name, Settings(retrieval=RetrievalSettings(stable=False))
    for task, cursor in _cursors(case.line):
        here = replace(case, before=case.before + case.line[:cursor], line=case.line[cursor:])
        yield Place(
            task,
            group,
            case.path,
            here.before,
            here.after,
            here.line,
            # what stands before the cursor need not be found any more
            case.wanted & words(here.line),
            tuple(workspace.snippets(here, settings)),
        )


def _cursors(line: str) -> Iterator[tuple[Task, int]]:
    yield "start", 0
    first = _FIRST_WORD.match(line)
    if first is not None and line[first.end() :].strip():
        yield "middle", first.end()


def _in_order(places: Sequence[Place]) -> list[Place]:
    """By file and offset: neighbours share the beginnings of their prompts, which the engine runs only once."""
    return sorted(places, key=lambda place: (place.group, place.name, len(place.before)))
