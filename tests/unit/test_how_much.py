"""Where a block is offered and where the rest of the line, by syntax, in every grammar and without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.announcing import looks_like_code
from aix_lsp.completion.enclosing import enclosing
from aix_lsp.completion.place import surroundings
from aix_lsp.completion.policy import how_much
from aix_lsp.languages import language_of
from aix_lsp.types import DocumentSnapshot


def amount(marked: str, name: str) -> str:
    """What is offered at the `|` of a text, `¦` where the text has `|` of its own."""
    mark = "¦" if "¦" in marked else "|"
    text, offset = marked.replace(mark, "", 1), marked.index(mark)
    return how_much(DocumentSnapshot("file:///x", text, "", 1, name), offset, surroundings(text, offset))


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("def f(x):|", "block"),
        ("def f(x):\n    |", "block"),
        ("def f(x):\n|", "block"),
        ("async def f(x):|", "block"),
        ("def f(x:|", "line"),
        ("def f(x:|)", "line"),
        ("values: |", "line"),
        ("x = {'a':|", "line"),
        ("function f() {|", "block"),
        ("const f = () =>|", "block"),
        ("def f(x):|\n    return 1", "line"),
        ("// adds two numbers\n|", "block"),
        ("/*\n * adds two numbers\n */\n|", "block"),
        ("/**\n * adds two numbers\n|", "block"),
        ("# adds two numbers\n|", "block"),
        ("def f(\n    *args,\n    |", "line"),
        ("    *target = 1;\n    |", "line"),
        ("x = (a\n    % b\n    |", "line"),
        ("x = f(\n    |", "block"),
        ("x = |", "line"),
        ("x = 1\n|", "line"),
        ("print(|)", "line"),
        ("Foo = {|", "line"),
        ("class A\n  def f\n    |", "block"),
        ("if x then|", "block"),
        ("'what to do|", "line"),
    ],
)
def test_a_block_is_offered_where_one_begins_in_a_language_that_nobody_knows(marked: str, expected: str) -> None:
    assert amount(marked, "x") == expected


PYTHON = [
    ("def f(x):|", "block"),
    ("def f(x):\n    |", "block"),
    ("def f(x):\n|", "block"),
    ("async def f(\n    a,\n    b=(1, 2),\n) -> dict[str, int]:|", "block"),
    ("async def f(\n    a,\n) -> int:\n    |", "block"),
    ("if a and \\\n        b:|", "block"),
    ("    else:|", "block"),
    ("try:\n    |", "block"),
    ("match x:\n    case {'a': 1}:|", "block"),
    ("class A:\n    |", "block"),
    ("if x:  # why\n    |", "block"),
    ("def f(x):|\n    return 1", "line"),
    ("def f(x):|\n\n    return 1", "line"),
    ("def f(x):|\n\n\ndef g():\n    pass", "block"),
    # inside a body
    ("def f(x):\n    |\n    return 1", "block"),
    ("def f(x):\n|\n    return 1", "block"),
    ("def f(x):\n    y = 1\n    |", "block"),
    ("def f(x):\n    y = 1\n|\n    return y", "block"),
    ("def f(x):\n    if x:\n        y = 1\n    |\n    return y", "block"),
    ("class A:\n    def f(self):\n        pass\n\n|\n    def g(self):\n        pass", "block"),
    ("def f(x):\n    y = 1\n|", "line"),
    ("def f(x):\n    y = 1\n\n|\n\ndef g(): pass", "line"),
    ("x = 1\n|", "line"),
    ("x = 1\n    |", "line"),
    # colons and brackets that open no block
    ("values: |", "line"),
    ("match: |", "line"),
    ("default:|", "line"),
    ("x = {'a':|", "line"),
    ("x = {\n    'else':|", "line"),
    ("x = rows[1:|", "line"),
    ("x = rows[\n    if_:|", "line"),
    ("x = lambda a:|", "line"),
    ("f(key=lambda a:|", "line"),
    ("def f(\n    x:|", "line"),
    ("x = {|", "line"),
    ("x = [|", "line"),
    ("# for example:|", "line"),
    ("x = 'if a:|", "line"),
    ("'''\nif a:|", "line"),
    ("begin = 1\nx = begin|", "line"),
    # lists
    ("x = {\n    |", "block"),
    ("x = {\n    'a': 1,\n    |", "line"),
    ("x = f(\n    |", "block"),
    ("def f():\n    x = f(\n        1,\n        |\n    )\n", "line"),
    ("def f():\n    x = [\n        # the first\n        |\n    ]\n", "line"),
    ("def f(\n    *args,\n    |", "line"),
    ("x = (a\n    % b\n    |", "line"),
    # texts
    ('def f():\n    """Adds.\n    |\n    """', "line"),
    ('def f():\n    """Adds."""\n    |', "block"),
    ("def f():\n    x = '''\n    a\n    |\n    '''", "line"),
    # comments
    ("# adds two numbers|", "line"),
    ("# adds two numbers\n|", "block"),
    ("# adds two numbers\n\n|", "block"),
    ("# adds two numbers\n# and more\n|\nx = 1", "block"),
    ("# TODO: read the file here\n|", "block"),
    ("# returns x if it is there\n|", "block"),
    ("# x = 1 means that it is off\n|", "block"),
    ("# x = compute(y)\n|", "line"),
    ("# print(x)\n|", "line"),
    ("# import os\n|", "line"),
    ("# if x:\n#     return y\n|", "line"),
    ("# ----------\n|", "line"),
    ("# ----- helpers -----\n|", "line"),
    ("# ==========\n# helpers\n# ==========\n|", "line"),
    ("##########\n|", "line"),
    ("#!/usr/bin/env python\n|", "line"),
    ("# -*- coding: utf-8 -*-\n|", "line"),
    ("# type: ignore\n|", "line"),
    ("# noqa: E501\n|", "line"),
    ("# region\n|", "line"),
    ("#\n|", "line"),
    ("# Copyright 2020 Somebody\n# Do what you like.\n|", "line"),
    ("# SPDX-License-Identifier: MIT\n|", "line"),
    ("# Permission is granted\n# under this License\n#\n# and so on\n\n|", "line"),
    # something follows
    ("def f(x|):", "line"),
    ("print(|)", "line"),
    ("def f(x):|  # why", "line"),
]


@pytest.mark.parametrize(("marked", "expected"), PYTHON)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_python(marked: str, expected: str, line_break: str) -> None:
    assert amount(marked.replace("\n", line_break), "a.py") == expected


@pytest.mark.parametrize(
    ("name", "marked", "expected"),
    [
        # a header with an empty body, and the same brace of a literal
        ("a.js", "function f() {|", "block"),
        ("a.js", "function f() {|\n}\nx()", "block"),
        ("a.js", "function f() {|\n  return 1;\n}", "line"),
        ("a.js", "const f = async ({a, b}) => {|", "block"),
        ("a.js", "const f = () =>|", "block"),
        ("a.js", "items.map(item => {|", "block"),
        ("a.js", "class A extends B {|", "block"),
        ("a.js", "} else {|", "block"),
        ("a.js", "switch (x) {\n  case 1:|", "block"),
        ("a.js", "const a = {|", "line"),
        ("a.js", "call({|", "line"),
        ("a.js", "return {|", "line"),
        ("a.js", "export default {|", "line"),
        ("a.js", "import {|", "line"),
        ("a.js", "const {|", "line"),
        ("a.js", "const a = {\n  default:|", "line"),
        ("a.js", "x = a ?\n  b :|", "line"),
        ("a.js", "const s = `${|", "line"),
        ("a.js", "// for (x of y) {|", "line"),
        ("a.js", "what.to.do|", "line"),
        ("a.ts", "interface A {|", "block"),
        ("a.ts", "type A = {|", "line"),
        ("a.ts", "export class A<T> {\n  f(a: {x: number}): void {|", "block"),
        ("a.ts", "function f(): {|", "line"),
        ("a.tsx", "return <div>{|", "line"),
        ("a.tsx", "const a = (\n  <ul>\n    |\n  </ul>\n);\n", "block"),
        ("a.tsx", "const a = (\n  <ul>\n    <li>x</li>\n    |\n", "block"),
        ("a.js", "const a = (\n  <ul>\n    {b}\n    |\n  </ul>\n);\n", "block"),
        ("a.tsx", "const a = (\n  <ul\n    b={1}\n    |\n  />\n);\n", "line"),
        ("a.ts", "f(\n  a,\n  |\n);\n", "line"),
        ("a.java", "class A {\n  void f() {|", "block"),
        ("a.java", "class A {\n  int[] a = {|", "line"),
        ("a.java", "class A { void f() { rows.forEach(r -> {|", "block"),
        ("a.java", "class A { void f() { switch (x) {\n  default:|", "block"),
        ("a.go", "func f() {|", "block"),
        ("a.go", "type T struct {|", "block"),
        ("a.go", "x := T{|", "line"),
        ("a.go", "m := map[string]int{|", "line"),
        ("a.go", "if x := f(); x {|", "block"),
        ("a.rs", "fn f<'a>(x: &'a str) -> &'a str {|", "block"),
        ("a.rs", "impl A for B {|", "block"),
        ("a.rs", "fn f() { let a = A {|", "line"),
        ("a.rs", "use a::{|", "line"),
        ("a.rs", "fn f() { match x {|", "block"),
        ("a.rs", "fn f() { match x { Some(y) =>|", "block"),
        ("a.c", "int f(void) {|", "block"),
        ("a.c", "int f(void)\n{|", "block"),
        ("a.c", "int a[] = {|", "line"),
        ("a.c", "switch (x) {\ncase 1:|", "block"),
        ("a.cpp", "void A::f() const {|", "block"),
        ("a.cpp", "namespace n {|", "block"),
        ("a.cpp", "auto v = std::vector<int>{|", "line"),
        ("a.cpp", "auto l = [&](int a) {|", "block"),
        ("a.cpp", "class A {\npublic:|", "line"),
        ("a.cs", "class A\n{\n    void F()\n    {|", "block"),
        ("a.cs", "class A { void F() { var x = new Foo {|", "line"),
        ("a.cs", "class A { void F() { foreach (var x in y) {|", "block"),
        ("a.cs", "class A { void F() { rows.Select(x => {|", "block"),
        ("a.kt", "fun f() {|", "block"),
        ("a.kt", "rows.map {|", "block"),
        ("a.php", "$x = [|", "line"),
        ("a.rb", "rows.each do|", "block"),
        ("a.lua", "if x then|", "block"),
        ("a.sh", "for x in *; do|", "block"),
        ("a.json", '"a": {|', "line"),
        # positions are code points, the parser's are bytes
        ("a.js", "const é = '日本語🦜';\nconst a = {|", "line"),
        ("a.js", "const é = '日本語🦜';\nfunction ü() {|", "block"),
        ("a.js", "/* 🦜🦜🦜 */ f(({ä}) => {\n  |\n})", "block"),
        # an empty line inside a body, whatever follows and however it is indented
        ("a.js", "function f() {\n  x();\n  |\n}", "block"),
        ("a.js", "function f() {\n  x();\n|\n  y();\n}", "block"),
        ("a.js", "class A {\n  f() {}\n\n  |\n}", "block"),
        ("a.js", "x();\n|", "line"),
        ("a.js", "const a = {\n  |\n};", "block"),
        ("a.js", "const a = {\n  b: 1,\n  |\n};", "line"),
        ("a.js", "call(\n  a,\n  |\n);", "line"),
        ("a.js", "function f() {\n  const s = `\n  |\n`;\n}", "line"),
        ("a.js", "if (/[\"']/.test(x)) {\n  |\n}", "block"),
        ("a.ts", "enum E {\n  A,\n  |\n}", "line"),
        ("a.ts", "interface A {\n  a: number;\n  |\n}", "block"),
        ("a.java", "class A {\n  int x;\n\n  |\n\n  void f() {}\n}", "block"),
        ("a.java", 'class A {\n  String s = """\n    a\n    |\n    """;\n}', "line"),
        ("a.go", "func f() {\n\tx()\n\t|\n}", "block"),
        ("a.go", 'import (\n\t"fmt"\n\t|\n)', "line"),
        ("a.rs", "fn f<'a>(x: &'a str) {\n    let c = '\"';\n    |\n}", "block"),
        ("a.rs", "let a = A {\n    b: 1,\n    |\n};", "line"),
        ("a.c", "int f(void)\n{\n    int x;\n    |\n    return x;\n}", "block"),
        ("a.cpp", "namespace n {\n|\n}", "block"),
        ("a.cpp", "namespace n {\nint x;\n|\n}", "line"),
        ("a.cpp", "class A {\n public:\n  int x;\n  |\n};", "block"),
        ("a.cs", "namespace N\n{\n    class A\n    {\n        int x;\n        |\n    }\n}", "block"),
        ("a.cs", "class A\n{\n    void F()\n    {\n        |\n    }\n}", "block"),
        ("a.cs", 'class A {\n    string p = @"c:\\";\n    |\n}', "block"),
        ("a.kt", "fun f() {\n    x()\n    |\n}", "block"),
        ("a.kt", "val x = listOf(\n    1,\n    |\n)", "line"),
        ("a.rb", "def f\n  x\n  |\nend", "block"),
        ("a.lua", "local function f()\n  x()\n  |\nend", "block"),
        # comments
        ("a.js", "// for (x of y) {\n|", "line"),
        ("a.js", "// adds two numbers\n|", "block"),
        ("a.js", "/**\n * Adds.\n * @returns the sum\n */\n|", "block"),
        ("a.js", "/*\n * Adds.\n |", "line"),
        ("a.js", "// x();\n|", "line"),
        ("a.js", "// const x = 1\n|", "line"),
        ("a.js", "// eslint-disable-next-line\n|", "line"),
        ("a.ts", "// @ts-expect-error\n|", "line"),
        ("a.ts", "/* Copyright (c) Somebody */\n|", "line"),
        ("a.js", "//////////////\n|", "line"),
        ("a.js", "/*************/\n|", "line"),
        ("a.go", "//go:build linux\n|", "line"),
        ("a.go", "// Sum adds two numbers.\n|", "block"),
        ("a.rs", "/// Adds two numbers.\n|", "block"),
        ("a.rs", "#[derive(Debug)]\n|", "line"),
        ("a.c", "#include <stdio.h>\n|", "line"),
        ("a.c", "#define A 1\n|", "line"),
        ("a.cs", "#region helpers\n|", "line"),
        ("a.cs", "/// <summary>Adds.</summary>\n|", "block"),
        ("a.lua", "-- adds two numbers\n|", "block"),
        ("a.lua", "---------------\n|", "line"),
        ("a.sql", "-- counts the rows by day\n|", "block"),
        ("a.html", "<!-- the list of names -->\n|", "block"),
        ("a.el", ";; adds two numbers\n|", "block"),
        ("a.rb", "# frozen_string_literal: true\nx = 1\n|", "line"),
    ],
)
def test_every_language(name: str, marked: str, expected: str) -> None:
    assert amount(marked, name) == expected


LONG = {
    "a.java": (
        "class A {\n",
        "  int f{}(int a) {{\n    if (a > 1) {{\n      return g(a);\n    }}\n    return a;\n  }}\n\n",
    ),
    "a.ts": ("export class A {\n", "  f{}(a: number): number {{\n    const m = {{ x: a }};\n    return m.x;\n  }}\n\n"),
    "a.cs": (
        "class A {\n",
        "  int F{}(int a) {{\n    if (a > 1) {{\n      return G(a);\n    }}\n    return a;\n  }}\n\n",
    ),
    "a.rs": (
        "impl A {\n",
        "    fn f{}<'a>(&'a self, a: i32) -> i32 {{\n        let m = M {{ x: a }};\n        m.x\n    }}\n\n",
    ),
    "a.cpp": (
        "class A {\n",
        "  int f{}(int a) const {{\n    if (a > 1) {{\n      return g(a);\n    }}\n    return a;\n  }}\n\n",
    ),
    "a.py": ("class A:\n", '    def f{}(self, a):\n        """Adds."""\n        x = {{"a": a}}\n        return x\n\n'),
}


@pytest.mark.parametrize("name", LONG)
def test_far_below_the_head_of_a_type_members_and_bodies_are_still_known(name: str) -> None:
    head, member = LONG[name]
    text = head + "".join(member.format(number) for number in range(400))
    indent = " " * (len(member) - len(member.lstrip()))
    assert amount(f"{text}{indent}|\n}}\n", name) == "block"
    first = member.format(9).split("\n", 1)[0]
    assert amount(f"{text}{first}|\n", name) == "block"
    assert amount(f"{text}{first}\n{indent * 2}x();\n{indent * 2}|\n", name) == "block"
    assert amount(f"{text}{first}\n{indent * 2}x = f(\n{indent * 3}1,\n{indent * 3}|\n", name) == "line"


@pytest.mark.parametrize("name", ["a.py", "a.ts", "a.cs", "a.rs", "a.go", "a.rb", "x"])
def test_the_length_of_a_file_does_not_matter(name: str) -> None:
    """What is looked at is bounded, however long the lines are."""
    language = language_of(name)
    for text in ("x" * 500_000, "{ " * 50_000, "'" * 50_000, "\n" * 20_000, "a = 1\n" * 80_000):
        enclosing(text, language.grammar, language.comment)
        assert amount(text + "\n|", name) in ("line", "block")


PIECES = (
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\n",
    "\n    ",
    '"',
    "'",
    "`",
    '"""',
    "/*",
    "*/",
    "//",
    "#",
    ":",
    "=>",
    "\\",
    "if x",
    "é",
    "🦜",
    "\ud800",
    "\r",
)


