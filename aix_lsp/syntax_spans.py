"""Spans of nodes as characters: from tree-sitter's bytes to code points, what stands between brackets, and a function
with the comment above it. Holes for training and for evaluation are made of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .syntax_queries import COMMENTS
from .syntax_tree import Parsed

if TYPE_CHECKING:
    from tree_sitter import Node


def code_points_of(text: str, parsed: Parsed) -> Callable[[Sequence[int]], list[int]]:
    """A function from places in bytes to places in code points of the text, many at once."""
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


def between_brackets(node: Node) -> tuple[int, int] | None:
    """The bytes from a node's first child behind its opening bracket to its last before the closing one: a run of
    whole nodes. None where it has no brackets or nothing between them."""
    count = node.child_count
    if count < 3:
        return None
    first, opening = node.child(1), node.child(0)
    last = node.child(count - 2)
    if opening is None or first is None or last is None or opening.type not in ("{", "("):
        return None
    return first.start_byte, last.end_byte


def with_comment_above(data: bytes, function: Node) -> tuple[int, int] | None:
    """The bytes of a function with the comment on the lines right above it; None where there is none."""
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
    return (begin, function.end_byte) if begin < function.start_byte else None
