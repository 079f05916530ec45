"""Holes are complete nodes or rests of lines, in nine languages, whatever the text is made of."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.languages import language_of
from aix_lsp.syntax_queries import COMMENTS, MODULES
from aix_lsp.syntax_tree import captures, parsed_text
from aix_lsp.training.hole_nodes import QUERIES
from aix_lsp.training.holes import Hole, HoleFinder, HoleKind, HoleWeights, random_span

if TYPE_CHECKING:
    from tree_sitter import Node

SOURCES = sorted(Path(__file__).parents[1].joinpath("fixtures", "sources").iterdir())
NODE_KINDS: tuple[HoleKind, ...] = (
    "expression",
    "statement",
    "block",
    "function body",
    "class member",
    "comment and function",
    "argument list",
)


def grammar_of(path: Path) -> str:
    return language_of(path.name).grammar or ""


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def variants(text: str) -> dict[str, str]:
    """The same code with the line ends, the indentation and the characters that real files have."""
    lines = text.replace("\r\n", "\n")
    return {
        "as it is": text,
        "line feeds": lines,
        "carriage returns": lines.replace("\n", "\r\n"),
        "tabs": lines.replace("    ", "\t"),
        "no last line end": lines.rstrip("\n"),
    }


CASES = [
    pytest.param(text, grammar_of(path), id=f"{path.name}, {name}")
    for path in SOURCES
    for name, text in variants(read(path)).items()
]


def nodes_under(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes_under(child)


def span(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Code points of bytes, counted by decoding, without the blanks that a grammar counts to a node."""
    text = data[start:end].decode()
    first = len(data[:start].decode()) + len(text) - len(text.lstrip())
    return first, first + len(text.strip())


def whole_nodes(text: str, grammar: str) -> tuple[set[tuple[int, int]], set[tuple[int, int]], set[tuple[int, int]]]:
    """Spans of all nodes, of what stands between the brackets of one, and of comments with what follows them."""
    parsed = parsed_text(text, grammar)
    assert parsed is not None
    assert not parsed.tree.root_node.has_error
    data = parsed.data
    nodes, inner, commented = set(), set(), set()
    for node in nodes_under(parsed.tree.root_node):
        nodes.add(span(data, node.start_byte, node.end_byte))
        if node.child_count > 2 and node.children[0].type in ("{", "("):
            inner.add(span(data, node.children[1].start_byte, node.children[-2].end_byte))
        for number, child in enumerate(node.children):
            if child.type in COMMENTS:
                after = (other for other in node.children[number:] if other.type not in (*COMMENTS, "attribute_item"))
                following = next(after, None)
                if following is not None:
                    commented.add(span(data, child.start_byte, following.end_byte))
    return nodes, inner, commented


@pytest.mark.parametrize(("text", "grammar"), CASES)
def test_a_hole_is_exactly_a_node_or_what_its_brackets_hold(text: str, grammar: str) -> None:
    nodes, inner, commented = whole_nodes(text, grammar)
    found = HoleFinder(text, grammar).holes()
    assert sum(map(len, found.values())) >= 100
    for kind, holes in found.items():
        for hole in holes:
            place = (hole.start, hole.end)
            allowed = place in nodes
            if kind in ("block", "function body", "argument list"):
                allowed = allowed or place in inner
            if kind == "comment and function":
                allowed = allowed or place in commented
            assert allowed, (kind, text[hole.start : hole.end])
            assert text[hole.start : hole.end] == text[hole.start : hole.end].strip()


