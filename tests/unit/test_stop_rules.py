"""The papers' ways of ending an answer, on examples worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.evaluation.benchmark import Sample, StopRule
from aix_lsp.evaluation.stop_rules import Rule, rule_for


def rule(stop: StopRule, language: str = "python", before: str = "", **extra: Any) -> Rule:
    return rule_for(Sample("one", language, "", "one.py", before, "", "", stop=stop, extra=extra))


def test_a_line_ends_at_its_first_break_whatever_that_is() -> None:
    line = rule("line")
    assert line.cut("return 1\nreturn 2") == "return 1"
    assert line.cut("return 1\r\nreturn 2") == "return 1"
    assert line.cut("return 1") == "return 1"
    assert line.cut("\nreturn 1") == ""
    assert not line.stop("return 1")
    assert line.stop("return 1\n")


def test_the_end_is_the_models_own() -> None:
    end = rule("end")
    assert end.cut("a\n\n\nb") == "a\n\n\nb"
    assert not end.stop("a\n\n\nb")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    return 1\n\ndef other():", "    return 1\n"),
        ("    return 1\n# a note", "    return 1"),
        ("    return 1\nclass A:", "    return 1"),
        ("    if x:\n        print(x)\n", "    if x:\n        print(x)\n"),
        ("    return 1\nif __name__", "    return 1"),
        ("\nprint(1)", ""),
    ],
)
def test_a_function_ends_before_the_next_thing_at_the_margin(text: str, kept: str) -> None:
    function = rule("function")
    assert function.cut(text) == kept
    assert function.stop(text) == (kept != text)


def test_a_problem_may_bring_its_own_stop_words() -> None:
    java = rule("function", "java", stop_tokens=["\n    }\n", "\nclass"])
    assert java.cut("return 1;\n    }\n}") == "return 1;"
    assert not java.stop("return 1;\n    }")
    with pytest.raises(ValueError, match="stop_tokens is no list of texts"):
        rule("function", "java", stop_tokens="\n}")


def test_a_function_of_another_language_ends_with_the_bracket_around_it() -> None:
    assert rule("function", "javascript").cut("return {a: 1};\n}\nconsole.log(1)") == "return {a: 1};\n"


def test_brackets_in_strings_and_comments_close_nothing() -> None:
    brackets = rule("brackets", "java")
    text = 'f("}"); // }\nif (a) { g(); }\n'
    assert brackets.cut(text) == text
    assert not brackets.stop(text)
    assert brackets.cut(text + "} rest") == text
    assert brackets.stop(text + "}")
    assert rule("brackets", "python").cut("1, [2], 3)\nnext") == "1, [2], 3"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("size() > 0) {\n    x();", "size() > 0) {"),
        ("get(name);\nnext();", "get(name);"),
        ("a, b) }", "a, b) }"),
        ('print(";");', 'print(";'),  # as the paper's code does, which looks into no strings
        ("get(name)", "get(name)"),
        ("; get(name);", "; get(name);"),  # nor does it cut where the very first sign would
    ],
)
def test_a_statement_of_a_language_with_brackets_ends_at_its_first_sign(text: str, kept: str) -> None:
    for language in ("java", "csharp", "typescript"):
        statement = rule("statement", language)
        assert statement.cut(text) == kept
        assert statement.stop(text) == (text[:1] != ";" and text != "get(name)")


BEFORE = "import os\n\n\ndef names(folder):\n    found = "


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("os.listdir(folder)\n    return found\n", "os.listdir(folder)"),
        (
            "sorted(\n        os.listdir(folder)\n    )\n    return found\n",
            "sorted(\n        os.listdir(folder)\n    )",
        ),
        ("os.listdir(folder)   \n", "os.listdir(folder)"),
        ("os.listdir(folder", "os.listdir(folder"),
        ("os.listdir(folder\n", "os.listdir(folder\n"),
    ],
)
def test_a_statement_of_python_ends_where_the_file_so_far_has_no_error(text: str, kept: str) -> None:
    statement = rule("statement", before=BEFORE)
    assert statement.cut(text) == kept
    assert statement.stop(text) == (kept != text)


def test_a_file_with_an_error_before_the_place_is_never_cut() -> None:
    statement = rule("statement", before="x = = 1 ]\n")
    assert statement.cut("y = 1\nz = 2\n") == "y = 1\nz = 2\n"


def test_an_unknown_rule_is_one_line() -> None:
    with pytest.raises(ValueError, match="one: there is no stop rule 'paragraph'"):
        rule("paragraph")  # type: ignore[arg-type]


RULES: list[tuple[StopRule, str]] = [
    ("line", "python"),
    ("statement", "python"),
    ("statement", "java"),
    ("function", "python"),
    ("brackets", "java"),
    ("end", "python"),
]


@given(
    which=st.sampled_from(RULES),
    text=st.text(alphabet="ab(){};\n\r\"' =:#/", max_size=40),
    more=st.text(alphabet="ab(){};\n\r\"' =:#/", max_size=20),
)
def test_what_stops_an_answer_is_cut_the_same_however_much_followed(
    which: tuple[StopRule, str], text: str, more: str
) -> None:
    stop, language = which
    one = rule(stop, language, before="a = ")
    if one.stop(text):
        assert one.cut(text + more) == one.cut(text)
    assert text.startswith(one.cut(text))
