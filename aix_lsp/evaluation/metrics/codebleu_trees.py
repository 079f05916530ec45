"""The syntactic match of CodeBLEU: how many subtrees of what was wanted the answer has."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from aix_lsp import syntax_queries as tables
from aix_lsp.syntax_tree import Parsed

if TYPE_CHECKING:
    from tree_sitter import Node

Shape = tuple[object, ...]

_DOCUMENTED: Final = frozenset(("block", "module"))


def syntax_match(text: Parsed, wanted: Parsed, text_bytes: range, wanted_bytes: range) -> float | None:
    """The share of the wanted text's subtrees that the answer has too, 0 to 1; None where it has none.

    Ren et al. 2020, CodeBLEU: a Method for Automatic Evaluation of Code Synthesis, section 3.2, equation 4:
    Count_clip(T_cand) / Count(T_ref). Subtrees are compared by kinds and fields of their named nodes: leaves count
    for their kind alone, so that names and values are no part of it, and neither are anonymous nodes such as operators,
    as in the implementation, which compares tree-sitter's S-expressions (microsoft/CodeXGLUE, `syntax_match.py`).
    Comments and docstrings are left out, as there. Choices:

    - Clipped, as the paper has it: a subtree that the answer has once pays for one of the wanted. The implementation
      lets it pay for all.
    - Strings without code in them are leaves, as they were in the grammars of the time.
    - Of a text in its context, the subtrees that lie in the hole alone (`text_bytes`, `wanted_bytes`). A whole text
      always has its root.
    """
    names: dict[Shape, int] = {}
    theirs = _subtrees(wanted, wanted_bytes, names)
    if not theirs:
        return None
    return (_subtrees(text, text_bytes, names) & theirs).total() / theirs.total()


def _subtrees(parsed: Parsed, within: range, names: dict[Shape, int]) -> Counter[int]:
    """How often each shape stands in these bytes; equal shapes have equal numbers in `names`."""
    found: Counter[int] = Counter()
    shapes: dict[int, int] = {}
    root = parsed.tree.root_node
    is_whole = len(within) == len(parsed.data)
    waiting: list[tuple[Node, list[tuple[str | None, Node]] | None]] = [(root, None)]
    while waiting:  # not by recursion: an answer may nest as deep as it is long
        node, below = waiting.pop()
        if below is None:
            below = _below(node)
            waiting.append((node, below))
            # what lies outside of the hole is in no subtree inside of it
            waiting += [(child, None) for _, child in below if _touches(child, within)]
            continue
        parts = [(field, shapes.get(child.id)) for field, child in below if child.is_named]
        shape = names.setdefault((node.type, node.is_missing, *parts), len(names))
        shapes[node.id] = shape
        is_inside = within.start <= node.start_byte and node.end_byte <= within.stop
        if (is_inside and below) or (is_whole and node is root):
            found[shape] += 1
    return found


def _below(node: Node) -> list[tuple[str | None, Node]]:
    """Children with their fields, without comments and docstrings."""
    if is_plain_string(node):
        return []
    return [
        (node.field_name_for_child(place), child)
        for place, child in enumerate(node.children)
        if child.type not in tables.COMMENTS and not _is_docstring(child, node)
    ]


def _touches(node: Node, within: range) -> bool:
    return node.end_byte >= within.start and node.start_byte <= within.stop


def is_plain_string(node: Node) -> bool:
    """Whether a node is a string or a character without code in it."""
    return node.type in tables.STRINGS and not any(child.type in tables.INTERPOLATIONS for child in node.children)


def _is_docstring(node: Node, parent: Node) -> bool:
    """Whether a statement is a string at the start of a body, which Python takes for documentation."""
    if node.type != "expression_statement" or parent.type not in _DOCUMENTED or node.named_child_count != 1:
        return False
    if node.named_children[0].type != "string":
        return False
    statements = [child for child in parent.named_children if child.type not in tables.COMMENTS]
    return statements[0] == node and (parent.type != "module" or len(statements) > 1)
