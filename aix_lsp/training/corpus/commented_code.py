"""Blocks of code that were commented out: dead text that a model would learn to write.

A block is several comment lines in a row whose content, with the comment marks taken off, is code of the language:
it parses, and most of it are statements. Prose parses at times as well ("this is fine" compares two names in Python),
but hardly ever as calls, assignments, or statements with a keyword.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aix_lsp import syntax, syntax_queries
from aix_lsp.syntax_tree import encode

if TYPE_CHECKING:
    from tree_sitter import Node

_GRAMMARS: Final = frozenset(("python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp", "csharp"))
_DOCUMENTS: Final = (b"///", b"//!", b"/**", b"/*!", b"#!", b"#:", b"//go:", b"//export ", b"//#")
_LONE_RETURN: Final = re.compile(r"\r(?!\n)")
_LICENCE: Final = re.compile(r"copyright|licen[cs]ed?\b|SPDX-|all rights reserved", re.IGNORECASE)
_DIRECTIVE: Final = re.compile(
    r"\s*(?:type|pylint|mypy|pyright|flake8|noqa|ruff|isort|fmt|yapf|cython|distutils|coding|vim|pragma|nosec|region|endregion"
    r"|eslint|prettier|jshint|jslint|jscs|tslint|globals?|istanbul|c8|webpack\w*|@ts-\w+|@\w+|nolint|lint|sourceMappingURL)\b\s*[:\-=@]"
)
_EXAMPLE: Final = re.compile(
    r"example|usage|e\.g\.|i\.e\.|for instance|syntax|equivalent|such as|like this|pseudo|format|snippet|output|:\s*$",
    re.IGNORECASE,
)
_CODE_MARKS: Final = re.compile(
    r"[=(){}\[\];]|^\s*(?:if|else|elif|for|while|return|import|from|def|class|try|except|finally|with|raise|yield|pass|"
    r"use|let|fn|match|case|break|continue|func|var|const|package|using|#)\b|^\s*$|:$"
)


@dataclass(frozen=True, slots=True)
class _Line:
    """One comment line: bytes `start` to `end` with its line break, and its content without comment marks."""

    start: int
    end: int
    content: str


def drop_commented_code(
    text: str, grammar: str, draw: random.Random, *, share: float = 0.9, least_lines: int = 3
) -> tuple[str, int]:
    """`text` without most of its blocks of commented-out code, and how many blocks went.

    Every block of at least `least_lines` lines is removed with probability `share`; `draw` is asked once a block, in
    order. Only whole lines that hold nothing but comments go, so that the syntax tree of the rest is the same. Kept
    are documentation comments, licence headers, directives for tools, and examples: code that a line of prose
    announces or that is indented below prose. A language without a grammar here comes back as it is.
    """
    if grammar not in _GRAMMARS or not 0 < share <= 1:
        return text, 0
    tree = syntax.parse(text, grammar)
    if tree is None:
        return text, 0
    data = encode(_LONE_RETURN.sub("\n", text))  # as it was parsed: every line ends with a line feed
    comments = [node for node in _comments(tree.root_node) if _may_be_code(data, node)]
    cuts: list[tuple[int, int]] = []
    for run in _runs(data, comments):
        for block in _code_blocks(run, grammar, least_lines):
            start, end = block[0].start, block[-1].end
            if not _needed(data, start, end, grammar) and draw.random() < share:
                cuts += [(start, end)]
    return _without(text, data, cuts), len(cuts)


def _comments(root: Node) -> Iterator[Node]:
    """Comment nodes in order. Goes down only where there may be some."""
    cursor = root.walk()
    while True:
        node = cursor.node
        if node is not None and node.type in syntax_queries.COMMENTS:
            yield node
        elif cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


def _may_be_code(data: bytes, node: Node) -> bool:
    """Whether a comment stands alone on its lines and is no documentation."""
    start, end = _extent(data, node)
    if data.startswith(_DOCUMENTS, start):
        return False
    first = _line_start(data, start)
    return not data[first:start].strip() and not data[end : _line_end(data, end)].strip()


def _extent(data: bytes, node: Node) -> tuple[int, int]:
    """A comment's bytes; some grammars count the line break to a line comment."""
    end = node.end_byte
    while end > node.start_byte and data[end - 1 : end] in (b"\n", b"\r"):
        end -= 1
    return node.start_byte, end


