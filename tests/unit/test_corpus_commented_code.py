"""Blocks of commented-out code, and whether a file parses: over nine languages and over real files."""

from __future__ import annotations

import inspect
import json
import random
import textwrap
import typing
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp import syntax
from aix_lsp.syntax_queries import COMMENTS
from aix_lsp.training.corpus import commented_code, privacy_names
from aix_lsp.training.corpus.commented_code import drop_commented_code
from aix_lsp.training.corpus.parsing import parses_cleanly

# A file with a place for lines inside a function, and code that could stand there.
FILES = {
    "python": ("def f(x):\n{}    return x\n", "if x:\n    g(x)\nh = 3\n"),
    "javascript": ("function f(x) {{\n{}  return x;\n}}\n", "const a = g(x);\nif (a) {\n  return a;\n}\n"),
    "typescript": ("function f(x: number) {{\n{}  return x;\n}}\n", "const a: T = g(x);\nif (a) {\n  return a;\n}\n"),
    "tsx": ("const f = (x) => {{\n{}  return <p>{{x}}</p>;\n}};\n", "const a = g(x);\nif (a) {\n  return <p/>;\n}\n"),
    "java": ("class A {{\n int f(int x) {{\n{}  return x;\n}} }}\n", "int a = g(x);\nif (a > 1) {\n  return a;\n}\n"),
    "go": ("package a\n\nfunc f(x int) int {{\n{}\treturn x\n}}\n", "a := g(x)\nif a > 1 {\n\treturn a\n}\n"),
    "rust": ("fn f(x: i32) -> i32 {{\n{}  x\n}}\n", "let a = g(x);\nif a > 1 {\n  return a;\n}\n"),
    "c": ("int f(int x) {{\n{}  return x;\n}}\n", "int a = g(x);\nif (a > 1) {\n  return a;\n}\n"),
    "cpp": ("int f(int x) {{\n{}  return x;\n}}\n", "auto a = g<int>(x);\nif (a > 1) {\n  return a;\n}\n"),
    "csharp": ("class A {{\n int F(int x) {{\n{}  return x;\n}} }}\n", "var a = G(x);\nif (a > 1) {\n  return a;\n}\n"),
}
PROSE = (
    "This is fine, and so is that.\nnote: the value\nsee also\nfoo bar (baz), then stop;\nReturn the result\n"
    "Note: it may be None\nif you like that\nwords\n"
)


def commented(grammar: str, code: str, indent: str = "  ") -> str:
    mark = "#" if grammar == "python" else "//"
    return "".join(f"{indent}{mark} {line}".rstrip() + "\n" for line in code.splitlines())


def drop(text: str, grammar: str, **options: float) -> tuple[str, int]:
    return drop_commented_code(text, grammar, random.Random(3), **{"share": 1.0, **options})  # type: ignore[arg-type]


def tokens(text: str, grammar: str) -> list[tuple[str, bytes]]:
    tree = syntax.parse(text, grammar)
    assert tree is not None
    found: list[tuple[str, bytes]] = []
    waiting = [tree.root_node]
    while waiting:
        node = waiting.pop()
        if node.type in COMMENTS:
            continue
        if node.child_count:
            waiting.extend(node.children)
        else:
            found.append((node.type, (node.text or b"").strip()))
    return found


@pytest.mark.parametrize("grammar", FILES)
def test_code_in_line_comments_goes(grammar: str) -> None:
    file, code = FILES[grammar]
    assert drop(file.format(commented(grammar, code)), grammar) == (file.format(""), 1)


@pytest.mark.parametrize("grammar", [name for name in FILES if name != "python"])
def test_code_in_a_block_comment_goes(grammar: str) -> None:
    file, code = FILES[grammar]
    starred = "".join(f" * {line}\n" for line in code.splitlines())
    assert drop(file.format(f"/*\n{code}*/\n"), grammar) == (file.format(""), 1)
    assert drop(file.format(f"/*\n{starred} */\n"), grammar) == (file.format(""), 1)


@pytest.mark.parametrize("grammar", FILES)
def test_prose_stays(grammar: str) -> None:
    file, _ = FILES[grammar]
    for start in range(6):
        text = file.format(commented(grammar, "".join(PROSE.splitlines(keepends=True)[start : start + 3])))
        assert drop(text, grammar) == (text, 0)


@pytest.mark.parametrize("grammar", FILES)
def test_documentation_licences_and_examples_stay(grammar: str) -> None:
    file, code = FILES[grammar]
    for text in (
        commented(grammar, "Licensed as the rest is.\n" + code),
        commented(grammar, "For example:\n" + code),
        commented(grammar, "How to use it:\n\n" + textwrap.indent(code, "    ") + "\nAnd so on.\n"),
        *([] if grammar == "python" else [f"/**\n{code}*/\n", commented(grammar, code).replace("//", "///")]),
    ):
        assert drop(file.format(text), grammar) == (file.format(text), 0)


@pytest.mark.parametrize("grammar", FILES)
def test_prose_above_the_code_stays_when_the_code_goes(grammar: str) -> None:
    file, code = FILES[grammar]
    above = commented(grammar, "It was slow with this.\n")
    below = commented(grammar, code)
    assert drop(file.format(above + below), grammar) == (file.format(above), 1)


