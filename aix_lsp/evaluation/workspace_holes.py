"""Holes in a project's files: statements, rests of lines and blocks, as somebody would type them anew.

Everything behind the cursor that a hole does not take out stays where it is, as in a file that is being edited.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count as numbers
from typing import TYPE_CHECKING, Final, Literal, get_args

from aix_lsp import syntax_queries as tables
from aix_lsp.evaluation.benchmark import Sample
from aix_lsp.evaluation.workspace_files import SourceFile
from aix_lsp.languages import language_of
from aix_lsp.syntax_edits import has_body
from aix_lsp.syntax_tree import encode, parsed_text
from aix_lsp.text import line_spans

if TYPE_CHECKING:
    from tree_sitter import Node

Kind = Literal["statement", "mid-line", "block"]
"""A whole statement without a body of its own; the rest of a line from anywhere behind its first character; all that
stands in a body, but for the comments and the docstring that it begins with."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_PER_FILE: Final = 2
"""Holes of each kind that a file gives before an older one has its turn."""

_STATEMENT_LINES: Final = 4
_BLOCK_LINES: Final = range(2, 13)
_LONGEST_BLOCK: Final = 600
_SHORTEST: Final = 4
_SHORTEST_LINE: Final = 6
_BODY_DEPTH: Final = 3

_BLOCKS: Final = frozenset(("block", "statement_block", "compound_statement", "constructor_body"))
_STATEMENT_LISTS: Final = _BLOCKS | frozenset(
    (
        *("module", "program", "source_file", "translation_unit", "compilation_unit", "statement_list"),
        *("class_body", "declaration_list", "field_declaration_list", "switch_case", "case_clause"),
    )
)


@dataclass(frozen=True, slots=True)
class Hole:
    """What is taken out: `text[start:end]`, code points."""

    start: int
    end: int


def draw(files: Sequence[SourceFile], *, count: int, seed: int = 0, group: str = "") -> list[Sample]:
    """Up to `count` holes, shared evenly among languages and, within each, among the kinds; `files` are those that
    were changed last first, and give `_PER_FILE` holes of each kind before older ones are asked for more.

    The same files and seed give the same holes. `group` is put before the names of all samples.
    """
    by_language: dict[str, list[SourceFile]] = {}
    for file in files:
        by_language.setdefault(file.language, []).append(file)
    found: list[Sample] = []
    # those with few files first: what they lack is left to the others
    for number, (_, own) in enumerate(sorted(by_language.items(), key=lambda item: (len(item[1]), item[0]))):
        share = (count - len(found)) // (len(by_language) - number)
        found += _draw_in(own, share, seed, group)
    # neighbours share the beginnings of their prompts, which the engine runs only once
    return sorted(found, key=lambda sample: (sample.name, len(sample.before), _order(sample)))


def _order(sample: Sample) -> int:
    return [str(kind) for kind in KINDS].index(sample.scenario)


def _draw_in(files: Sequence[SourceFile], count: int, seed: int, group: str) -> list[Sample]:
    by_file: dict[str, Mapping[Kind, Sequence[Hole]]] = {}

    def holes(file: SourceFile) -> Mapping[Kind, Sequence[Hole]]:
        if file.path not in by_file:
            by_file[file.path] = holes_of(file.text, language_of(file.path).grammar, _random(seed, file.path, ""))
        return by_file[file.path]

    def of_kind(kind: Kind) -> Iterator[Sample]:
        for turn in numbers():
            is_more = False
            for file in files:
                listed = list(holes(file).get(kind, ()))
                _random(seed, file.path, kind).shuffle(listed)
                is_more = is_more or len(listed) > (turn + 1) * _PER_FILE
                for hole in listed[turn * _PER_FILE : (turn + 1) * _PER_FILE]:
                    yield _sample(file, hole, kind, group)
            if not is_more:
                return

    found: list[Sample] = []
    waiting = [of_kind(kind) for kind in KINDS]
    while waiting and len(found) < count:
        for samples in list(waiting):
            sample = next(samples, None)
            if sample is None:
                waiting.remove(samples)
            elif len(found) < count:
                found.append(sample)
    return found


def _random(seed: int, path: str, kind: str) -> random.Random:
    return random.Random(sha256(f"{seed} {kind} {path}".encode("utf-8", "replace")).digest())


def _sample(file: SourceFile, hole: Hole, kind: Kind, group: str) -> Sample:
    before = file.text[: hole.start]
    line, column = before.count("\n") + 1, hole.start - (before.rfind("\n") + 1) + 1
    return Sample(
        id=f"{group}{file.path}:{line}:{column} {kind}",
        language=file.language,
        scenario=kind,
        name=file.path,
        before=before,
        after=file.text[hole.end :],
        wanted=file.text[hole.start : hole.end],
        extra={"group": group},
    )