def _line_start(data: bytes, place: int) -> int:
    return data.rfind(b"\n", 0, place) + 1


def _line_end(data: bytes, place: int) -> int:
    """The end of the line that holds `place`, its line break included."""
    return (data.find(b"\n", place) + 1) or len(data)


def _runs(data: bytes, comments: Sequence[Node]) -> Iterator[list[_Line]]:
    """Comment lines that follow one another without a gap. A block comment is a run by itself."""
    run: list[_Line] = []
    for node in comments:
        start, end = _extent(data, node)
        first, last = _line_start(data, start), _line_end(data, end)
        if data.startswith(b"/*", start):
            if run:
                yield run
            run = []
            yield _block_lines(data, first, start, end, last)
            continue
        if run and run[-1].end != first:
            yield run
            run = []
        margin = data[first:start].decode("utf-8", "replace")
        content = re.sub(r"^(?:#+|/{2,})", "", data[start:end].decode("utf-8", "replace"))
        run.append(_Line(first, last, margin + content))
    if run:
        yield run


def _block_lines(data: bytes, first: int, start: int, end: int, last: int) -> list[_Line]:
    inner = data[start:end].decode("utf-8", "replace").removeprefix("/*").removesuffix("*/")
    parts = re.split(r"\r?\n", inner)
    rest = [part for part in parts[1:] if part.strip()]
    if rest and all(part.lstrip().startswith("*") for part in rest):
        parts[1:] = [re.sub(r"^\s*\*", "", part) for part in parts[1:]]
    return [_Line(first, last, part.rstrip()) for part in parts]


def _code_blocks(run: Sequence[_Line], grammar: str, least: int) -> Iterator[Sequence[_Line]]:
    """The parts of a run that are code: the whole of it, else its paragraphs, each without prose at its ends."""
    if len(run) < least or any(_LICENCE.search(line.content) for line in run):
        return
    if _is_code(run, grammar, least):
        yield run
        return
    if run[0].start == run[-1].start:
        return  # a block comment goes as a whole or not at all
    before = ""
    place = 0
    for end in range(len(run) + 1):
        if end < len(run) and run[end].content.strip():
            continue
        part = run[place:end]
        block = _core(part, before, grammar, least, _prose_indent(run, place, end))
        if block:
            yield block
        if part:
            before = part[-1].content
        place = end + 1


def _prose_indent(run: Sequence[_Line], start: int, end: int) -> int:
    """How far the other paragraphs of a run are indented."""
    others = [line.content for line in (*run[:start], *run[end:]) if line.content.strip()]
    return min((_indent(content) for content in others), default=1000)


def _indent(content: str) -> int:
    content = content.expandtabs()
    return len(content) - len(content.lstrip())


