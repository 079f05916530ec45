"""The thirteen scenarios of aiXcoder's evaluation, found in any source file of four languages.

What a scenario is, the README of aixcoder-plugin/aiXcoder-7B says in a line each ("Code Completion (Fill in the
Middle)"); how its holes were cut, it does not. By its tables single lines there are shorter (19 characters), the thirds
of a body are not of one length, and Python has no switch. Here:

| scenario | the hole |
| --- | --- |
| method signature | a function or method up to its body |
| method body | all that stands in a body, of a function without a comment |
| body with comment | the same, of a function with a comment above it, or behind its docstring |
| single line | the line of a statement, from behind its indentation |
| empty | nothing, at the end of such a line |
| body top, mid, bottom | the first, second and last third of the statements of a body that has three or more |
| if, for, while, try, switch | the whole statement; what stands in an `else if` is none. Python's `match` is a switch |

Offsets are code points. Nodes that the parser could not read are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

from aix_lsp.syntax_queries import COMMENTS
from aix_lsp.syntax_spans import code_points_of, with_comment_above
from aix_lsp.syntax_tree import Parsed, parsed_text

if TYPE_CHECKING:
    from tree_sitter import Node

Scenario = Literal[
    "method signature",
    "method body",
    "body with comment",
    "single line",
    "empty",
    "body top",
    "body mid",
    "body bottom",
    "if",
    "for",
    "while",
    "try",
    "switch",
]
"""In the order of aiXcoder's tables."""

SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {"java": "java", "cpp": "cpp", "javascript": "javascript", "python": "python"}
)
"""Grammar -> LSP language identifier."""

Span = tuple[int, int]

_SHORTEST: Final = 3  # characters; `x` says nothing about a model

_FUNCTIONS = frozenset(
    (
        "function_definition",
        "function_declaration",
        "generator_function_declaration",
        "method_definition",
        "method_declaration",
        "constructor_declaration",
    )
)
_BODIES = frozenset(("block", "statement_block", "compound_statement", "constructor_body"))
_WRAPPERS = frozenset(("decorated_definition", "export_statement", "template_declaration"))
_STATEMENTS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        "if_statement": "if",
        "for_statement": "for",
        "for_in_statement": "for",
        "for_range_loop": "for",
        "enhanced_for_statement": "for",
        "while_statement": "while",
        "try_statement": "try",
        "try_with_resources_statement": "try",
        "switch_statement": "switch",
        "switch_expression": "switch",
        "match_statement": "switch",
    }
)
_GO_ON = frozenset(("else_clause", "if_statement"))
"""What an `if` stands in that is the `else if` of another."""


def scenario_holes(text: str, grammar: str) -> dict[Scenario, list[Span]]:
    """The holes of a text by scenario, in order of their starts, each once; those that it has none of are left out.
    Nothing for a grammar other than those of `LANGUAGES`."""
    parsed = parsed_text(text, grammar) if grammar in LANGUAGES else None
    if parsed is None:
        return {}
    found: dict[Scenario, list[int]] = {}
    for scenario, (start, end) in _bytes(parsed):
        found.setdefault(scenario, []).extend((start, end))
    places = code_points_of(text, parsed)
    holes: dict[Scenario, list[Span]] = {}
    for scenario in SCENARIOS:
        spans = _cleaned(text, places(found.get(scenario, [])), empty=scenario == "empty")
        if spans:
            holes[scenario] = spans
    return holes


def _bytes(parsed: Parsed) -> Iterator[tuple[Scenario, Span]]:
    nodes = [parsed.tree.root_node]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.named_children)
        if node.has_error or node.is_missing:
            continue
        parent = node.parent
        scenario = _STATEMENTS.get(node.type)
        if scenario is not None and _is_statement(node, parent):
            yield scenario, (node.start_byte, node.end_byte)
        if node.type in _FUNCTIONS:
            yield from _of_function(parsed, node)
        if parent is not None and parent.type in _BODIES and _is_line(node):
            yield from _of_line(parsed, node)


def _is_statement(node: Node, parent: Node | None) -> bool:
    if node.type == "switch_expression":  # Java's, which is also a value
        return parent is not None and parent.type in ("block", "constructor_body")
    return parent is None or parent.type not in _GO_ON or node.type != "if_statement"


def _of_function(parsed: Parsed, node: Node) -> Iterator[tuple[Scenario, Span]]:
    body = node.child_by_field_name("body")
    if body is None or body.type not in _BODIES:
        return
    if not any(child.type == "field_initializer_list" for child in node.children):
        yield "method signature", (node.start_byte, body.start_byte)
    inside = body.named_children
    statements = [child for child in inside if child.type not in COMMENTS]
    documented = bool(statements) and _is_docstring(statements[0])
    if documented:
        inside = inside[inside.index(statements[0]) + 1 :]
        statements = statements[1:]
    if not statements:
        return
    outer = node
    while outer.parent is not None and outer.parent.type in _WRAPPERS:
        outer = outer.parent
    commented = documented or with_comment_above(parsed.data, outer) is not None
    yield ("body with comment" if commented else "method body"), (inside[0].start_byte, inside[-1].end_byte)
    count = len(statements)
    if count >= 3:
        first, second = round(count / 3), round(2 * count / 3)
        thirds = statements[:first], statements[first:second], statements[second:]
        names: tuple[Scenario, ...] = ("body top", "body mid", "body bottom")
        for name, third in zip(names, thirds, strict=True):
            yield name, (third[0].start_byte, third[-1].end_byte)


def _is_docstring(node: Node) -> bool:
    children = node.named_children
    return node.type == "expression_statement" and len(children) == 1 and children[0].type == "string"


def _is_line(node: Node) -> bool:
    return node.start_point.row == node.end_point.row and node.type not in COMMENTS and not _is_docstring(node)


def _of_line(parsed: Parsed, node: Node) -> Iterator[tuple[Scenario, Span]]:
    """The line of a statement that begins it and does not share it with what surrounds it."""
    data = parsed.data
    start, end = data.rfind(b"\n", 0, node.start_byte) + 1, data.find(b"\n", node.end_byte)
    end = len(data) if end < 0 else end
    if data[start : node.start_byte].strip() or data[node.end_byte : end].strip().startswith(b"}"):
        return
    end = start + len(data[start:end].rstrip())
    yield "single line", (node.start_byte, end)
    yield "empty", (end, end)


def _cleaned(text: str, flat: list[int], *, empty: bool) -> list[Span]:
    """Spans from a row of starts and ends, without blanks around them, which some grammars count to a node."""
    spans = set()
    for start, end in zip(flat[::2], flat[1::2], strict=True):
        while start < end and text[end - 1].isspace():
            end -= 1
        while start < end and text[start].isspace():
            start += 1
        if empty or end - start >= _SHORTEST:
            spans.add((start, end))
    return sorted(spans)
