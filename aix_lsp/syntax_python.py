"""What tree-sitter's grammar of Python lets pass though Python does not.

It takes a header without a body, a `try` without a handler, and statements of one block in different columns: an
editor's colours should stay while somebody types. Whether an offer is whole needs more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from . import syntax_queries as tables

if TYPE_CHECKING:
    from tree_sitter import Node


def let_pass(root: Node, start: int, end: int, code_end: int) -> Literal["", "waiting", "wrong"]:
    """What was let pass between two bytes: nothing, something that the next lines can bring (a body, a handler), or
    something that stays wrong. `code_end` is where the last code ends, comments apart."""
    found: list[int] = []
    if not _look_below(root, start, end, found):
        return "wrong"
    if any(position < code_end for position in found):
        return "wrong"
    return "waiting" if found else ""


def _look_below(node: Node, start: int, end: int, found: list[int]) -> bool:
    """Add the places where something is missing to `found`; False where statements do not stand in one column."""
    if node.type in ("block", "module") and not _in_one_column(node, start, end):
        return False
    for child in node.children:
        if child.end_byte < start or child.start_byte > end:
            continue
        if child.type == "block" and start < child.start_byte == child.end_byte:
            found.append(child.start_byte)
        elif _is_try_without_handler(child) and start <= child.start_byte < end:
            found.append(child.end_byte)
        if not _look_below(child, start, end, found):
            return False
    return True


def _in_one_column(block: Node, start: int, end: int) -> bool:
    """Whether statements that begin between two bytes, and begin their line, stand in the column of the first."""
    statements = [child for child in block.named_children if child.type not in tables.COMMENTS]
    row = -1
    for statement in statements:
        begins_line = statement.start_point.row != row
        row = statement.end_point.row
        is_inside = start <= statement.start_byte < end
        if begins_line and is_inside and statement.start_point.column != statements[0].start_point.column:
            return False
    return True


def _is_try_without_handler(node: Node) -> bool:
    return node.type == "try_statement" and not any(part.type in tables.HANDLERS for part in node.children)