def texts() -> Iterator[str]:
    yield from ("a.py", "a.js", "a.ts", "a.java", "a.go", "a.rs", "a.c", "a.cpp", "a.cs", "a.rb", "a.html", "x")


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from(list(texts())), st.integers(0, 60))
def test_no_text_is_too_odd(pieces: list[str], name: str, at: int) -> None:
    text = "".join(pieces)
    offset = min(at, len(text))
    document = DocumentSnapshot("file:///x", text, "", 1, name)
    assert how_much(document, offset, surroundings(text, offset)) in ("line", "block")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("x = 1", True),
        ("self.total += price * count", True),
        ("a, b = b, a", True),
        ("foo.bar(1, g(2))", True),
        ("return x", True),
        ("from a import b", True),
        ("for x in y:", True),
        ("let x = 1", True),
        ("int x;", True),
        ("} else {", True),
        ("adds two numbers", False),
        ("Adds two numbers (see below)", False),
        ("return the sum of both", False),
        ("import the names first", False),
        ("if it is there, take it", False),
        ("for example: a list", False),
        ("x: the place", False),
        ("Note: nothing else is done here", False),
        ("a = b holds for all rows", False),
        ("class of things", False),
        ("pass the value on", False),
    ],
)
def test_prose_is_told_from_code_that_was_commented_out(content: str, code: bool) -> None:
    assert looks_like_code(content) is code
