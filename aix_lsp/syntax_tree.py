"""Parsing with tree-sitter: one wheel per grammar, imported when first needed; the last few trees are kept."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from . import syntax_queries as tables

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Query, Tree

_LONE_RETURN = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A tree, and the bytes that its positions count."""

    tree: Tree
    data: bytes


@cache
def grammar_of(name: str) -> Language | None:
    """The grammar of this name, or None."""
    from tree_sitter import Language

    wheel = tables.MODULES.get(name)
    if wheel is None:
        return None
    module, function = wheel
    return Language(getattr(importlib.import_module(module), function)())


@cache
def _query(grammar: str, source: str) -> Query | None:
    from tree_sitter import Query

    language = grammar_of(grammar)
    return None if language is None else Query(language, source)


def encode(text: str) -> bytes:
    """UTF-8 as trees count it."""
    # One byte for a lone surrogate: what is not text has no UTF-8, and positions must still match.
    return text.encode("utf-8", "replace")


@lru_cache(maxsize=4)  # one keystroke asks several questions about the same text
def parsed_text(text: str, grammar: str) -> Parsed | None:
    """The tree of `text`, or None when there is no such grammar. A lone carriage return counts as a line feed."""
    language = grammar_of(grammar)
    if language is None:
        return None
    from tree_sitter import Parser

    data = encode(_LONE_RETURN.sub("\n", text))
    return Parsed(Parser(language).parse(data), data)


def captures(parsed: Parsed, grammar: str, source: str, within: range | None = None) -> dict[str, list[Node]]:
    """Nodes by the labels of a query; `within` limits it to nodes that touch these bytes."""
    return captures_of(parsed.tree.root_node, grammar, source, within)


def captures_of(node: Node, grammar: str, source: str, within: range | None = None) -> dict[str, list[Node]]:
    """The same below a node."""
    from tree_sitter import QueryCursor

    query = _query(grammar, source)
    if query is None:
        return {}
    cursor = QueryCursor(query)
    if within is not None:
        cursor.set_byte_range(within.start, within.stop)
    return cursor.captures(node)
