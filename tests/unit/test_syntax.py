"""Syntax over all grammars: places, headers, definitions, imports; with CRLF, lone CR and astral characters."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.syntax import definitions, imported_names, in_comment_or_string, parse

GRAMMARS = ["python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp", "csharp"]

PIECES = [*"(){}\"'`#\r\n😀é\ud800\x00 :x", "\r\n", "//", "/*", "    ", "def ", "class A", "import a"]


def at(marked: str) -> tuple[str, int]:
    """A text whose cursor is the first bar."""
    return marked.replace("|", "", 1), marked.index("|")


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_every_grammar_parses(grammar: str) -> None:
    tree = parse("x", grammar)
    assert tree is not None
    assert tree.root_node.end_byte == 1


def test_an_unknown_grammar_knows_nothing() -> None:
    assert parse("x", "cobol") is None
    assert in_comment_or_string("# x", 2, "cobol") is None
    assert definitions("x", "cobol") == []
    assert imported_names("x", "cobol") == []


@pytest.mark.parametrize(
    ("grammar", "marked", "expected"),
    [
        ("python", 'x = "ab|c"\n', "string"),
        ("python", 'x = "abc"|\n', None),
        ("python", "x = 1  # ab|c\n", "comment"),
        ("python", "x = 1  # abc|\n", "comment"),
        ("python", "# abc\n|x", None),
        ("python", 'f"a{b|}c"', None),
        ("python", 'f"a{b}|c"', "string"),
        ("python", 'x = "abc|\ny = 1\n', "string"),
        ("python", 'def f():\n    """doc |\n    """\n', "string"),
        ("python", "|# a", None),
        ("javascript", "f(`a${b|}c`)", None),
        ("javascript", "f(`a${b}c|`)", "string"),
        ("javascript", "const x = 'a // b|'", "string"),
        ("javascript", "const x = 'abc|\nfoo()", "string"),
        ("typescript", "/* a |*/ let x", "comment"),
        ("typescript", "/* a */| let x", None),
        ("tsx", 'const a = <div className="a|b"/>', "string"),
        ("java", "class A { /** doc | */ int x; }", "comment"),
        ("java", 'class A {\n  String s = "a|\n}\n', "string"),
        ("go", "package p\nvar s = `a|b`\n", "string"),
        ("go", "package p // abc|\nvar s = 1\n", "comment"),
        ("rust", "/// doc|\nfn f() {}\n", "comment"),
        ("rust", "/// doc\n|fn f() {}\n", None),
        ("rust", 'fn f() { g("a|"); }', "string"),
        ("c", 'char *s = "a|";', "string"),
        ("c", "#include <std|io.h>\n", "string"),
        ("cpp", 'auto s = R"(a|b)";', "string"),
        ("cpp", "int x; // é 😀 |\n", "comment"),
        ("csharp", 'class A { string s = $"a{x|}b"; }', None),
        ("csharp", 'class A { string s = @"a|b"; }', "string"),
    ],
)
def test_comment_string_or_code(grammar: str, marked: str, expected: str | None) -> None:
    text, offset = at(marked)
    assert in_comment_or_string(text, offset, grammar) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_astral_characters_and_line_ends_do_not_shift_places(end: str) -> None:
    text, offset = at(end.join(["s = '😀😀é'", "def f(a,", "      b):", "    # 😀 |", "    return s", ""]))
    assert in_comment_or_string(text, offset, "python") == "comment"
    assert [(d.name, d.start_line, d.end_line) for d in definitions(text, "python")] == [("s", 1, 1), ("f", 2, 5)]


DEFINITIONS = {
    "python": (
        "A: int = 3\n@dec\nasync def f(x):\n    def inner(): pass\n    return x\nif T:\n    def g(): pass\n"
        "class B(C):\n    z, y = 1, 2\n    def m(self):\n        self.q = 1\n",
        "variable A 1 1; function f 2 5; function g 7 7; class B 8 11; field z 9 9; field y 9 9; method m 10 11",
    ),
    "javascript": (
        "export default class Foo {\n  m(a) { return 1 }\n  f = () => 3\n}\nexport const g = (a) => 1, h = 2;\n"
        "const fs = require('fs');\nfunction k() {\n}\n",
        "class Foo 1 4; method m 2 2; method f 3 3; function g 5 5; variable h 5 5; function k 7 8",
    ),
    "typescript": (
        "export interface I<T> {\n  a: string;\n  m(x: number): void\n}\nexport type U = A | B;\nenum E { X }\n"
        "namespace N { export function f(): void {} }\nabstract class C { private x = 1; abstract q(): void }\n",
        "interface I 1 4; field a 2 2; method m 3 3; type U 5 5; enum E 6 6; function f 7 7; class C 8 8; field x 8 8; "
        "method q 8 8",
    ),
    "tsx": ("export function App(p: P) {\n  return <div/>;\n}\n", "function App 1 3"),
    "java": (
        "public class Foo {\n  private int x = 1, y;\n  Foo(int a) { }\n  <T> List<T> m(int a) { return null; }\n}\n"
        "interface In { void q(); }\nenum En { A, B; void f(){} }\nrecord R(int a) { }\n",
        "class Foo 1 5; field x 2 2; field y 2 2; method Foo 3 3; method m 4 4; interface In 6 6; method q 6 6; "
        "enum En 7 7; constant A 7 7; constant B 7 7; method f 7 7; class R 8 8",
    ),
    "go": (
        "package p\nconst A, B = 1, 2\nvar v int\ntype T struct {\n\tx int\n}\ntype (\n\tI interface { M(a int) }\n)\n"
        "func F(a int) error {\n\treturn nil\n}\nfunc (t *T) N() {}\n",
        "constant A 2 2; constant B 2 2; variable v 3 3; type T 4 6; field x 5 5; type I 8 8; method M 8 8; "
        "function F 10 12; method N 13 13",
    ),
    "rust": (
        "mod m { pub fn g() {} }\npub struct S<T> { a: i32 }\nenum En { A, B(i32) }\ntrait Tr { fn q(&self); }\n"
        "impl<T> Tr for S<T> {\n  fn q(&self) { }\n}\nconst C: i32 = 1;\nmacro_rules! mm { () => {} }\npub fn f() {}\n",
        "function g 1 1; class S 2 2; field a 2 2; enum En 3 3; constant A 3 3; constant B 3 3; interface Tr 4 4; "
        "method q 4 4; method q 6 6; constant C 8 8; macro mm 9 9; function f 10 10",
    ),
    "c": (
        "#ifndef H\n#define MAX(a,b) a\nstruct S { int a; };\ntypedef struct { int x; } T;\ntypedef int (*fp)(int);\n"
        "enum E { A, B };\nint *f(int a);\nstatic int g(void) {\n  return 1;\n}\nint v = 3, *w;\nstruct S s;\n#endif\n",
        "macro MAX 2 2; class S 3 3; field a 3 3; type T 4 4; field x 4 4; type fp 5 5; enum E 6 6; constant A 6 6; "
        "constant B 6 6; function f 7 7; function g 8 10; variable v 11 11; variable w 11 11; variable s 12 12",
    ),
    "cpp": (
        "namespace n {\ntemplate <typename T>\nclass C : public B {\npublic:\n  ~C() {}\n  int m(int a) const;\n"
        "  int x;\n};\nint C<T>::k(int a) const { return 1; }\nusing V = int;\nint &r(int a) { return a; }\n}\n",
        "class C 2 8; method ~C 5 5; method m 6 6; field x 7 7; function k 9 9; type V 10 10; function r 11 11",
    ),
    "csharp": (
        "namespace N {\npublic class C<T> : B {\n  int x = 1;\n  public string P { get; set; }\n  public C(int a) {}\n"
        "  int M(int a) { return 1; }\n}\ninterface I { void F(); }\nenum E { A }\nrecord R(int a);\n}\n",
        "class C 2 7; field x 3 3; field P 4 4; method C 5 5; method M 6 6; interface I 8 8; method F 8 8; enum E 9 9; "
        "constant A 9 9; class R 10 10",
    ),
}


@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_definitions(grammar: str, end: str) -> None:
    text, expected = DEFINITIONS[grammar]
    found = definitions(text.replace("\n", end), grammar)
    assert "; ".join(f"{d.kind} {d.name} {d.start_line} {d.end_line}" for d in found) == expected


@pytest.mark.parametrize(
    ("grammar", "text", "expected"),
    [
        ("python", "import os.path as p, sys\nfrom .a.b import (c as d, e)\nfrom x import *\n", "path p sys c d e"),
        ("javascript", 'import X, {a as b} from "m";\nimport * as ns from "q";\nimport "z";\n', "X a b ns"),
        ("javascript", 'const {r, s: t} = require("x");\nconst q = require("y");\nconst w = f("y");\n', "r s t q"),
        ("typescript", 'import type {A} from "m";\nimport fs = require("fs");\n', "A fs"),
        ("tsx", 'import React, {useState} from "react";\n', "React useState"),
        ("java", "import a.b.C;\nimport static x.Y.z;\nimport q.w.*;\n", "C z"),
        ("go", 'package p\nimport (\n f "fmt"\n . "os"\n "e.org/y/v2"\n "gopkg.in/yaml.v3"\n)\n', "f y yaml"),
        ("rust", "use a::b::{self, C, D as E, f::*};\nuse std::io;\nextern crate serde;\n", "b C D E io serde"),
        ("c", '#include "foo/bar.h"\n#include <stdio.h>\n', "bar"),
        ("cpp", '#include "a.hpp"\nusing std::string;\nusing namespace std;\n', "a string"),
        ("csharp", "using System;\nusing A = B.C;\nusing static X.Y;\n", "System A C Y"),
    ],
)
def test_imported_names(grammar: str, text: str, expected: str) -> None:
    assert imported_names(text, grammar) == expected.split()


@pytest.mark.parametrize("grammar", GRAMMARS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_text_and_place_is_answered(grammar: str, data: st.DataObject) -> None:
    text = "".join(data.draw(st.lists(st.sampled_from(PIECES), max_size=25)))
    offset = data.draw(st.integers(0, len(text)))
    assert in_comment_or_string(text, offset, grammar) in ("comment", "string", None)
    imported_names(text, grammar)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(1 <= d.start_line <= d.end_line <= lines for d in definitions(text, grammar))


def test_importing_the_module_does_not_load_tree_sitter() -> None:
    code = "import sys, aix_lsp.syntax; print('tree_sitter' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
