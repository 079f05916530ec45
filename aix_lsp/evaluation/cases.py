"""Cross-file cases from a checkout: lines that cannot be written from their own file alone.

A case is a line that uses a name defined in another file of the folder and not seen before in its own file (import
statements aside). The line is removed; what retrieval should bring are its identifiers. After CrossCodeEval (Ding et
al., 2023), whose cases are places where a static analyser reports an undefined name once other files are away.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aix_lsp.languages import language_of
from aix_lsp.retrieval.chunks import split_lines
from aix_lsp.retrieval.definitions import LARGEST_PARSED, DefinitionIndex, DefinitionPlace
from aix_lsp.retrieval.names import same_family
from aix_lsp.syntax import definitions
from aix_lsp.syntax_imports import import_statements
from aix_lsp.syntax_tree import parsed_text

NEAR_LINES = 50
"""Lines above the cursor whose identifiers a model surely sees."""

_SHORTEST_NAME = 4
_LINE_LENGTHS = range(12, 161)
_MOST_FILES = 4  # a name defined in more files than this is not one name
_KINDS = frozenset(("class", "interface", "enum", "type", "function", "constant", "macro"))
_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True)
class Case:
    """A line taken out of a file. `before` ends with the line's indentation, `after` begins with its line end.

    `name` is what another file defines, one of `files` (paths). `wanted` are the line's identifiers that do not stand
    in the 50 lines above, `absent` those that stand nowhere else in the file.
    """

    path: str
    line_number: int
    language: str
    before: str
    line: str
    after: str
    name: str
    files: frozenset[str]
    wanted: frozenset[str]
    absent: frozenset[str]


def words(text: str) -> set[str]:
    """All that looks like an identifier."""
    return set(_WORD.findall(text))


def find_cases(texts: Mapping[str, str], *, count: int, seed: int = 0) -> list[Case]:
    """Up to `count` cases from files given as path -> text, at most one of each file. The same files and seed give
    the same cases."""
    index = DefinitionIndex()
    for path in sorted(texts):
        index.update(path, texts[path])
    order = sorted(texts)
    random.Random(seed).shuffle(order)
    cases: list[Case] = []
    for path in order:
        if len(cases) >= count:
            break
        listed = list(cases_of(path, texts[path], index))
        if listed:
            cases.append(random.Random(f"{seed} {path}").choice(listed))
    return cases


def cases_of(path: str, text: str, index: DefinitionIndex) -> Iterator[Case]:
    """All cases of one file, in order."""
    language = language_of(path)
    if language.grammar is None or len(text) > LARGEST_PARSED:
        return
    text = "\n".join(split_lines(text))
    code = _identifiers(text, language.grammar)
    used = _first_uses(text, language.grammar, code)
    own = {item.name for item in definitions(text, language.grammar)}
    elsewhere = index.find(used.keys() - own)
    lines = text.split("\n")
    for name, row in used.items():
        files = _files_of(elsewhere.get(name, ()), path, language.grammar)
        stripped = lines[row].strip()
        if not files or len(stripped) not in _LINE_LENGTHS:
            continue
        indentation = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
        before = "".join(f"{line}\n" for line in lines[:row]) + indentation
        after = "".join(f"\n{line}" for line in lines[row + 1 :])
        said = {word for word in words(stripped) if (word, row) in code}
        foreign = {word for word in said if _defined_elsewhere(word, path, index)}
        wanted = frozenset(foreign - words("\n".join(lines[max(row - NEAR_LINES, 0) : row])))
        if wanted:
            absent = frozenset(wanted - words(before) - words(after))
            yield Case(path, row + 1, language.name, before, stripped, after, name, files, wanted, absent)


def _defined_elsewhere(word: str, path: str, index: DefinitionIndex) -> bool:
    return any(place.path != path for place in index.find([word]).get(word, ()))


def _first_uses(text: str, grammar: str, code: Collection[tuple[str, int]]) -> dict[str, int]:
    """Name -> the row (from 0) where it is first seen outside imports, if that is in `code` and its length sensible."""
    imported = {row for item in import_statements(text, grammar) for row in range(item.start_line - 1, item.end_line)}
    rows = [(row, set(_WORD.findall(line))) for row, line in enumerate(text.split("\n")) if row not in imported]
    seen: dict[str, int] = {}
    for row, found in rows:
        for name in sorted(found):
            seen.setdefault(name, row)
    return {name: row for name, row in seen.items() if len(name) >= _SHORTEST_NAME and (name, row) in code}


def _identifiers(text: str, grammar: str) -> set[tuple[str, int]]:
    """The identifiers of the code with their rows; comments and strings have none."""
    parsed = parsed_text(text, grammar)
    found: set[tuple[str, int]] = set()
    if parsed is None:
        return found
    cursor = parsed.tree.walk()
    while True:
        node = cursor.node
        if node is not None and not node.child_count and node.type.endswith("identifier") and node.text is not None:
            found.add((node.text.decode("utf-8", "replace"), node.start_point.row))
        if cursor.goto_first_child() or cursor.goto_next_sibling():
            continue
        while cursor.goto_parent():
            if cursor.goto_next_sibling():
                break
        else:
            return found


def _files_of(places: Sequence[DefinitionPlace], path: str, grammar: str) -> frozenset[str]:
    """The other files that define a name, or none when it could mean too many things."""
    fitting = {
        place.path for place in places if place.kind in _KINDS and same_family(language_of(place.path).grammar, grammar)
    }
    return frozenset(fitting) if path not in fitting and len(fitting) <= _MOST_FILES else frozenset()
