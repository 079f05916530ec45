"""Making generated text fit its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.policy import surroundings
from aix_lsp.completion.postprocess import RULES, Place, fit, line_break_of
from aix_lsp.types import Amount


def place(marked: str, amount: Amount = "line") -> Place:
    """The place of the `|` in a text."""
    offset = marked.index("|")
    text = marked.replace("|", "", 1)
    return Place(surroundings(text, offset), text[offset:], amount, 20, line_break_of(text))


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
        # what the next lines say already is not said again
        ("def f():\n    |\n    return x\n", "x = 1\n    return x", "x = 1"),
        ("x = |\ny = 2\n", "1\ny = 2", "1"),
        # indentation that was typed already
        ("def f():\n    |\n", "    return 1", "return 1"),
        ("def f():\n\t|\n", "\treturn 1", "return 1"),
        ("x = |\n", "1   ", "1"),
        ("x = |\n", "1\N{REPLACEMENT CHARACTER}", "1"),
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


def test_rules_that_changed_something_are_named() -> None:
    assert fit("a)  ", place("f(|)")).changes == ("drop what follows already",)
    assert fit("a", place("f(|)")).changes == ()


def test_the_line_break_of_a_document_is_that_of_its_first_line() -> None:
    assert [line_break_of(text) for text in ("a\r\nb\n", "a\rb", "a", "a\nb\r\n")] == ["\r\n", "\r", "\n", "\n"]


code = st.text(st.sampled_from("ab(){}[]\"' \n\t:,.=\r"), max_size=40)


@given(code, code, code, st.sampled_from(["line", "block"]))
def test_fitting_twice_changes_nothing_more(before: str, after: str, generated: str, amount: Amount) -> None:
    text = before + after
    there = Place(surroundings(text, len(before)), after, amount, 20, line_break_of(text))
    once = fit(generated, there).text
    assert fit(once, there).text in (once, "")


@given(code, code, code, st.sampled_from(["line", "block"]))
def test_no_rule_invents_text(before: str, after: str, generated: str, amount: Amount) -> None:
    """An offer is a part of what the model wrote, but for its line breaks."""
    text = before + after
    there = Place(surroundings(text, len(before)), after, amount, 20)
    for rule in RULES:
        result = rule(generated, there)
        assert "".join(result.split()) in "".join(generated.split())