def _core(part: Sequence[_Line], before: str, grammar: str, least: int, outer: int) -> Sequence[_Line]:
    """The longest piece of a paragraph that is code, up to three lines of prose above and two below it left out."""
    for lost in range(6):
        for head in range(min(lost, 3), -1, -1):
            tail = lost - head
            piece = part[head : len(part) - tail]
            if tail > 2 or len(piece) < least or not _is_code(piece, grammar, least):
                continue
            above = part[head - 1].content if head else before
            rest = [_indent(line.content) for line in (*part[:head], *part[len(part) - tail :]) if line.content.strip()]
            shown = above and _EXAMPLE.search(above)
            deeper = min(_indent(line.content) for line in piece) > min((*rest, outer), default=1000)
            return () if shown or deeper else piece
    return ()


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_STRONG: Final = ("_statement", "_declaration", "_definition", "_directive", "_item")
_STRONG_TYPES: Final = _words(
    "declaration preproc_include preproc_def preproc_function_def preproc_if preproc_ifdef preproc_call",
    "class_specifier struct_specifier enum_specifier union_specifier for_range_loop if_expression",
    "match_expression for_expression while_expression loop_expression return_expression macro_invocation",
    "switch_expression",
)
_WEAK: Final = _words(
    "labeled_statement empty_statement pass_statement break_statement continue_statement attribute_item",
    "inner_attribute_item print_statement exec_statement global_statement",
)
_ACTIONS: Final = _words(
    "call call_expression method_invocation invocation_expression macro_invocation assignment",
    "assignment_expression augmented_assignment augmented_assignment_expression compound_assignment_expr",
    "update_expression await await_expression yield yield_expression object_creation_expression new_expression",
    "delete_expression postfix_unary_expression if_expression match_expression for_expression while_expression",
    "loop_expression return_expression unsafe_block conditional_access_expression",
)
_IN_CLASS: Final = frozenset(("java", "csharp", "javascript", "typescript", "tsx"))
_MOSTLY: Final = 0.7


def _is_code(lines: Sequence[_Line], grammar: str, least: int) -> bool:
    contents = [line.content for line in lines]
    filled = [content for content in contents if content.strip()]
    if len(filled) < least or sum(bool(_CODE_MARKS.search(content)) for content in filled) * 2 < len(filled):
        return False
    if any(_DIRECTIVE.match(content) for content in filled):
        return False
    source = textwrap.dedent("\n".join(contents)).strip("\n") + "\n"
    if _reads_as_code(source, grammar, wrapped=False):
        return True
    return grammar in _IN_CLASS and _reads_as_code(f"class C {{\n{source}\n}}\n", grammar, wrapped=True)


def _reads_as_code(source: str, grammar: str, *, wrapped: bool) -> bool:
    tree = syntax.parse(source, grammar)
    if tree is None or tree.root_node.has_error:
        return False
    root = tree.root_node
    if wrapped:
        body = root.named_children[0].child_by_field_name("body") if root.named_children else None
        if body is None:
            return False
        root = body
    strong = weak = 0
    for node in root.named_children:
        if node.type in syntax_queries.COMMENTS:
            continue
        lines = node.end_point.row - node.start_point.row + (1 if node.end_point.column else 0)
        if _is_strong(node):
            strong += lines
        else:
            weak += lines
    return strong > 0 and strong >= _MOSTLY * (strong + weak)


def _is_strong(node: Node) -> bool:
    if node.type == "global_statement" and node.named_children:  # C#'s wrapper; in Python it names variables only
        inner = node.named_children[0]
        return inner.type != "identifier" and _is_strong(inner)
    if node.type == "expression_statement" or node.type in _ACTIONS:
        inner = node.named_children[0] if node.type == "expression_statement" and node.named_children else node
        if inner.type == "assignment":
            return inner.child_by_field_name("right") is not None  # without: "Note: text" annotates a name
        if inner.type == "binary_expression":
            return b"<<" in (inner.text or b"")
        return inner.type in _ACTIONS
    return node.type in _STRONG_TYPES or (node.type.endswith(_STRONG) and node.type not in _WEAK)


def _needed(data: bytes, start: int, end: int, grammar: str) -> bool:
    """Whether the lines around hang together with the block: a macro that goes on, or C code for Go's `import "C"`."""
    above = data[max(0, start - 2) : start].rstrip(b"\r\n")
    if above.endswith(b"\\") or data[start:end].rstrip().endswith(b"\\"):
        return True
    return grammar == "go" and data[end : end + 200].lstrip().startswith(b'import "C"')


def _without(text: str, data: bytes, cuts: Sequence[tuple[int, int]]) -> str:
    parts: list[str] = []
    place = counted = 0
    for start, end in cuts:
        first = place + len(data[counted:start].decode("utf-8", "replace"))
        parts.append(text[place:first])
        place = first + len(data[start:end].decode("utf-8", "replace"))
        counted = end
    parts.append(text[place:])
    return "".join(parts)
