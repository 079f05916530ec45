"""CodeBLEU on the example of its authors, on examples worked out by hand, and on code that does not parse."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.evaluation.metrics.bleu import smoothed_bleu4
from aix_lsp.evaluation.metrics.codebleu import CodeBleu, codebleu, codebleu_parts, weighted_ngram_match
from aix_lsp.evaluation.metrics.codebleu_flow import data_flow
from aix_lsp.languages import language_of
from aix_lsp.syntax_tree import parsed_text

LANGUAGES = ["python", "java", "cpp", "javascript", "typescript", "typescriptreact", "go", "rust", "c", "csharp"]

# The two examples of CodeBLEU's authors (CodeXGLUE, code-to-code-trans, example.png), spaces as printed there.
WANTED = "public static int Sign ( double d ) { return ( int ) ( ( d == 0 ) ? 0 : ( d < 0 ) ? -1 : 1 ) ; }"
WRONG = "public static int Sign ( double d ) { return ( float ) ( ( d == 0 ) ? 0 : ( c < 0.0 ) ? -1 : 1 ) ; }"
RENAMED = "public static int Sign ( double c ) { return ( int ) ( ( c == 0 ) ? 0 : ( c < 0 ) ? -1 : 1 ) ; }"


def parts_of(text: str, wanted: str, language: str, context: tuple[str, str] = ("", "")) -> CodeBleu:
    parts = codebleu_parts(text, wanted, language, context=context)
    assert parts is not None
    return parts


def flow_of(text: str, language: str) -> list[tuple[int, str, tuple[int, ...]]]:
    grammar = language_of("", language).grammar
    assert grammar is not None
    parsed = parsed_text(text, grammar)
    assert parsed is not None
    return data_flow(parsed, range(len(parsed.data)))


def test_the_authors_example_has_their_bleu() -> None:
    assert smoothed_bleu4(WRONG.split(), WANTED.split()) == pytest.approx(78.46, abs=0.005)


def test_the_authors_example_in_its_other_parts_by_hand() -> None:
    parts = parts_of(WRONG, WANTED, "java")
    # Data flow: wanted (d), (d from d), (d from d). The answer has the first two; its c is connected with nothing.
    assert parts.data_flow == pytest.approx(100 * 2 / 3)
    # Wanted are 19 subtrees: program, method, modifiers, int, parameters, parameter, double, body, return, cast, int,
    # parentheses, conditional, (d == 0), d == 0, conditional, (d < 0), d < 0, -1. `float` for the second `int` and
    # `0.0`, of another kind than `0`, alter what is around them: program, method, body, return, cast, int,
    # parentheses, both conditionals, and (d < 0) with what is in it.
    assert parts.syntax == pytest.approx(100 * 8 / 19)


def test_a_renamed_variable_costs_words_but_neither_syntax_nor_data_flow() -> None:
    parts = parts_of(RENAMED, WANTED, "java")
    assert (parts.syntax, parts.data_flow) == (100.0, 100.0)
    assert parts.ngrams < 80
    assert parts.score > parts_of(WRONG, WANTED, "java").score


def test_a_keyword_weighs_as_much_as_five_other_words() -> None:
    keywords = frozenset(("return",))
    # Wanted: return a. Weights 1 and 0.2; "return b" has 1 / 1.2 of the words and 0.1 of the one pair.
    assert weighted_ngram_match(["return", "b"], ["return", "a"], keywords) == pytest.approx(math.sqrt(1 / 1.2 * 0.1))
    assert weighted_ngram_match(["b", "a"], ["return", "a"], keywords) == pytest.approx(math.sqrt(0.2 / 1.2 * 0.1))
    # what is missing lowers the shares and costs nothing beyond that
    assert weighted_ngram_match(["return"], ["return", "a"], keywords) == pytest.approx(math.sqrt(1 / 1.2 * 0.1))
    assert weighted_ngram_match(["x", "y"], ["return", "a"], keywords) == 0.0


def test_pythons_capital_keywords_are_keywords_and_javas_classes_are_not() -> None:
    python, java = language_of("", "python").keywords, language_of("", "java").keywords
    with_true = weighted_ngram_match(["True", "b"], ["True", "a"], python)
    assert with_true == pytest.approx(math.sqrt(1 / 1.2 * 0.1))
    assert weighted_ngram_match(["Double", "b"], ["Double", "a"], java) == pytest.approx(math.sqrt(0.2 / 0.4 * 0.1))


def test_subtrees_are_clipped() -> None:
    # Wanted: module, statement, list, and twice a call with its arguments. The answer's call and its arguments each
    # pay for one: 2 of 7.
    assert parts_of("[f()]", "[f(), g()]", "python").syntax == pytest.approx(100 * 2 / 7)


def test_comments_docstrings_and_what_a_string_says_are_no_syntax() -> None:
    plain = "def f():\n    return 'a'"
    told = 'def f():\n    """Say a."""\n    # so be it\n    return "b"'
    assert parts_of(told, plain, "python").syntax == 100.0
    assert parts_of(plain, told, "python").syntax == 100.0


@pytest.mark.parametrize(
    ("language", "text", "flow"),
    [
        # x (0) is computed from 1, y (2) from x
        ("python", "x = 1\ny = x", [(1, "computedFrom", (0,)), (0, "comesFrom", ()), (2, "computedFrom", (1,)),
                                    (1, "comesFrom", (1,))]),
        # a use of something that stands above the hole, twice
        ("python", "g(a, a)", [(0, "comesFrom", ()), (0, "comesFrom", (0,))]),
        # names of members and of called functions are no variables: nothing flows
        ("python", "a.b(c.d)\nb(d=1)", []),
        ("python", "g({a: a})", [(0, "comesFrom", ()), (0, "comesFrom", (0,))]),
        ("go", "g(T{a: a})", []),
        ("java", "int y = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
        ("javascript", "let y = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
        ("cpp", "int y = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
        ("c", "int *y = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
        ("csharp", "var y = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
        ("rust", "let y = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
        ("go", "y := x", [(1, "computedFrom", (0,)), (0, "comesFrom", ())]),
        ("typescript", "const y: T = x;", [(1, "comesFrom", (0,)), (0, "comesFrom", ())]),
    ],
)  # fmt: skip
def test_data_flow_by_hand(language: str, text: str, flow: list[tuple[int, str, tuple[int, ...]]]) -> None:
    assert flow_of(text, language) == flow


def test_a_loop_brings_values_around() -> None:
    # y (0) flows into x (1), and nothing into g's x; in a loop that is used again afterwards
    assert flow_of("g(x); x = y;", "javascript") == [(1, "computedFrom", (0,)), (0, "comesFrom", ())]
    for language, loop in (
        ("javascript", "while (k) { g(x); x = y; }"),
        ("java", "for (;;) { g(x); x = y; }"),
        ("cpp", "do { g(x); x = y; } while (k);"),
        ("python", "while k:\n    g(x)\n    x = y"),
        ("go", "for k { g(x); x = y }"),
        ("rust", "loop { g(x); x = y; }"),
        ("csharp", "while (k) { g(x); x = y; }"),
    ):
        assert (0, "comesFrom", (0,)) in flow_of(loop, language), language


def test_a_loops_name_comes_from_what_is_gone_through() -> None:
    for language, loop in (
        ("python", "for a in b: pass"),
        ("python", "[0 for a in b]"),
        ("java", "for (int a : b) {}"),
        ("cpp", "for (auto& a : b) {}"),
        ("javascript", "for (const a of b) {}"),
        ("csharp", "foreach (var a in b) {}"),
        ("go", "for a := range b {}"),
        ("rust", "for a in b {}"),
    ):
        assert flow_of(loop, language) == [(1, "computedFrom", (0,)), (0, "comesFrom", ())], loop


def test_what_a_variable_had_before_a_branch_reaches_what_follows_unless_every_branch_sets_it() -> None:
    before = "let r; if (k) { r = x; }"
    # r (0) as it is declared, r from x (1), x; s (2) from r, r from r
    assert flow_of(before + " s = r;", "javascript")[0] == (0, "comesFrom", ())
    assert flow_of(before + " else { r = x; } s = r;", "javascript")[0] != (0, "comesFrom", ())
    python = "r = f()\nif k:\n    r = x\n{}\ns = r"
    assert len(flow_of(python.format(""), "python")) == 6 - 1
    assert (0, "computedFrom", ()) in flow_of(python.format("elif m:\n    r = y"), "python")
    assert (0, "computedFrom", ()) not in flow_of(python.format("else:\n    r = y"), "python")
    switch = "let r; switch (k) { case 1: r = x; break; } s = r;"
    assert flow_of(switch, "javascript")[0] == (0, "comesFrom", ())


def test_a_function_keeps_its_names_for_itself() -> None:
    inside = flow_of("def f(a):\n    return a", "python")
    assert inside == [(0, "comesFrom", ()), (0, "comesFrom", (0,))]
    assert flow_of("def f(a):\n    return a\ng(a)", "python") == inside


def test_assigning_to_a_part_keeps_what_was_there() -> None:
    # numbers: a 0, i 1, x 2; a[i] = x is computed from a and x
    flow = flow_of("def f(a, i, x):\n    a[i] = x", "python")
    assert (0, "computedFrom", (0, 2)) in flow or (0, "computedFrom", (2, 0)) in flow


def test_pairs_are_assigned_one_by_one() -> None:
    # a (1) from b (0) alone, b from a: not both from both
    assert [item for item in flow_of("a, b = b, a", "python") if item[1] == "computedFrom"] == [
        (1, "computedFrom", (0,)),
        (0, "computedFrom", (1,)),
    ]


def test_changing_a_variable_computes_it_from_itself() -> None:
    for language, text in (
        ("python", "def f(a):\n    a += 1"),
        ("java", "void f(int a) { a++; }"),
        ("csharp", "void f(int a) { a++; }"),
        ("go", "func f(a int) { a++ }"),
        ("cpp", "void f(int a) { a += a; }"),
        ("rust", "fn f(a: i32) { a += a; }"),
    ):
        assert any(relation == "computedFrom" and 0 in sources for _, relation, sources in flow_of(text, language))


SUMS = {
    "python": "def f(items):\n    total = 0\n    for item in items:\n        total += item\n    return total",
    "java": "int f(int[] items) { int total = 0; for (int item : items) { total += item; } return total; }",
    "cpp": "int f(V& items) { int total = 0; for (auto item : items) { total += item; } return total; }",
    "javascript": "function f(items) { let total = 0; for (const item of items) { total += item; } return total; }",
    "typescript": "function f(items: N) { let total = 0; for (const item of items) { total += item; } return total; }",
    "csharp": "int F(int[] items) { var total = 0; foreach (var item in items) { total += item; } return total; }",
    "go": "func f(items []int) int { total := 0; for _, item := range items { total += item }; return total }",
    "rust": "fn f(items: &[i32]) -> i32 { let mut total = 0; for item in items { total += item; } total }",
    "c": "int f(int *items) { int total = 0; for (; *items; items++) { total += *items; } return total; }",
}


@pytest.mark.parametrize("language", list(SUMS))
def test_names_do_not_matter_to_the_data_flow_and_what_is_returned_does(language: str) -> None:
    text = SUMS[language]
    renamed = text.replace("total", "sum").replace("items", "all").replace("item", "one")
    assert flow_of(renamed, language) == flow_of(text, language) != []
    assert parts_of(renamed, text, language).data_flow == 100.0
    # the last use is of the first item instead of the sum
    place = text.rindex("total")
    other = parts_of(text[:place] + "items" + text[place + len("total") :], text, language)
    assert other.data_flow is not None
    assert other.data_flow < 100.0
    assert other.syntax == 100.0


def test_the_same_function_has_the_same_data_flow_in_many_languages() -> None:
    # items 0, the literal 1, total 2, item 3
    wanted = [(0, ()), (2, (1,)), (1, ()), (3, (0,)), (0, (0,)), (2, (2, 3)), (3, (3,)), (2, (2,))]
    for language in ("python", "java", "cpp", "javascript", "typescript", "csharp", "rust"):
        assert [(number, sources) for number, _, sources in flow_of(SUMS[language], language)] == wanted, language


def test_without_a_data_flow_to_find_that_part_counts_as_found() -> None:
    parts = parts_of("a.b()", "c.d()", "java")
    assert parts.data_flow is None
    assert parts.score == pytest.approx((parts.ngrams + parts.weighted_ngrams + 100 + 100) / 4)


def test_a_data_flow_of_which_nothing_is_found_counts_in_the_published_score_alone() -> None:
    parts = CodeBleu(ngrams=20.0, weighted_ngrams=40.0, syntax=60.0, data_flow=0.0)
    assert parts.score == 30.0
    assert parts.published_score == 55.0


def test_in_its_context_a_text_is_parsed_as_it_stands_and_counted_alone() -> None:
    context = ("class A {\n    int size;\n    ", "\n}\n")
    method = "int twice(int a) { return a + a; }"
    assert parts_of(method, method, "java", context).score == 100.0
    other = parts_of("int twice(int b) { return b * 2; }", method, "java", context)
    # method, int, parameters, parameter, int, body, return, sum: the class is not counted. `2` for a name makes
    # another sum, return, body and method.
    assert other.syntax == pytest.approx(100 * 4 / 8)
    # wanted: a, and twice a from a
    assert other.data_flow == pytest.approx(100 * 2 / 3)


def test_a_word_in_its_context_has_no_subtree_and_that_part_counts_as_found() -> None:
    parts = parts_of("left", "right", "python", ("x = ", "\n"))
    assert parts.syntax is None
    assert parts.ngrams == 0.0


def test_a_language_without_a_grammar_has_no_codebleu() -> None:
    assert codebleu("x", "x", "lua") is None
    assert codebleu("x", "x", "") is None


def test_nothing_where_something_was_wanted_scores_little_and_nothing_beside_nothing_all() -> None:
    assert codebleu("", "", "python") == 100.0
    empty = parts_of("", "x = 1\ny = x", "python")
    assert (empty.ngrams, empty.weighted_ngrams, empty.syntax, empty.data_flow) == (0.0, 0.0, 0.0, 0.0)


WORDS = "x|y = x|x += 1|for |if |(|)|{|}|[|]|:|;|    |return |\"|'|`|def f(a):|int |let |// c|# c|é|=>|->|,|.|${|f'{"
HEADS = "while (x) |switch (x) {|case 1:|else |try {|catch (e) |fn f(a: T) |func f(a T) |match x {"
PIECES = st.sampled_from([*WORDS.split("|"), *HEADS.split("|"), "\n", "\r\n", "\0"])
CODE = st.lists(PIECES, max_size=25).map("".join)


@settings(deadline=None)
@given(CODE, CODE, CODE, st.sampled_from(LANGUAGES))
def test_any_text_has_a_score_from_0_to_100_and_the_same_text_has_100(
    text: str, wanted: str, around: str, language: str
) -> None:
    for context in (("", ""), (around, around)):
        score = codebleu(text, wanted, language, context=context)
        assert score is not None
        assert 0.0 <= score <= 100.0
        assert codebleu(text, text, language, context=context) == pytest.approx(100.0)


@settings(deadline=None)
@given(CODE, CODE, st.sampled_from(LANGUAGES))
def test_what_both_texts_share_is_the_same_from_either_side(text: str, wanted: str, language: str) -> None:
    # The parts divide by what was wanted, so that they differ; that nothing is shared does not.
    one, other = parts_of(text, wanted, language), parts_of(wanted, text, language)
    if one.data_flow is not None and other.data_flow is not None:
        assert (one.data_flow == 0.0) == (other.data_flow == 0.0)
    assert (one.syntax == 0.0) == (other.syntax == 0.0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_that_nests_without_end_is_measured(language: str) -> None:
    for deep in (
        "(" * 3000,
        "[" * 1500 + "]" * 1500,
        "{" * 3000,
        "for (x in y) " * 400,
        "while (x) {" * 400,
        "-" * 3000,
    ):
        score = codebleu(deep, "x = 1", language)
        assert score is not None
        assert 0.0 <= score <= 100.0
