"""Where the nodes of a text lie that may be holes, by kind: from tree-sitter's bytes to code points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aix_lsp.syntax_spans import between_brackets, code_points_of, with_comment_above
from aix_lsp.syntax_tree import captures, parsed_text
from aix_lsp.training.hole_nodes import QUERIES

if TYPE_CHECKING:
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
            found = [span for node in nodes if (span := with_comment_above(parsed.data, node)) is not None]
            kind: HoleKind = "comment and function"
        else:
            kind = _CAPTURES[capture]
            found = [(node.start_byte, node.end_byte) for node in nodes]
            if capture in _WITHIN_BRACKETS:
                found += [span for node in nodes if (span := between_brackets(node)) is not None]
        flat = spans.setdefault(kind, [])
        for span in found:
            flat.extend(span)
    places = code_points_of(text, parsed)
    return {kind: _trimmed(text, places(flat)) for kind, flat in spans.items()}


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