def test_the_bundled_sources_are_in_all_languages_with_a_grammar() -> None:
    assert {grammar_of(path) for path in SOURCES} == set(MODULES) - {"tsx"}
    assert set(QUERIES) == set(MODULES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_file_of_every_language_has_holes_of_every_kind(path: Path) -> None:
    finder = HoleFinder(read(path), grammar_of(path))
    if path.name != "station_report.py":  # has no class
        assert all(finder.holes().get(kind) for kind in NODE_KINDS)
    draw = random.Random(1)
    drawn = Counter(hole.kind for _ in range(400) if (hole := finder.draw(draw)) is not None)
    assert sum(drawn.values()) == 400
    assert 110 < drawn["rest of line"] < 230
    assert set(drawn) >= {kind for kind in get_args(HoleKind) if kind in finder.holes()} | {"lines"}


def test_a_query_that_names_an_unknown_node_would_be_told() -> None:
    for grammar, query in QUERIES.items():
        parsed = parsed_text("x", grammar)
        assert parsed is not None
        captures(parsed, grammar, query)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("block", {"run(job)\n        wait(1)"}),
        ("function body", {"if job:\n        run(job)\n        wait(1)\n    return None", "pass"}),
        ("class member", {"size: int = 0", "@cached\n    def get(self):\n        pass"}),
        (
            "comment and function",
            {"# one\n# two\ndef start(job):\n    if job:\n        run(job)\n        wait(1)\n    return None"},
        ),
        ("argument list", {"(job)", "job", "(1)", "(Base)", "Base"}),
    ],
)
def test_python_holes_are_what_a_reader_would_mark(kind: HoleKind, expected: set[str]) -> None:
    text = (
        "# zero\n\n# one\n# two\ndef start(job):\n    if job:\n        run(job)\n        wait(1)\n    return None\n\n"
        "class Cache(Base):\n    size: int = 0\n\n    @cached\n    def get(self):\n        pass\n"
    )
    assert {text[hole.start : hole.end] for hole in HoleFinder(text, "python").holes()[kind]} == expected


def test_brackets_are_taken_or_left() -> None:
    text = "fn f() -> u8 {\n    if a {\n        g(1, 2);\n    }\n    3\n}\n"
    found = {text[hole.start : hole.end] for hole in HoleFinder(text, "rust").holes()["block"]}
    assert found == {"{\n        g(1, 2);\n    }", "g(1, 2);"}


def test_a_comment_behind_code_belongs_to_that_code() -> None:
    text = "int a; // of a\nint f(void)\n{\n    return a;\n}\n"
    assert not HoleFinder(text, "c").holes().get("comment and function")


def test_attributes_between_a_comment_and_its_function_come_along() -> None:
    text = "fn a() {}\n\n/// Adds.\n#[inline]\nfn add(a: u8) -> u8 {\n    a + 1\n}\n"
    (hole,) = HoleFinder(text, "rust").holes()["comment and function"]
    assert text[hole.start : hole.end] == text[text.index("///") :].rstrip()


def test_nodes_that_cannot_be_read_are_left_out() -> None:
    text = "def good(a):\n    return first(a)\n\n\ndef bad(a):\n    return second(a,, b\n"
    finder = HoleFinder(text, "python")
    pieces = [text[hole.start : hole.end] for holes in finder.holes().values() for hole in holes]
    assert "return first(a)" in pieces
    assert not any(",," in piece for piece in pieces)


def rests(text: str, **shares: float) -> list[Hole]:
    finder = HoleFinder(text, "", HoleWeights(lines=0.0, **shares))
    draw = random.Random(2)
    return [hole for _ in range(300) if (hole := finder.draw(draw)) is not None]


def test_the_rest_of_a_line_ends_with_the_line_or_before_closing_signs() -> None:
    text = "\tif (values[first(a)]) {\r\n\t\tgo(\t[1, 2]);  \r\n\r\n\t}\r\n"
    found = rests(text)
    ends = Counter(text[hole.end :].split("\r\n")[0] for hole in found)
    assert len(found) == 300
    assert set(ends) == {"", "  ", ";  ", ");  ", "]);  "}
    assert all("\r" not in text[hole.start : hole.end] for hole in found)
    kept = Counter(hole.end for hole in found)
    assert kept[text.index("{") + 1] > 60


def test_the_rest_of_a_line_begins_at_a_token_a_new_line_or_inside_a_word() -> None:
    text = "    alphabet = betagamma(delta)\n"
    whole = Counter(hole.start for hole in rests(text, any_character=0.0, new_line=1.0, closing_left=0.0))
    assert set(whole) == {4}
    tokens = {hole.start for hole in rests(text, any_character=0.0, new_line=0.0, closing_left=0.0)}
    assert tokens == {4, 12, 13, 14, 15, 24, 25, 30}
    assert {hole.start for hole in rests(text, any_character=1.0)} > tokens


def test_a_line_that_is_too_long_gives_its_end() -> None:
    text = "x = [" + "123456789, " * 1000 + "]\n"
    finder = HoleFinder(text, "")
    draw = random.Random(3)
    holes = [hole for _ in range(50) if (hole := finder.draw(draw, longest=100)) is not None]
    assert len(holes) == 50
    assert all(hole.end - hole.start <= 100 and hole.end >= len(text) - 3 for hole in holes)


