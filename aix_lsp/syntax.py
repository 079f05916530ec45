"""What tree-sitter says about a piece of source: where a place lies, what is defined, what is imported.

Offsets are code points of the text; tree-sitter counts bytes of UTF-8 inside. Rows are those of
`\\r\\n`, `\\n` and `\\r`. Every function works on unfinished code: a grammar marks what it cannot read and goes on.
tree-sitter and the grammars are imported when first needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import syntax_queries as tables
from .syntax_queries import DefinitionKind
from .syntax_tree import Parsed, captures, encode, parsed_text

if TYPE_CHECKING:
    from tree_sitter import Node, Tree


@dataclass(frozen=True, slots=True)
class Definition:
    """A name that a file defines, at its top level or as a member. Lines are 1-based and inclusive; decorators,
    `export` and `template` belong to it."""

    name: str
    kind: DefinitionKind
    start_line: int
    end_line: int


def parse(text: str, grammar: str) -> Tree | None:
    """The syntax tree of `text`, or None when there is no such grammar. Bytes are UTF-8; a lone carriage return
    counts as a line feed."""
    parsed = parsed_text(text, grammar)
    return None if parsed is None else parsed.tree


def _ancestors(tree: Tree, start: int, end: int) -> Iterator[Node]:
    """The smallest node over these bytes, then its parents up to the root."""
    node = tree.root_node.descendant_for_byte_range(start, end)
    while node is not None:
        yield node
        node = node.parent


def in_comment_or_string(text: str, offset: int, grammar: str) -> Literal["comment", "string"] | None:
    """Whether what is typed at `offset` would become part of a comment or a string.

    The end of a line comment's line is still in it; the place after a closing quote is not in the string. Inside
    the braces of an interpolation it is code again. A string that is not closed yet counts up to its line's end.
    """
    parsed = parsed_text(text, grammar)
    if parsed is None or offset <= 0:
        return None
    place = len(encode(text[:offset]))
    for node in _ancestors(parsed.tree, place - 1, place):
        inside = node.start_byte < place < node.end_byte
        if node.type in tables.COMMENTS:
            return "comment" if inside or _goes_on(parsed.data, node, place) else None
        if node.type in tables.STRINGS:
            unclosed = node.end_byte == place and node.child_count > 1 and node.children[-1].is_missing
            return "string" if inside or unclosed else None
        if node.type in tables.INTERPOLATIONS and inside:
            return None
    return "string" if _after_open_quote(parsed, grammar, place) else None


def _goes_on(data: bytes, comment: Node, place: int) -> bool:
    """Whether a line comment holds the place at its own end. Some grammars count the line feed to the comment."""
    start = comment.start_byte
    return data.startswith((b"//", b"#"), start) and b"\n" not in data[start:place]


def _after_open_quote(parsed: Parsed, grammar: str, place: int) -> bool:
    """Whether the parser gave up on a quote between the start of the line and the place."""
    line = parsed.data.rfind(b"\n", 0, place) + 1
    errors = captures(parsed, grammar, "(ERROR) @error", range(line, place)).get("error", [])
    for token in (token for error in errors for token in error.children):
        if token.type in tables.QUOTES and line <= token.start_byte < place:
            quote = parsed.data[token.end_byte - 1 : token.end_byte]
            if quote not in parsed.data[token.end_byte : place]:
                return True
    return False


def definitions(text: str, grammar: str) -> list[Definition]:
    """What a file defines, in order: types, functions, methods, fields, constants, top-level variables, macros.

    What lies inside functions is not listed.
    """
    parsed = parsed_text(text, grammar)
    if parsed is None:
        return []
    found: dict[tuple[str, int], Definition] = {}
    root = parsed.tree.root_node
    for node, outer, member in _definition_nodes(root, root, member=False):
        start = outer.start_point.row + 1
        end = max(start, node.end_point.row + (1 if node.end_point.column else 0))
        for name, is_callable in _names(node):
            kind = _kind(tables.DEFINITIONS[node.type], member, is_callable)
            found.setdefault((name, start), Definition(name, kind, start, end))
    return list(found.values())


def _kind(kind: DefinitionKind, member: bool, is_callable: bool) -> DefinitionKind:
    if kind in tables.CALLABLES or (is_callable and kind != "type"):
        return "method" if member or kind == "method" else "function"
    return "field" if member and kind == "variable" else kind


def _definition_nodes(node: Node, outer: Node, *, member: bool) -> Iterator[tuple[Node, Node, bool]]:
    """Definitions under `node` as (definition, node where its lines begin, whether it is a member)."""
    for child in node.named_children:
        kind = tables.DEFINITIONS.get(child.type)
        begins = outer if node.type in tables.WRAPPERS else child
        if kind is not None:
            yield child, begins, member
        if kind in tables.TYPES:
            yield from _definition_nodes(child, child, member=True)
        elif kind in ("type", "variable", "field"):
            inner = child.child_by_field_name("type")
            if inner is not None:
                yield from _types_inside(inner)
            if child.type == "field_declaration":
                yield from _definition_nodes(child, child, member=member)
        elif child.type in tables.CONTAINERS:
            inside = member or child.type == "impl_item"
            yield from _definition_nodes(child, begins, member=inside)


def _types_inside(node: Node) -> Iterator[tuple[Node, Node, bool]]:
    """A struct or an interface written out where it is used: `typedef struct {...} T`, `type T struct {...}`."""
    if tables.DEFINITIONS.get(node.type) in tables.TYPES:
        yield node, node, False
        yield from _definition_nodes(node, node, member=True)
    elif node.type in ("struct_type", "interface_type"):
        yield from _definition_nodes(node, node, member=True)


def _names(node: Node) -> Iterator[tuple[str, bool]]:
    """The names that a definition binds, each with whether it is declared as a function."""
    if node.type in tables.NEED_BODY and node.child_by_field_name("body") is None:
        return
    field = tables.NAME_FIELDS.get(node.type, "name")
    listed = node.children_by_field_name(field)
    if not listed:
        for declarator in node.children_by_field_name("declarator"):
            yield from _declared(declarator)
        return
    value = node.child_by_field_name("value")
    if value is not None and value.text is not None and value.text.startswith(b"require("):
        return
    is_callable = value is not None and value.type in tables.HEADERS
    for name in listed:
        yield from ((part, is_callable) for part in _plain(name))


def _plain(name: Node) -> Iterator[str]:
    """A name, or each of `a, b = ...`. Targets such as `self.a` and patterns define nothing here."""
    if name.type in tables.NAME_LISTS:
        for part in name.named_children:
            yield from _plain(part)
    elif name.is_named and name.type not in tables.NOT_NAMES and name.text is not None:
        yield name.text.decode("utf-8", "replace")


def _declared(node: Node) -> Iterator[tuple[str, bool]]:
    """The name inside C's, C++'s or Java's declarators: `*f(int)` declares the function f."""
    is_function = False
    inner: Node | None = node
    while inner is not None:
        node = inner
        is_function = is_function or node.type == "function_declarator"
        inner = node.child_by_field_name("declarator") or node.child_by_field_name("name")
        if inner is None and node.type in ("reference_declarator", "parenthesized_declarator"):
            inner = next(iter(node.named_children), None)
    if node.text is not None:
        yield node.text.decode("utf-8", "replace"), is_function


def imported_names(text: str, grammar: str) -> list[str]:
    """The names that a file's imports bring, in order, each once: as they are called where they are defined, and
    as they are called here where that differs. For C and C++ the stem of a quoted include stands for its names."""
    parsed = parsed_text(text, grammar)
    if parsed is None:
        return []
    nodes = captures(parsed, grammar, tables.IMPORTS[grammar])
    found: list[tuple[int, str]] = []
    for label in ("name", "path"):
        for node in nodes.get(label, ()):
            name = parsed.data[node.start_byte : node.end_byte].decode("utf-8", "replace")
            found.append((node.start_byte, _last_part(name) if label == "path" else name))
    return list(dict.fromkeys(name for _, name in sorted(found) if name))


def _last_part(path: str) -> str:
    """What a quoted path is called in code: "a/b.h" is b, "example.org/yaml/v3" and "gopkg.in/yaml.v3" are yaml."""
    parts = [part for part in path.strip("\"`'").split("/") if part]
    if len(parts) > 1 and re.fullmatch(r"v\d+", parts[-1]):
        parts.pop()
    return parts[-1].split(".")[0] if parts else ""
