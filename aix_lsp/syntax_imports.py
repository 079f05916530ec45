"""Which names a file's imports bring, each with the statement that brings it.

What an import statement says besides the names (a module, a package, a path) tells which of several definitions of
a name is meant.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from . import syntax_queries as tables
from .syntax_tree import captures, parsed_text
from .text import with_line_feeds

if TYPE_CHECKING:
    from tree_sitter import Node

_STATEMENTS = frozenset(
    (
        "import_statement",
        "import_from_statement",
        "lexical_declaration",
        "variable_declaration",
        "import_declaration",
        "import_spec",
        "use_declaration",
        "extern_crate_declaration",
        "preproc_include",
        "using_declaration",
        "using_directive",
    )
)


_SCRIPT_IMPORTS = (
    r"^[\ufeff \t]*(?:import(?![.(\w])[^;'\"`()=]*(?:'[^'\n]*'|\"[^\"\n]*\")"
    r"|import\s+[\w$]+\s*=\s*require\s*\([^()\n]*\)"
    r"|(?:const|let|var)\s+[^=;()]*=\s*require\s*\([^()\n]*\)(?:\s*,[^=;()]*=\s*require\s*\([^()\n]*\))*"
    r"(?!\s*[.(\[]))"
)
_INCLUDES = r"^[\ufeff \t]*#[ \t]*include\b[^\n]*"
_PATTERNS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        grammar: re.compile(pattern, re.MULTILINE)
        for grammar, pattern in {
            "python": r"^[\ufeff \t]*(?:from[ \t]+[.\w]+[ \t]*import|import)\b(?:[^\n\\(]+|\\\n|\([^()]*\))*",
            "javascript": _SCRIPT_IMPORTS,
            "typescript": _SCRIPT_IMPORTS,
            "tsx": _SCRIPT_IMPORTS,
            "java": r"^[\ufeff \t]*import\b[^;\n]*;?",
            "go": r"^[\ufeff \t]*import\b[ \t]*(?:\((?:[^)\"`]|\"[^\"\n]*\"|`[^`\n]*`)*\)|[^\n(]*)",
            "rust": r"^[\ufeff \t]*(?:pub(?:\([^()\n]*\))?[ \t]+)?(?:use|extern[ \t]+crate)\b[^;]*;",
            "c": _INCLUDES,
            "cpp": rf"{_INCLUDES}|^[\ufeff \t]*using\b[^;={{}}()\n]*;",
            "csharp": r"^[\ufeff \t]*(?:global[ \t]+)?using\b[^;{}()\n]*;",
        }.items()
    }
)
"""Grammar -> what looks like a whole import statement at the start of a line."""

_SIGNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "python": ("import",),
        "java": ("import",),
        "go": ("import",),
        "rust": ("use", "extern"),
        "c": ("include",),
        "cpp": ("include", "using"),
        "csharp": ("using",),
    }
)
"""Grammar -> words one of which stands on the first line of every import statement. Searching a long text for a plain
word is many times faster than trying a pattern on each of its lines. In scripts it may stand on a later line."""


@dataclass(frozen=True, slots=True)
class ImportStatement:
    """One statement: the names it brings, its text, and its lines, 1-based and inclusive."""

    names: tuple[str, ...]
    text: str
    start_line: int
    end_line: int


def import_statements(text: str, grammar: str) -> list[ImportStatement]:
    """The import statements of a file that bring names, in order."""
    parsed = parsed_text(text, grammar)
    if parsed is None:
        return []
    labelled = captures(parsed, grammar, tables.IMPORTS[grammar])
    nodes = sorted((node for label in ("name", "path") for node in labelled.get(label, ())), key=_start)
    found: dict[tuple[int, int], tuple[Node, list[str]]] = {}
    for node in nodes:
        statement = _statement(node)
        name = parsed.data[node.start_byte : node.end_byte].decode("utf-8", "replace")
        key = (statement.start_byte, statement.end_byte)
        found.setdefault(key, (statement, []))[1].append(name.strip("\"`'"))
    listed = []
    for start, end in sorted(found):
        node, names = found[start, end]
        quoted = parsed.data[start:end].decode("utf-8", "replace").rstrip("\n")
        first = node.start_point.row + 1
        listed.append(ImportStatement(tuple(dict.fromkeys(names)), quoted, first, first + quoted.count("\n")))
    return listed


def imports_at_a_glance(text: str, grammar: str) -> list[ImportStatement]:
    """The same for a text that changes with every key: only what a pattern takes for import statements is parsed.

    Fifty times faster on a long file, and remembered as long as the imports stay the same. It misses an import behind
    other code on its line, and takes one for true that stands alone on a line of a multi-line string.
    """
    pattern = _PATTERNS.get(grammar)
    if pattern is None:
        return []
    text = with_line_feeds(text)
    rows: list[int] = []
    pieces: list[str] = []
    row = position = 0
    for match in _matches(pattern, text, _SIGNS.get(grammar)):
        row += text.count("\n", position, match.start())
        position = match.start()
        rows.append(row)
        pieces.append(match.group().strip())
    if not pieces:
        return []
    firsts, statements = _parsed_pieces(tuple(pieces), grammar)
    found = []
    for item in statements:
        number = bisect_right(firsts, item.start_line) - 1
        shift = rows[number] + 1 - firsts[number]
        found.append(ImportStatement(item.names, item.text, item.start_line + shift, item.end_line + shift))
    return found


def _matches(pattern: re.Pattern[str], text: str, signs: tuple[str, ...] | None) -> Iterator[re.Match[str]]:
    """What `pattern.finditer` finds in a text; only lines with one of `signs` are tried."""
    if signs is None:
        yield from pattern.finditer(text)
        return
    places = {sign: text.find(sign) for sign in signs}
    end = 0  # of what was found or tried
    while found := [place for place in places.values() if place >= 0]:
        place = min(found)
        start = max(text.rfind("\n", 0, place) + 1, end)
        match = pattern.match(text, start)
        if match is not None:
            yield match
            end = max(match.end(), place + 1)
        else:
            end = text.find("\n", place)
            if end < 0:
                return
        for sign, known in places.items():
            if 0 <= known < end:
                places[sign] = text.find(sign, end)


@lru_cache(maxsize=64)
def _parsed_pieces(pieces: Sequence[str], grammar: str) -> tuple[Sequence[int], Sequence[ImportStatement]]:
    """The first line of each of these statements in a text of nothing else, and what is imported in it."""
    firsts: list[int] = []
    line = 1
    for piece in pieces:
        firsts.append(line)
        line += piece.count("\n") + 1
    return firsts, import_statements("".join(f"{piece}\n" for piece in pieces), grammar)


def _start(node: Node) -> int:
    return node.start_byte


def _statement(node: Node) -> Node:
    outer: Node | None = node
    while outer is not None:
        if outer.type in _STATEMENTS:
            return outer
        outer = outer.parent
    return node
