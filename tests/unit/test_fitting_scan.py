"""Brackets and quotes are told from what only looks like them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.fitting_lexis import LINE_COMMENT, tokens
from aix_lsp.completion.fitting_scan import scan, scan_lines
from aix_lsp.languages import language_of

SOURCES = sorted(path for path in Path(__file__).parents[1].joinpath("fixtures", "sources").iterdir() if path.is_file())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_left_open_in_a_whole_file(path: Path) -> None:
    grammar = language_of(path.name).grammar
    assert grammar
    assert scan(path.read_text(encoding="utf-8"), grammar).unmatched == 0


@pytest.mark.parametrize(
    ("grammar", "code", "open_marks"),
    [
        ("python", "f(a[0", ("(", "[")),
        ("python", "x = '(' + \"[\" + f(", ("(",)),
        ("python", "# don't (", (LINE_COMMENT,)),
        ("python", "# don't (\nf(", ("(",)),
        ("python", 'x = "abc', ('"',)),
        ("python", '"""doc (\n\'', ('"""',)),
        ("python", "rb'\\(' (", ("(",)),
        ("python", "f'{a[0", ("f'", "${", "[")),
        ("python", "f'{{ {x:#x} (' + (", ("(",)),
        ("python", 'x = "abc\ny = (', ("(",)),
        ("typescript", "const a = `x ${f(`y ${b}`)} (` + [", ("[",)),
        ("typescript", "x.map((a) => {", ("(", "{")),
        ("typescript", "/[(]/.test(x) && (a / b / c", ("(",)),
        ("typescript", "`${a", ("`", "${")),
        ("tsx", "<p>don't</p>; f(", ("(",)),
        ("tsx", "return <Foo bar={x} on={() => { a(", ("{", "{", "(")),
        ("javascript", "/* it's ( */ f(", ("(",)),
        ("java", "char c = '\"'; char d = '('; {", ("{",)),
        ("java", 'var s = """\n (it\'s\n """ + (', ("(",)),
        ("java", "Map<String, List<String>> m = f(", ("(",)),
        ("go", "a := `(` + '(' + \"(\" + f(", ("(",)),
        ("go", "a := `(\n[", ("raw `",)),
        ("rust", "fn f<'a>(x: &'a str) -> &'a str {", ("{",)),
        ("rust", "let c = '('; let d = '\\''; g(", ("(",)),
        ("rust", 'let s = r#"("("#; [', ("[",)),
        ("rust", "'outer: loop {", ("{",)),
        ("c", "char c = '{'; // don't {\nint f(", ("(",)),
        ("cpp", "int n = 1'000'000; auto s = R\"x( ( )x\"; {", ("{",)),
        ("csharp", '$"a {b(', ('f"', "${", "(")),
        ("csharp", '@"c:\\" + (', ("(",)),
        (None, "it's (fine", ("(",)),
        (None, "echo 'a (' [ # don't (", ("[", LINE_COMMENT)),
    ],
)
def test_what_is_open_at_the_end_of_a_text(grammar: str | None, code: str, open_marks: tuple[str, ...]) -> None:
    assert scan(code, grammar).stack == open_marks


def test_closers_without_an_opener_are_listed_and_what_is_passed_over_is_lost() -> None:
    found = scan("a) [b} (c] d", "python")
    assert found.closers == (")", "}")
    assert (found.lost, found.stack) == (1, ())
    assert found.unmatched == 3


code = st.text(st.sampled_from("ab(){}[]\"'` \n\t:,.=#/\\f$"), max_size=60)
grammars = st.sampled_from(["python", "typescript", "java", "go", "rust", "c", "cpp", "csharp", None])


@given(code, grammars)
def test_every_text_can_be_read(text: str, grammar: str | None) -> None:
    found = scan(text, grammar, steps=True)
    assert found.unmatched >= 0
    assert all(0 <= step.position < len(text) for step in found.steps)
    assert [step.position for step in found.steps] == sorted(step.position for step in found.steps)


@given(st.lists(code.filter(lambda part: "\n" not in part), max_size=6), grammars)
def test_paragraphs_read_one_by_one_are_the_text_read_at_once(parts: list[str], grammar: str | None) -> None:
    text = "\n\n".join(parts)
    whole, kept = scan(text, grammar), scan_lines(text, grammar)
    assert (whole.stack, whole.closers, whole.lost) == (kept.stack, kept.closers, kept.lost)


GRAMMARS = ["python", "javascript", "tsx", "java", "go", "rust", "c", "cpp", "csharp", None]
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [*"()[]{}\"'`#/\\\n\r\t ;-$@*abcrfFRtT01_", '"""', "//", "/*", "*/", 'R"x(', ')x"', 'r#"', "${"]
        ),
        st.text(max_size=3),
    ),
    max_size=30,
).map("".join)


@given(PIECES, st.sampled_from(GRAMMARS), st.booleans())
def test_a_look_at_what_tokens_begin_with_leaves_none_out(code: str, grammar: str | None, line_breaks: bool) -> None:
    pattern = tokens(grammar, line_breaks).pattern
    slow = re.compile(pattern[pattern.index(")(?:") + 1 :], re.MULTILINE)
    found = tokens(grammar, line_breaks).finditer(code)
    assert [(match.span(), match.lastgroup) for match in found] == [
        (match.span(), match.lastgroup) for match in slow.finditer(code)
    ]


@given(PIECES, st.sampled_from(GRAMMARS))
def test_listing_steps_changes_nothing_else(code: str, grammar: str | None) -> None:
    plain, listed = scan(code, grammar), scan(code, grammar, steps=True)
    assert (plain.stack, plain.closers, plain.lost, plain.signs) == (
        listed.stack,
        listed.closers,
        listed.lost,
        listed.signs,
    )