def test_members_of_a_class_are_code_where_a_class_is_around_them() -> None:
    method = "@Override\npublic int f(int x) {\n    return x + 1;\n}\n"
    assert drop("class A {\n" + commented("java", method) + "}\n", "java") == ("class A {\n}\n", 1)
    method = "public override int F(int x)\n{\n    return x + 1;\n}\nprivate int y;\n"
    assert drop("class A {\n" + commented("csharp", method) + "}\n", "csharp") == ("class A {\n}\n", 1)


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        ("python", "# x = 1\n# y = 2\n"),  # too short
        ("python", "x = 1  # a = 1\ny = 2  # b = 2\nz = 3  # c = 3\n"),  # beside code
        ("python", "# pylint: disable=a\n# pylint: disable=b\n# mypy: x=1\n"),
        ("c", "#define A \\\n/* f(1);\n g(2);\n h(3); */ \\\n  x\n"),
        ("go", 'package a\n\n// #include <a.h>\n// int f(void);\n// int g(void);\nimport "C"\n'),
        ("unknown", "# a = 1\n# b = 2\n# c = 3\n"),
    ],
)
def test_what_is_needed_or_small_stays(grammar: str, text: str) -> None:
    assert drop(text, grammar) == (text, 0)


@pytest.mark.parametrize("line_break", ["\r\n", "\r", "\n"])
def test_line_breaks_and_unicode_around_a_block_stay(line_break: str) -> None:
    text = "ä = 'ö 𝄞'\n# a = f(1)\n# b = f(2)\n# c = f(3)\nç = 'é'\n# d = 1".replace("\n", line_break)
    assert drop(text, "python") == ("ä = 'ö 𝄞'\nç = 'é'\n# d = 1".replace("\n", line_break), 1)
    assert drop("# a = f(1)\n# b = f(2)\n# c = f(3)".replace("\n", line_break), "python") == ("", 1)


def test_the_share_is_drawn_block_by_block_and_a_seed_repeats_it() -> None:
    text = "".join(f"# a{number} = f(1)\n# b = f(2)\n# c = f(3)\nx = {number}\n" for number in range(200))
    first = drop_commented_code(text, "python", random.Random(5))
    assert first == drop_commented_code(text, "python", random.Random(5))
    assert first != drop_commented_code(text, "python", random.Random(6))
    assert 165 <= first[1] <= 195
    assert drop(text, "python", share=0.0) == (text, 0)
    assert drop(text, "python", least_lines=4) == (text, 0)


MODULES = (commented_code, privacy_names, json.decoder, typing, random, textwrap, inspect)


@pytest.mark.parametrize("module", MODULES)
def test_real_files_keep_their_tokens(module: ModuleType) -> None:
    source = inspect.getsource(module)
    # half of the definitions are commented out, the rest must not notice
    lines = source.splitlines(keepends=True)
    for start in range(0, len(lines) - 30, 90):
        if not lines[start].strip() or '"""' in "".join(lines[start : start + 8]):
            continue
        lines[start:start] = [f"# {line}" for line in lines[start : start + 8]]
    text = "".join(lines)
    after, count = drop(text, "python")
    assert tokens(after, "python") == tokens(text, "python")
    assert (after == text) == (count == 0)
    assert count or len(lines) < 800


@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.sampled_from(["x = f(1);", "if (x) {", "}", "words here", "", "return x;", "* 3", "é"]), max_size=8),
)
def test_any_comment_leaves_the_other_tokens_as_they_are(grammar: str, lines: list[str]) -> None:
    file, _ = FILES[grammar]
    text = file.format(commented(grammar, "\n".join(lines)))
    after, _ = drop(text, grammar)
    assert tokens(after, grammar) == tokens(text, grammar)


@pytest.mark.parametrize("grammar", FILES)
def test_whole_files_parse_cleanly_and_broken_ones_do_not(grammar: str) -> None:
    file, code = FILES[grammar]
    text = file.format(code if grammar != "python" else textwrap.indent(code, "    "))
    assert parses_cleanly(text, grammar)
    assert parses_cleanly("", grammar)
    assert not parses_cleanly(text + "\n<<<<<<< ours\n)]} 1 x (((\n=======\n", grammar)
    assert not parses_cleanly(text + "x = f((1, \n" * 5, grammar)


def test_macros_in_unusual_places_are_tolerated_in_c_and_cpp_only() -> None:
    rest = "".join(f"int f{number}(int x) {{ return x + {number}; }}\n" for number in range(60))
    text = "class API Foo final : Bar { int x; };\nDECLARE_THING(a)\n" + rest
    assert parses_cleanly(text, "cpp")
    assert not parses_cleanly("class API Foo extends Bar { int x; }\n" + "class B { int y; }\n" * 60, "java")


def test_a_last_line_without_its_end_is_clean() -> None:
    assert parses_cleanly("class A { }\n#pragma warning restore 618", "csharp")


def test_an_unknown_grammar_is_told() -> None:
    with pytest.raises(ValueError, match="no grammar called 'cobol'"):
        parses_cleanly("x", "cobol")
