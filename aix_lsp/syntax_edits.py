"""Parsing what changes a little: trees that are made from earlier ones, and what they say about a stretch of bytes.

tree-sitter parses anew only what an edit touches. Positions are bytes of UTF-8.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from . import syntax_queries as tables
from .alike import common_end, common_start
from .syntax_tree import captures_of, grammar_of

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Tree

OPENING = {"(": ")", "[": "]", "{": "}", "${": "}"}
"""Opening bracket -> closing bracket."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its tree and its bracket tokens, as (position, token) in order."""

    data: bytes
    tree: Tree
    brackets: list[tuple[int, str]]


_latest: dict[str, Document] = {}


def document(data: bytes, grammar: str) -> Document:
    """The tree of a text, from that of the latest text in this grammar where most of it is the same: between two
    requests some characters are typed."""
    latest = _latest.get(grammar)
    if latest is not None and latest.data == data:
        return latest
    same = 0 if latest is None else common_start(latest.data, data)
    if latest is None or 2 * same < len(data):
        tree = parse(grammar, data)
        found = Document(data, tree, brackets(tree, grammar, 0, len(data)))
    else:
        old = latest.data
        end = common_end(old, data, same)
        before = latest.tree.copy()
        until, until_old = len(data) - end, len(old) - end
        before.edit(same, until_old, until, point(old[:same]), point(old[:until_old]), point(data[:until]))
        tree = parse(grammar, data, before)
        # the token before the change may have grown into another
        line = data.rfind(b"\n", 0, same) + 1
        kept = latest.brackets[: bisect_left(latest.brackets, (line, ""))]
        found = Document(data, tree, kept + brackets(tree, grammar, line, len(data)))
    _latest[grammar] = found
    return found


def point(data: bytes) -> tuple[int, int]:
    """Row and column, in bytes, of the end."""
    return data.count(b"\n"), len(data) - data.rfind(b"\n") - 1


def parse(grammar: str, data: bytes, old: Tree | None = None) -> Tree:
    from tree_sitter import Parser

    parser = Parser(_language(grammar))
    return parser.parse(data) if old is None else parser.parse(data, old)


def _language(grammar: str) -> Language:
    language = grammar_of(grammar)
    if language is None:
        raise ValueError(f"no grammar {grammar!r}")
    return language


@cache
def _bracket_query(grammar: str) -> str:
    """The bracket tokens of a grammar. Those in strings and comments are no tokens."""
    language = _language(grammar)
    tokens = [token for token in ("(", ")", "[", "]", "{", "}", "${") if language.id_for_node_kind(token, False)]
    return "[" + " ".join(f'"{token}"' for token in tokens) + "] @bracket"


def brackets(tree: Tree, grammar: str, start: int, end: int) -> list[tuple[int, str]]:
    """Positions and texts of the brackets between two bytes, in order. Those that the parser made up have no width."""
    found = captures_of(tree.root_node, grammar, _bracket_query(grammar), range(start, end)).get("bracket", [])
    return sorted(
        (node.start_byte, node.type)
        for node in found
        if start <= node.start_byte < end and node.end_byte > node.start_byte
    )


def errors(node: Node, start: int, end: int) -> tuple[int, bool]:
    """How many errors are below a node, and whether one of them touches these bytes."""
    if node.is_missing:
        return 1, start <= node.start_byte <= end
    if not node.has_error:
        return 0, False
    count, here = 0, False
    if node.is_error:
        count, here = 1, node.start_byte < end and node.end_byte > start
        here = here or (start == end and node.start_byte <= start <= node.end_byte)
    for child in node.children:
        if child.has_error or child.is_missing:
            below, touches = errors(child, start, end)
            count, here = count + below, here or touches
    return count, here


def units(node: Node, start: int, end: int) -> list[Node]:
    """The largest nodes that lie between two bytes."""
    found: list[Node] = []
    for child in node.named_children:
        if child.end_byte <= start or child.start_byte >= end:
            continue
        # a block without brackets, below a comment in Python, is only its statements
        bare = child.type == "block" and child.named_child_count and child.children[0].is_named
        if child.start_byte >= start and child.end_byte <= end and not bare:
            found.append(child)
        else:
            found += units(child, start, end)
    return found


def has_body(node: Node, depth: int) -> bool:
    if node.type in tables.BODIES:
        return True
    return depth > 0 and any(has_body(child, depth - 1) for child in node.named_children)
