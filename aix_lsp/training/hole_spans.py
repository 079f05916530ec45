"""Where the nodes of a text lie that may be holes, by kind: from tree-sitter's bytes to code points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from aix_lsp.syntax_queries import COMMENTS
from aix_lsp.syntax_tree import Parsed, captures, parsed_text
from aix_lsp.training.hole_nodes import QUERIES

if TYPE_CHECKING:
    from tree_sitter import Node

    from aix_lsp.training.holes import HoleKind

_CAPTURES: Final[dict[str, HoleKind]] = {
    "expression": "expression",
    "statement": "statement",
    "block": "block",
    "body": "function body",
    "member": "class member",
    "documented": "comment and function",
    "arguments": "argument list",
}
_WITHIN_BRACKETS = frozenset(("block", "body", "arguments"))
_LEAST = 3  # characters; `x` or `()` teach nothing


def node_spans(text: str, grammar: str) -> dict[HoleKind, set[tuple[int, int]]]:
    """Spans of nodes by kind, in code points, each once; nothing for a grammar that is not known. Nodes that hold
    what the parser could not read are left out."""
    parsed = parsed_text(text, grammar) if grammar in QUERIES else None
    if parsed is None:
        return {}
    broken = parsed.tree.root_node.has_error
    spans: dict[HoleKind, list[int]] = {}
    for capture, nodes in captures(parsed, grammar, QUERIES[grammar]).items():
        if broken:
            nodes = [node for node in nodes if not node.has_error]
        if capture == "function":
            found = [span for node in nodes for span in _with_comment(parsed.data, node)]
            kind: HoleKind = "comment and function"
        else:
            kind = _CAPTURES[capture]
            found = [(node.start_byte, node.end_byte) for node in nodes]
            if capture in _WITHIN_BRACKETS:
                found += [span for node in nodes for span in _between_brackets(node)]
        flat = spans.setdefault(kind, [])
        for span in found:
            flat.extend(span)
    places = _places(text, parsed)
    return {kind: _trimmed(text, places(flat)) for kind, flat in spans.items()}


def _between_brackets(node: Node) -> list[tuple[int, int]]:
    """What a node holds between its brackets, from its first child to its last: a run of whole nodes."""
    count = node.child_count
    if count < 3:
        return []
    first, opening = node.child(1), node.child(0)
    last = node.child(count - 2)
    if opening is None or first is None or last is None or opening.type not in ("{", "("):
        return []
    return [(first.start_byte, last.end_byte)]


def _with_comment(data: bytes, function: Node) -> list[tuple[int, int]]:
    """A function with the comment on the lines right above it; nothing where there is none."""
    start = begin = function.start_byte
    before = function.prev_sibling
    while before is not None and (before.type in COMMENTS or before.type == "attribute_item"):
        line = data.rfind(b"\n", 0, before.start_byte) + 1
        if data[before.end_byte : start].count(b"\n") > 1 or data[line : before.start_byte].strip():
            break
        start = before.start_byte
        if before.type in COMMENTS:
            begin = start
        before = before.prev_sibling
    return [(begin, function.end_byte)] if begin < function.start_byte else []


def _places(text: str, parsed: Parsed) -> Callable[[Sequence[int]], list[int]]:
    """A function from places in bytes to places in code points, many at once."""
    if len(parsed.data) == len(text):
        return list
    # A byte 10xxxxxx goes on with a character that an earlier one began.
    bytes_ = np.frombuffer(parsed.data, dtype=np.uint8)
    characters = np.zeros(len(bytes_) + 1, dtype=np.int64)
    np.cumsum((bytes_ & 0xC0) != 0x80, out=characters[1:])
    return partial(_looked_up, characters)


def _looked_up(characters: np.ndarray[tuple[int], np.dtype[np.int64]], places: Sequence[int]) -> list[int]:
    found: list[int] = characters[np.array(places, dtype=np.int64)].tolist()
    return found


def _trimmed(text: str, flat: Sequence[int]) -> set[tuple[int, int]]:
    """Spans from a row of starts and ends, those that are long enough. Some grammars count the line end behind a node
    to it, or the one before; it is not the node's."""
    found = set()
    for start, end in zip(flat[::2], flat[1::2], strict=True):
        while start < end and text[end - 1].isspace():
            end -= 1
        while start < end and text[start].isspace():
            start += 1
        if end - start >= _LEAST:
            found.add((start, end))
    return found
