"""Which names a file's imports bring, each with the statement that brings it.

What an import statement says besides the names (a module, a package, a path) tells which of several definitions of
a name is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import syntax_queries as tables
from .syntax_tree import captures, parsed_text

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


def _start(node: Node) -> int:
    return node.start_byte


def _statement(node: Node) -> Node:
    outer: Node | None = node
    while outer is not None:
        if outer.type in _STATEMENTS:
            return outer
        outer = outer.parent
    return node