def test_whole_lines_go_from_an_indentation_to_a_line_end() -> None:
    text = read(SOURCES[-1])
    finder = HoleFinder(text, "", HoleWeights(rest_of_line=0.0))
    draw = random.Random(4)
    lengths: Counter[int] = Counter()
    for _ in range(200):
        hole = finder.draw(draw, longest=300)
        assert hole is not None
        assert hole.kind == "lines"
        assert not text[text.rfind("\n", 0, hole.start) + 1 : hole.start].strip()
        assert text[hole.end] in "\r\n"
        assert hole.end - hole.start <= 300
        lengths[text.count("\n", hole.start, hole.end)] += 1
    assert lengths[0] > lengths[2] > 0


def test_a_body_may_begin_at_the_end_of_its_header() -> None:
    text = "def first(a):\r\n    # why\r\n    return a\r\n\r\nif x: y(1, 2)\r\n"
    weights = dict.fromkeys(("rest_of_line", "expression", "statement", "argument_list", "lines"), 0.0)
    draw = random.Random(9)

    def found(share: float) -> set[str]:
        finder = HoleFinder(text, "python", HoleWeights(**weights, from_header=share))
        return {text[hole.start : hole.end] for _ in range(40) if (hole := finder.draw(draw)) is not None}

    assert found(0.0) == {"return a", "y(1, 2)"}
    assert found(1.0) == {"\r\n    return a", "y(1, 2)"}


def test_only_kinds_with_a_weight_are_drawn() -> None:
    text = read(SOURCES[-1])
    weights = HoleWeights(0, 0, 0, 1, 0, 0, 0, 0, 0)
    draw = random.Random(5)
    finder = HoleFinder(text, grammar_of(SOURCES[-1]), weights)
    assert {hole.kind for _ in range(30) if (hole := finder.draw(draw)) is not None} == {"block"}
    assert HoleFinder(text, "", weights).draw(draw) is None
    assert HoleFinder(text, "", HoleWeights(0, 0, 0, 0, 0, 0, 0, 0, 0)).draw(draw) is None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_holes_stay_inside_the_range_and_under_the_length(path: Path) -> None:
    text = read(path)
    finder = HoleFinder(text, grammar_of(path))
    draw = random.Random(6)
    for first, last in pairwise(range(0, len(text), 400)):
        for hole in finder.draw_many(draw, 20, within=range(first, last), longest=120):
            assert first <= hole.start < hole.end <= last
            assert hole.end - hole.start <= 120
            assert text[hole.start : hole.end].strip()


def test_many_holes_differ_and_come_again_with_the_same_seed() -> None:
    text, grammar = read(SOURCES[0]), grammar_of(SOURCES[0])
    holes = HoleFinder(text, grammar).draw_many(random.Random(7), 50)
    assert len({(hole.start, hole.end) for hole in holes}) == len(holes) == 50
    assert HoleFinder(text, grammar).draw_many(random.Random(7), 50) == holes
    assert HoleFinder("x = 1\n", "python").draw_many(random.Random(7), 500) != []


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n\r", "\u3000\n"])
def test_a_text_without_text_has_no_holes(text: str) -> None:
    assert HoleFinder(text, "python").draw(random.Random(0)) is None
    assert HoleFinder(text, "").draw_many(random.Random(0), 3) == []


@given(
    st.text(st.sampled_from("ab(){}:;,.\n\r\t \"'#/é漢😀\u2028\ud800"), max_size=60),
    st.sampled_from(sorted(QUERIES)),
    st.integers(0, 2**32),
    st.integers(1, 80),
)
def test_any_text_gives_holes_in_bounds_or_none(text: str, grammar: str, seed: int, longest: int) -> None:
    for hole in HoleFinder(text, grammar).draw_many(random.Random(seed), 5, longest=longest):
        assert 0 <= hole.start < hole.end <= len(text)
        assert hole.end - hole.start <= longest
        assert text[hole.start : hole.end].strip()


@given(st.text(min_size=1), st.integers())
def test_a_random_span_is_never_empty(text: str, seed: int) -> None:
    hole = random_span(text, random.Random(seed))
    assert 0 <= hole.start < hole.end <= len(text)


def test_random_cuts_are_uniform() -> None:
    draw = random.Random(8)
    found = Counter((hole.start, hole.end) for _ in range(6000) if (hole := random_span("abc", draw)))
    assert len(found) == 6
    assert all(850 < count < 1150 for count in found.values())


def test_an_empty_text_has_no_random_span() -> None:
    with pytest.raises(ValueError, match="no middle"):
        random_span("", random.Random(0))
