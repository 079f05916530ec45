"""Making generated text fit its place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.fitting_scan import scan
from aix_lsp.completion.place import Place, line_break_of, surroundings
from aix_lsp.completion.postprocess import RULES, fit
from aix_lsp.types import Amount


def place(marked: str, amount: Amount = "line", unfinished: bool = False, grammar: str | None = "python") -> Place:
    """The place of the `|` in a text."""
    offset = marked.index("|")
    text = marked.replace("|", "", 1)
    return Place(
        surroundings(text, offset), text[offset:], amount, 20, line_break_of(text), unfinished, text[:offset], grammar
    )


@pytest.mark.parametrize(
    ("marked", "generated", "offered"),
    [
        # closing brackets and quotes that are there already are not doubled
        ("f(|)", "a, b)", "a, b"),
        ("f(|)", "g(a))", "g(a)"),
        ("f(|)", "g(a)", "g(a)"),
        ("x = [|]", "1, 2]", "1, 2"),
        ("if f(|):", "a):", "a"),
        ('x = "|"', 'abc"', "abc"),
        ("f(a[|])", "0])", "0"),
        # those that an open bracket before the cursor needs are kept
        ("print(foo(|)", "x))", "x)"),
        ("x = (1 + (2|)", "))", ")"),
        ("print(foo(|)", "bar)", "bar)"),
        ("f(|)", "a) + g(b)", "a) + g(b"),
        ("f([|])", "0)", "0"),
        # quotes are not doubled either
        ('print("|")', 'hello"', "hello"),
        ('print("|")', 'hello")', "hello"),
        ('print("|")', 'hello", end=""', 'hello", end="'),
        ('x = "|"', 'a" + "b"', 'a" + "b'),
        ('x = "|"', '"', ""),
        ('"""|"""', 'Adds."""', "Adds."),
        ("x = '|'", "it\\'s'", "it\\'s"),
        # text behind the bracket that is there already
        ('print(f"{|}")', 'repr(x)!r} is not a valid string"', "repr(x)!r"),
        ("f(|)", "a)  # don't", "a"),
        ("if (|) {", "a) && (b", "a) && (b"),
        # words are the rest of the line only as a whole
        ("return |a", "data", "data"),
        ("return |a", "a", ""),
        ("return |a", "b and a", "b and "),
        ("return |a", "not ", "not "),
        ("ret|urn x", "urn x", ""),
        # what the next lines say already is not said again
        ("def f():\n    |\n    return x\n", "x = 1\n    return x", "x = 1"),
        ("x = |\ny = 2\n", "1\ny = 2", "1"),
        ("if a:\n    |\npass", "pass", "pass"),
        ("f(\n    a,\n    |\n)", ")", ""),
        ("{\n  if (x) {\n    a();\n  |\n}", "}", "}"),
        ("{\n|\n}", "}", ""),
        # indentation that was typed already
        ("def f():\n    |\n", "    return 1", "return 1"),
        ("def f():\n\t|\n", "\treturn 1", "return 1"),
        ("def f():\n    |\n", "        return 1", "return 1"),
        ("    def f():\n    |\n", "    return 1", "    return 1"),
        ("    def f():\n    |\n", "        return 1", "    return 1"),
        ("x = |\n", "1   ", "1"),
        ("x = |\n", "1\N{REPLACEMENT CHARACTER}", "1"),
        ("x = f(|)\n", "1\N{REPLACEMENT CHARACTER}, 2)", "1"),
        # the line above over again
        ("self.x = x\n|", "self.x = x", ""),
        ("x = 1\n|", "x = 2", "x = 2"),
        ("|", "", ""),
    ],
)
def test_what_is_offered(marked: str, generated: str, offered: str) -> None:
    assert fit(generated, place(marked)).text == offered


def test_a_block_keeps_the_documents_line_breaks() -> None:
    fitted = fit("\n    a = 1\n    return a\n", place("def f():|\r\n", "block"))
    assert fitted.text == "\r\n    a = 1\r\n    return a"


@pytest.mark.parametrize(
    ("marked", "generated", "offered"),
    [
        ("function f() {\n  if (x) {|\n}", "\n    a();\n  }", "\n    a();\n  }"),
        ("function f() {\n  if (x) {|\n}", "\n    a();\n  }\n}", "\n    a();\n  }"),
        ("f(\n    g(\n|\n)", "        a,\n    )\n)", "        a,\n    )"),
        ("def f():|\n    return 1\n", "\n    x = 1\n    return 1\n", "\n    x = 1"),
        ("x = f(\n    |\n)\n", "a,\n    b,\n)\n", "a,\n    b,"),
    ],
)
def test_a_block_repeats_no_line_below_but_keeps_its_own_brackets(marked: str, generated: str, offered: str) -> None:
    assert fit(generated, place(marked, "block")).text == offered


