"""Holes in real files of nine languages: bodies and lists that are removed, and what followed them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aix_lsp.completion.place import Place, line_break_of, surroundings
from aix_lsp.languages import language_of
from aix_lsp.syntax_tree import parsed_text
from aix_lsp.types import Amount

if TYPE_CHECKING:
    from tree_sitter import Node

SOURCES = sorted((Path(__file__).parent.parent / "fixtures" / "sources").iterdir())


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_OWNERS = _words(
    "function_definition function_declaration method_definition method_declaration constructor_declaration "
    "function_item class_definition class_declaration class_specifier struct_specifier struct_declaration "
    "interface_declaration impl_item trait_item if_statement if_expression else_clause for_statement for_in_statement "
    "for_expression for_range_loop foreach_statement enhanced_for_statement while_statement while_expression "
    "try_statement catch_clause with_statement arrow_function func_literal lambda_expression"
)
_BODIES = _words(
    "block statement_block compound_statement constructor_body class_body interface_body declaration_list "
    "field_declaration_list"
)
_TOKEN = re.compile(r"\w+|\r?\n[ \t]*|[ \t]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Removed:
    """A stretch that was removed from a text. The rest of the file follows it."""

    text: str
    start: int
    end: int
    kind: str

    @property
    def prefix(self) -> str:
        return self.text[: self.start]

    @property
    def suffix(self) -> str:
        return self.text[self.end :]

    @property
    def middle(self) -> str:
        return self.text[self.start : self.end]

    @property
    def truth(self) -> str:
        """What a model would say that knows the file and does not stop."""
        return self.text[self.start :]

    def place(self, grammar: str, max_lines: int, amount: Amount = "block") -> Place:
        around = surroundings(self.prefix + self.suffix, self.start)
        line_break = line_break_of(self.text)
        return Place(around, self.suffix, amount, max_lines, line_break, prefix=self.prefix, grammar=grammar)


def grammar_of(path: Path) -> str:
    grammar = language_of(path.name).grammar
    assert grammar is not None
    return grammar


def nodes(text: str, grammar: str) -> Iterator[tuple[Node, int, int]]:
    """All nodes of a text with their ends in code points."""
    parsed = parsed_text(text, grammar)
    assert parsed is not None
    data, left = parsed.data, [parsed.tree.root_node]
    while left:
        node = left.pop()
        left += node.children
        yield node, len(data[: node.start_byte].decode()), len(data[: node.end_byte].decode())


def bodies(text: str, grammar: str) -> Iterator[Removed]:
    """Bodies of several lines, removed behind their header and on the line below it; with brackets, also such that
    the closing one is removed with them ("open")."""
    for node, start, end in nodes(text, grammar):
        owner = node.parent
        if owner is None or owner.type not in _OWNERS or node.type not in _BODIES:
            continue
        if "\n" not in text[start:end]:
            continue
        if grammar == "python":
            header = len(text[:start].rstrip())
            if text[header - 1] == ":":  # not one below a comment
                yield Removed(text, header, end, "behind the header")
                yield Removed(text, start, end, "below the header")
        elif text[start] == "{":
            inner = text[start + 1 : end - 1]
            first = start + 1 + len(inner) - len(inner.lstrip())
            last = start + 1 + len(inner.rstrip())
            if inner.strip():
                yield Removed(text, start + 1, last, "behind the header")
                yield Removed(text, first, last, "below the header")
                yield Removed(text, start + 1, end, "behind the header, open")
                yield Removed(text, first, end, "below the header, open")


def steps(text: str, grammar: str) -> Iterator[Removed]:
    """Statements that begin a line, removed together with all that follows them in their body."""
    for node, _, end in nodes(text, grammar):
        inside = node.named_children
        if node.type not in _BODIES or len(inside) < 2 or grammar in ("rust", "typescript"):
            continue
        for statement in inside[1:]:
            start = len((node.text or b"")[: statement.start_byte - node.start_byte].decode())
            start += end - len((node.text or b"").decode())
            if not text[:start].rpartition("\n")[2].strip():
                stop = end if grammar == "python" else len(text[: end - 1].rstrip())
                yield Removed(text, start, stop, "step")


def streamed(text: str, finished: Callable[[str], bool]) -> str:
    """As much of a text as comes, token by token, before the stop condition holds."""
    end = 0
    for match in _TOKEN.finditer(text):
        end = match.end()
        if finished(text[:end]):
            break
    return text[:end]


def errors(text: str, grammar: str) -> int:
    """How many nodes of a text the parser could not read or had to invent."""

    def count(node: Node) -> int:
        if node.is_missing:
            return 1
        return int(node.is_error) + sum(map(count, node.children)) if node.has_error else 0

    parsed = parsed_text(text, grammar)
    assert parsed is not None
    return count(parsed.tree.root_node)