def holes_of(text: str, grammar: str | None, draw: random.Random) -> dict[Kind, list[Hole]]:
    """All holes of a text by kind, one in each line for `mid-line`, at a column that is drawn. Without a grammar there
    are only those of lines. Code that the parser could not read gives none but those of lines."""
    lines = [(start, end) for start, end, _ in line_spans(text)]
    parsed = parsed_text(text, grammar) if grammar else None
    if parsed is None:
        codes = [line for line in lines if not _is_comment(text[slice(*line)])]
        return {"mid-line": [hole for line in codes if (hole := _mid_line(text, *line, draw))]}
    found: dict[Kind, list[Hole]] = {kind: [] for kind in KINDS}
    place = _Places(text, lines)
    prose: set[int] = set()
    waiting = [parsed.tree.root_node]
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(node.children))
        # a line of a comment, or within a string of several, is nobody's code
        if node.type in tables.COMMENTS or (node.type in tables.STRINGS and _several_lines(node)):
            prose.update(range(node.start_point.row, node.end_point.row + 1))
        if node.type in _STATEMENT_LISTS and not node.has_error:
            found["statement"] += [hole for child in node.named_children if (hole := _statement(text, child, place))]
        if node.type in _BLOCKS and not node.has_error and (block := _block(text, node, place)):
            found["block"].append(block)
    rows = [line for row, line in enumerate(lines) if row not in prose]
    found["mid-line"] = [hole for line in rows if (hole := _mid_line(text, *line, draw))]
    return found


class _Places:
    """From tree-sitter's rows and bytes to offsets."""

    def __init__(self, text: str, lines: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._lines = lines

    def of(self, point: tuple[int, int]) -> int:
        row, column = point
        start, end = self._lines[min(row, len(self._lines) - 1)]
        line = self._text[start:end]
        return start + (column if line.isascii() else len(encode(line)[:column].decode("utf-8", "replace")))

    def span(self, first: Node, last: Node) -> Hole:
        """From the start of one node to the end of another, without blanks at the end."""
        start, end = self.of(first.start_point), self.of(last.end_point)
        return Hole(start, start + len(self._text[start:end].rstrip()))


def _several_lines(node: Node) -> bool:
    return node.start_point.row != node.end_point.row


def _statement(text: str, node: Node, place: _Places) -> Hole | None:
    """A statement that has its lines to itself."""
    if node.type in tables.COMMENTS or _is_docstring(node) or has_body(node, _BODY_DEPTH):
        return None
    hole = place.span(node, node)
    code = text[hole.start : hole.end]
    if len(code) < _SHORTEST or code.count("\n") >= _STATEMENT_LINES or not _stands_alone(text, hole):
        return None
    return hole


def _block(text: str, node: Node, place: _Places) -> Hole | None:
    """What a body holds behind its docstring and the comments at its start."""
    inside = list(node.named_children)
    if len(inside) == 1 and inside[0].type == "statement_list":
        inside = list(inside[0].named_children)
    while inside and (inside[0].type in tables.COMMENTS or _is_docstring(inside[0])):
        del inside[0]
    if not inside:
        return None
    hole = place.span(inside[0], inside[-1])
    code = text[hole.start : hole.end]
    lines = sum(bool(line.strip()) for line in code.split("\n"))
    if lines not in _BLOCK_LINES or len(code) > _LONGEST_BLOCK or not _stands_alone(text, hole):
        return None
    return hole


def _is_docstring(node: Node) -> bool:
    return node.type == "expression_statement" and [child.type for child in node.named_children] == ["string"]


def _stands_alone(text: str, hole: Hole) -> bool:
    """Whether nothing else stands in the lines that a hole begins and ends in."""
    before = text[text.rfind("\n", 0, hole.start) + 1 : hole.start]
    end = text.find("\n", hole.end)
    return not before.strip() and not text[hole.end : end if end >= 0 else len(text)].strip()


def _mid_line(text: str, start: int, end: int, draw: random.Random) -> Hole | None:
    line = text[start:end].rstrip()
    code = line.strip()
    if len(code) < _SHORTEST_LINE or not any(character.isalnum() for character in code):
        return None
    column = draw.randrange(len(line) - len(code) + 1, len(line))
    return Hole(start + column, start + len(line))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(("#", "//", "--", ";", "%", "/*", "*", "<!--", '"'))