@pytest.mark.parametrize(
    ("marked", "generated", "amount", "offered"),
    [
        ("x = f(\n    a|\n)", ", g(", "line", ""),
        ("x = |", "a + b", "line", "a + b"),
        ("x = f(|)", "a, b", "line", "a, b"),
        ("def f():|", "\n    a = 1\n    b = a + lon", "block", "\n    a = 1"),
    ],
)
def test_a_text_that_was_cut_short_loses_its_accidental_end(
    marked: str, generated: str, amount: Amount, offered: str
) -> None:
    assert fit(generated, place(marked, amount, unfinished=True)).text == offered
    if offered:
        assert fit(generated, place(marked, amount)).text == generated


def test_rules_that_changed_something_are_named() -> None:
    assert fit("a)  ", place("f(|)")).changes == ("drop the rest of the line",)
    assert fit("a", place("f(|)")).changes == ()


def test_the_line_break_of_a_document_is_that_of_its_first_line() -> None:
    assert [line_break_of(text) for text in ("a\r\nb\n", "a\rb", "a", "a\nb\r\n")] == ["\r\n", "\r", "\n", "\n"]


code = st.text(st.sampled_from("ab(){}[]\"' \n\t:,.=\r"), max_size=40)


@given(code, code, code, st.sampled_from(["line", "block"]))
def test_fitting_twice_changes_nothing_more(before: str, after: str, generated: str, amount: Amount) -> None:
    text = before + after
    there = Place(surroundings(text, len(before)), after, amount, 20, line_break_of(text), prefix=before)
    once = fit(generated, there).text
    assert fit(once, there).text == once


@given(code, code, code, st.sampled_from(["line", "block"]))
def test_what_is_left_of_an_unfinished_text_is_finished(
    before: str, after: str, generated: str, amount: Amount
) -> None:
    """Fitting twice again, but an offer is unfinished only once: the second time there is no accident to cut off."""
    text = before + after
    there = Place(
        surroundings(text, len(before)), after, amount, 20, line_break_of(text), unfinished=True, prefix=before
    )
    once = fit(generated, there).text
    assert fit(once, replace(there, unfinished=False)).text == once


def without_partner(code: str, grammar: str | None = "python") -> int:
    return scan(code, grammar).unmatched


on_one_line = st.text(st.sampled_from("ab(){}[]\"' ,=."), max_size=30)


@given(on_one_line, on_one_line, on_one_line, st.sampled_from(["line", "block"]))
def test_an_offer_leaves_its_line_no_more_uneven_than_nothing_or_the_whole_text_would(
    before: str, after: str, generated: str, amount: Amount
) -> None:
    there = Place(surroundings(before + after, len(before)), after, amount, 20, prefix=before, grammar="python")
    offer = fit(generated, there).text
    if offer:
        found = without_partner(before + offer + after)
        assert found <= without_partner(before + after)


blanks = st.text(st.sampled_from(" \t\n\r"), max_size=12)


@given(code, code, blanks, st.sampled_from(["line", "block"]))
def test_white_space_alone_is_never_offered(before: str, after: str, generated: str, amount: Amount) -> None:
    text = before + after
    assert fit(generated, Place(surroundings(text, len(before)), after, amount, 20, line_break_of(text))).text == ""


@given(st.text(st.sampled_from(" \t"), max_size=8), st.sampled_from(["line", "block"]))
def test_typed_indentation_is_not_repeated(indent: str, amount: Amount) -> None:
    there = Place(surroundings("x = 1\n" + indent, 6 + len(indent)), "", amount, 20)
    assert fit(indent + "y = 2", there).text == "y = 2"


@given(code, code, code, st.sampled_from(["line", "block"]))
def test_no_rule_invents_text(before: str, after: str, generated: str, amount: Amount) -> None:
    """An offer is a part of what the model wrote, but for its line breaks."""
    text = before + after
    there = Place(surroundings(text, len(before)), after, amount, 20)
    for rule in RULES:
        result = rule(generated, there)
        assert "".join(result.split()) in "".join(generated.split())
