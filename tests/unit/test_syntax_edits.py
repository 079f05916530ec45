"""Trees made from earlier trees, and texts looked at in their place."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from aix_lsp.syntax_edits import brackets, document, parse
from aix_lsp.syntax_hole import Hole, hole
from tests.unit.real_holes import SOURCES, bodies, grammar_of


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_document_that_grows_key_by_key_is_parsed_as_if_it_were_new(path: Path) -> None:
    """What is typed is the file's own text: bodies that are removed and typed again, with a slip now and then."""
    grammar, text = grammar_of(path), path.read_text(encoding="utf-8")
    draw = random.Random(path.name)
    hole = draw.choice([hole for hole in bodies(text, grammar) if len(hole.middle) > 40])
    end = 0
    while end < len(hole.middle):
        end = max(0, end + draw.choice([1, 1, 2, 5, 9, -1]))
        data = (hole.prefix + hole.middle[:end] + hole.suffix).encode()
        found = document(data, grammar)
        fresh = parse(grammar, data)
        assert found.data == data
        if not fresh.root_node.has_error:
            assert str(found.tree.root_node) == str(fresh.root_node)
            assert found.brackets == brackets(fresh, grammar, 0, len(data))
        assert found.tree.root_node.has_error == fresh.root_node.has_error


@pytest.mark.parametrize(
    ("document", "missing"),
    [
        ("function f() {|}", ""),
        ("function f() {|\n}", ""),
        ("function f() {|", "}"),
        ("function f() {|\n\nfunction g() {\n}\n", "}"),
        ("class A {\n  f() {|\n\n  g() {\n  }\n}\n", "}"),
        ("class A {\n  f() {|\n  }\n}\n", ""),
        ("on(() => {|", "})"),
        ("on(() => {|\n});", ""),
        ("on(() => {|);", "}"),
        ("x = [1, (2, '(' |", ")]"),
        ("f(`${|", "})"),
        ("x = 1;\n|", ""),
    ],
)
def test_the_brackets_that_the_document_lacks_are_known(document: str, missing: str) -> None:
    prefix, _, suffix = document.partition("|")
    assert Hole(prefix, suffix, "javascript").missing == missing


@pytest.mark.parametrize(
    ("grammar", "prefix", "text", "fits", "whole"),
    [
        ("python", "def f():\n    ", "return 1", True, True),
        ("python", "def f():\n    ", "return g(", False, False),
        ("python", "def f():\n    ", "if x:", True, False),
        ("python", "def f():\n    ", "if x:  # why\n        # because", True, False),
        ("python", "def f():\n    ", "a = 1\n        b = 2", False, False),
        ("python", "def f():\n    a\n    ", "try:\n        b", True, False),
        ("python", "def f():\n    a\n    ", "try:\n        b\n    c", False, False),
        ("python", "def f():\n    ", "def g():\n    a", False, False),
        ("python", "def f():\n    ", "if a:\n        b\n    else:", True, False),
        ("python", "try:\n    ", "b", True, True),
        ("java", "class A { void f() {\n", "int a = 1;", True, True),
        ("java", "class A { void f() {\n", "int a = 1", False, False),
        ("java", "class A { void f() {\n", "if (a) {", False, False),
        ("java", "class A { void f() {\n", "if (a) { b(); }\n}", True, True),
        ("go", "func f() {\n\t", "a := 1", True, True),
        ("go", "func f() {\n\t", "a :=", False, False),
    ],
)
def test_a_text_is_whole_where_the_parser_finds_nothing_missing(
    grammar: str, prefix: str, text: str, fits: bool, whole: bool
) -> None:
    look = Hole(prefix, "", grammar).look(text)
    assert (look.fits, look.whole) == (fits, whole)


def test_a_long_document_is_read_from_a_top_level_line_on() -> None:
    before = "def g():\n    return 1\n\n\n" * 6000
    look = Hole(before + "def f():\n    ", "\n\n\nx = 1\n", "python").look("return 2")
    assert look.whole
    assert not Hole(before + "def f():\n    ", "\n\n\nx = 1\n", "python").look("return (").whole


def test_the_same_place_is_parsed_once() -> None:
    assert hole("def f():", "\n", "python") is hole("def f():", "\n", "python")
    assert hole("def f():", "\n", "no such grammar") is None
