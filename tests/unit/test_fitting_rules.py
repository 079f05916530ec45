"""What users of inline completion complain about, one table for each kind of complaint."""

from __future__ import annotations

import pytest

from aix_lsp.completion import fitting_brackets, postprocess
from aix_lsp.completion.fitting_scan import Scan, scan
from aix_lsp.completion.place import Place, line_break_of, surroundings
from aix_lsp.completion.postprocess import RULES, fit, name_of
from aix_lsp.types import Amount


def place(marked: str, grammar: str | None = "python", amount: Amount = "line", unfinished: bool = False) -> Place:
    """The place of the `|` in a text."""
    offset = marked.index("|")
    text = marked.replace("|", "", 1)
    return Place(
        surroundings(text, offset), text[offset:], amount, 24, line_break_of(text), unfinished, text[:offset], grammar
    )


def test_the_documented_order_is_the_order() -> None:
    told = [line.strip() for line in (postprocess.__doc__ or "").splitlines() if line.strip()[:2].rstrip(".").isdigit()]
    names = [line.partition(". ")[2].partition(":")[0] for line in told]
    assert names == [name_of(rule) for rule in RULES]


@pytest.mark.parametrize(
    ("complaint", "grammar", "marked", "generated", "offered"),
    [
        # closers that the editor has typed already
        ("a call's bracket twice", "python", "print(|)", '"a")', '"a"'),
        ("a bracket and a semicolon twice", "typescript", "foo(|);", "a, b);", "a, b"),
        ("a bracket twice, with the block's brace", "typescript", "if (|) {\n}", "a) {", "a"),
        ("an arrow function's brackets twice", "typescript", "x.map((a) => {|})", " return a; })", " return a;"),
        ("a template literal's end twice", "typescript", "const a = `x ${|}`;", "name}`;", "name"),
        ("a quote twice in an attribute", "tsx", 'const a = <p id="|"/>;', 'top"', "top"),
        ("a subscript twice", "java", "int a = xs[|];", "0];", "0"),
        ("a bracket twice where an earlier one needs it too", "go", "f(g(|)", "x))", "x)"),
        ("a quote twice in an import", "go", 'import "|"', 'fmt"', "fmt"),
        ("a string's quote twice before a bracket", "rust", 'println!("|");', 'hi {}", x);', "hi {}"),
        ("a semicolon twice", "java", "int a = |;", "f(1);", "f(1)"),
        ("a colon twice", "python", "if |:\n    pass", "a > 1:", "a > 1"),
        ("a comma twice", "python", "x = [\n    |,\n]", "(1, 2),", "(1, 2)"),
        ("an argument list twice", "java", "a = |();", "f();", "f"),
        ("an angle bracket and what follows it twice", "java", "a = new ArrayList<|>();", "String>();", "String"),
        ("an angle bracket twice, with other arguments", "java", "a = new ArrayList<|>();", "List<A>>(b);", "List<A>"),
        ("a tag's end twice", "tsx", "const a = <p|></p>;", " on={() => a > 1}>x</p>;", " on={() => a > 1}"),
        # closers that are the offer's own
        ("a semicolon where another bracket is missing", "java", "f(|;", "1);", "1)"),
        ("an angle bracket of its own", "java", "List<|> a;", "List<String>", "List<String>"),
        ("the bracket that an inner call needs", "python", "f(|)", "g(1)", "g(1)"),
        ("generics are no brackets", "java", "List<String> a = new ArrayList<|>();", "String", "String"),
        ("arrows and comparisons are no brackets", "typescript", "f(|)", "(a) => a > 1", "(a) => a > 1"),
        ("a lifetime is no quote", "rust", "fn f(|) {}", "x: &'a str", "x: &'a str"),
        ("a character literal is no bracket", "c", "f(|);", "'('", "'('"),
        ("an apostrophe in a comment is no quote", "python", "f(|)", "a", "a"),
        ("an apostrophe in a comment above", "python", "# don't\nf(|)", "'a')", "'a'"),
        ("a bracket in a string is none", "go", "f(|)", '"("', '"("'),
        ("a bracket in a regular expression is none", "typescript", "f(|)", "/[(]/", "/[(]/"),
        ("a smiley in a comment above", "c", "// :-(\nf(|);", "a);", "a"),
        ("text in JSX", "tsx", "const a = <p>it's {|}</p>;", "name}", "name"),
        # what would make text of the document's code
        ("a comment that swallows the bracket", "python", "f(|)", "a  # for now)", "a"),
        ("a string that is never closed", "python", "x = |\ny = 1\n", '"abc', ""),
        (
            "a docstring that is never closed",
            "python",
            "def f():\n    |\n    return 1\n\ndef g():\n    pass\n",
            '"""',
            "",
        ),
        # what is opened and closed nowhere
        ("a call that goes on below, never closed", "python", "x = |\ny = 1\n", "foo(", "foo"),
        # but the brace of a body: the body is what comes next
        ("a header's brace at the end of its line", "typescript", "f();\n|\ng();\n", "if (a) {", "if (a) {"),
        ("a header's brace behind a bracket of the line", "go", "func f() {\n\tif (|\n}\n", "a > 1) {\n", "a > 1) {"),
        ("a function's brace within a call", "typescript", "use(|\n", "() => {\n  f()", "() => {"),
        ("a header's brace where a bracket follows", "typescript", "if (|)\n", "a) {\n", "a"),
        ("a brace alone", "go", "func f() {\n\tgo func() |\n}\n", "{\n", ""),
        ("the brace of a literal", "typescript", "const a = |\n", "Object.assign({\n  b: 1", "Object.assign"),
        ("the brace of a dictionary", "python", "x = |\n", "dict(a, **{\n", "dict"),
        ("a brace in a string", "java", "class A {\n  String a = |\n}\n", '"if (a) {\n', ""),
        ("a brace that is closed below", "typescript", "f();\n|\n  g();\n}\n", "if (a) {", "if (a) {"),
        ("a list that is closed below", "python", "x = |\n    1,\n]\n", "[", "["),
    ],
)
def test_brackets_and_quotes(complaint: str, grammar: str, marked: str, generated: str, offered: str) -> None:
    assert fit(generated, place(marked, grammar)).text == offered


@pytest.mark.parametrize(
    ("complaint", "grammar", "marked", "generated", "offered"),
    [
        ("the closer that a call needs", "python", "foo(a, b|\n", ")", ")"),
        ("the closers that two calls need, with a semicolon", "java", "foo(bar(a|\n", "));", "));"),
        ("a lone closer that closes nothing", "python", "x = 1|\n", ")", ""),
        ("a lone semicolon", "java", "int x = 1|\n", ";", ""),
        ("a lone comma", "python", "f(a|)\n", ",", ""),
        ("a brace that closes a block", "typescript", "if (a) {\n  b();\n|\n", "}", "}"),
        ("a brace that is there already", "typescript", "if (a) {\n  b();\n|\n}", "}", ""),
        ("the angle brackets that a type needs", "java", "Map<String, List<String|\n", ">>", ">>"),
        ("an angle bracket that a type does not need", "java", "List<String>|\n", ">", ""),
        ("a quote that a string needs", "python", "x = 'abc|\n", "'", "'"),
        ("the last quote of a docstring", "python", '"""Adds.|\n', '"""', '"""'),
    ],
)
def test_lone_closing_punctuation_is_offered_where_it_closes_something(
    complaint: str, grammar: str, marked: str, generated: str, offered: str
) -> None:
    assert fit(generated, place(marked, grammar)).text == offered


@pytest.mark.parametrize(
    ("complaint", "marked", "generated", "amount", "offered"),
    [
        ("the next line again", "a = f(x)\n|\nreturn a + b\n", "return a + b", "line", ""),
        ("the next lines again behind new ones", "if a:|\n    x = 1\n    return x\n", "\n    y = 2\n    x = 1", "block",
         "\n    y = 2"),
        ("it runs on into the next function", "def f():\n    |\n\ndef second(a):\n    pass\n",
         "return 1\n\ndef second(a):\n    return 2", "block", "return 1"),
        ("it repeats below with other quotes",
         "def f():\n    |\n    call('first', b)\n", 'call("first",b)', "line", ""),
        ("it repeats two lines below at another depth", "if a:|\n    first_call(1)\n    second_call(2)\n",
         "\n        first_call(1)\n        second_call(2)", "block", ""),
        ("it repeats below, with a word changed",
         "def f():|\n    total = compute_all(first, second)\n    return total / 2\n",
         "\n    total = compute_all(first, seconds)\n    return total / 2", "block", ""),
        ("an alike line is another line",
         "|\nself.height = height\n", "self.width = width", "line", "self.width = width"),
        ("an alike call is another call",
         "|\np.add_argument('--second', type=int)\n", "p.add_argument('--first', type=int)",
         "line", "p.add_argument('--first', type=int)"),
        ("a short line is a line of its own", "if a:\n    if b:\n        |\n    return\n", "return", "line", "return"),
        ("the line above again", "self.x = x\n|\n", "self.x = x", "line", ""),
        ("the line above at another depth", "if a:\n    return None\n|\n", "return None", "line", "return None"),
        ("the lines above again", "a = f(1)\nb = f(2)\n|\n", "a = f(1)\nb = f(2)", "block", ""),
        ("the rest of the line again", "foo(|, b)\n", "a, b)", "line", "a"),
        ("the beginning of the rest of the line again",
         "foo(|, second=2, third=3)\n", "first=1, second=2", "line", "first=1"),
        ("the rest of the line with other spaces", "foo(|,second)\n", "first, second", "line", "first"),
    ],
)  # fmt: skip
def test_what_is_there_already_is_not_said_again(
    complaint: str, marked: str, generated: str, amount: Amount, offered: str
) -> None:
    assert fit(generated, place(marked, "python", amount)).text == offered


TABS = "func a() {\n\tif b {\n\t\tc()\n\t}\n\td()\n\te()\n}\n\n"
TABBED = "class A:\n\tdef f(self):\n\t\ta = 1\n\t\treturn a\n\n"
TWO = "function a() {\n  if (b) {\n    c();\n  }\n  d();\n  e();\n}\n\n"
CONTINUED = (
    "class A {\n"
    + "  B b =\n      new B(1);\n  C c =\n      new C(1);\n  D d() {\n    return D.e(\n        e);\n  }\n\n"
)
FOUR = "def a():\n    if b:\n        c()\n    d()\n    e()\n    f()\n\n"


@pytest.mark.parametrize(
    ("complaint", "grammar", "marked", "generated", "offered"),
    [
        ("spaces in a file of tabs", "go", TABS + "func f() {|\n}", "\n    if a {\n        b()\n    }",
         "\n\tif a {\n\t\tb()\n\t}"),
        ("two spaces in a file of tabs", "go",
         TABS + "func f() {|\n}", "\n  if a {\n    b()\n  }", "\n\tif a {\n\t\tb()\n\t}"),
        ("spaces in a deeper block of tabs", "go", TABS + "func f() {\n\tif x {|\n}", "\n        a()\n    }",
         "\n\t\ta()\n\t}"),
        ("tabs in a file of two spaces", "typescript", TWO + "function f() {|\n}", "\n\tif (a) {\n\t\tb();\n\t}",
         "\n  if (a) {\n    b();\n  }"),
        ("four spaces in a file of two", "typescript",
         TWO + "function f() {|\n}", "\n    if (a) {\n        b();\n    }",
         "\n  if (a) {\n    b();\n  }"),
        ("two spaces in a file of four", "python", FOUR + "def f():|\n", "\n  if a:\n    b()\n  return c",
         "\n    if a:\n        b()\n    return c"),
        ("eight spaces in a file of four", "python",
         FOUR + "def f():|\n", "\n        if a:\n                b()\n        return c",
         "\n    if a:\n        b()\n    return c"),
        ("the file's own indentation stays", "python", FOUR + "def f():|\n", "\n    if a:\n        b()\n    return c",
         "\n    if a:\n        b()\n    return c"),
        ("alignment under a bracket stays", "python",
         FOUR + "def f():|\n", "\n    a = foo(b,\n            c)\n    return a",
         "\n    a = foo(b,\n            c)\n    return a"),
        ("alignment moves with its line", "python", FOUR + "def f():|\n", "\n  a = foo(b,\n          c)\n  return a",
         "\n    a = foo(b,\n            c)\n    return a"),
        ("alignment in a file of tabs", "go",
         TABS + "func f() {|\n}", "\n    a := foo(b,\n             c)\n    return a",
         "\n\ta := foo(b,\n\t         c)\n\treturn a"),
        ("text in a string is nobody's indentation", "python",
         FOUR + "def f():|\n", '\n  a = """\n     b\n   c\n  """\n  return a',
         '\n    a = """\n     b\n   c\n  """\n    return a'),
        ("one or two levels below an opened bracket", "python",
         FOUR + "def f():|\n", "\n    foo(\n            a,\n    )",
         "\n    foo(\n            a,\n    )"),
        ("a comment's stars", "typescript", TWO + "class A {|\n}", "\n    /**\n     * Adds.\n     */\n    add() {}",
         "\n  /**\n   * Adds.\n   */\n  add() {}"),
        ("the body's first line on a blank line", "go", TABS + "func f() {\n|\n}", "    a()\n    b()", "\ta()\n\tb()"),
        ("two spaces whose continued lines have four", "java", CONTINUED + "  int f() {|\n  }\n}\n",
         "\n    return g(\n        h);", "\n    return g(\n        h);"),
        ("a level whose continued line has two", "java", CONTINUED + "  int f() {\n    |\n  }\n}\n",
         "return a(\n        b)\n        .c();\n", "return a(\n        b)\n        .c();"),
        ("a document whose lower half begins deep", "java",
         "class A {\n    int f() {\n        try {|\n        }\n    }\n}\n", "\n            a();\n            b();",
         "\n            a();\n            b();"),
        ("spaces in a step of Python with tabs", "python", TABBED + "\tdef g(self):\n\t\td()\n\t\t|\n",
         "if a:\n            b()\n        c()\n\n    def h(self):\n", "if a:\n\t\t\tb()"),
        ("spaces in a body of Python with tabs", "python", TABBED + "\tdef g(self):|\n",
         "\n        if a:\n            b()\n        return c\n\n    def h(self):\n",
         "\n\t\tif a:\n\t\t\tb()\n\t\treturn c"),
        ("tabs in a step of Python with tabs", "python", TABBED + "\tdef g(self):\n\t\td()\n\t\t|\n",
         "if a:\n\t\t\tb()\n\t\tc()\n", "if a:\n\t\t\tb()"),
        ("a file without indentation has no say", "python", "x = 1\ndef f():|\n", "\n  return 1", "\n  return 1"),
    ],
)  # fmt: skip
def test_indentation_is_the_documents(complaint: str, grammar: str, marked: str, generated: str, offered: str) -> None:
    assert fit(generated, place(marked, grammar, "block")).text == offered


@pytest.mark.parametrize(
    ("complaint", "marked", "generated", "offered"),
    [
        ("an end token written out", "x = |\n", "1</s>", "1"),
        ("an end token of another family", "x = |\n", "1<|endoftext|>import os", "1"),
        ("markers over and over", "x = |\n", "1<|fim_pad|><|fim_pad|>", "1"),
        ("a marker with a sentencepiece blank", "x = |\n", "1▁<AIX-SPAN-POST>", "1"),
        ("half a marker", "x = |\n", "1<|fim_m", "1"),
        ("a marker alone", "x = |\n", "<EOT>", ""),
        ("a file that is about markers", "END = '<EOT>'\nx = |\n", "'<EOT>'", "'<EOT>'"),
        ("a chat's fence", "x = |\n", "```python\n1\n```\nThis is one.", "1"),
        ("white space at the end", "x = |\n", "1  \t", "1"),
        ("white space alone", "x = |\n", "   ", ""),
        ("a zero byte", "x = |\n", "1\0 2", "1"),
        ("a key that the model remembers", "aws = |\n", '"AKIA' + "Q" * 15 + 'Z"', ""),
    ],
)
def test_what_does_not_belong_into_a_file_is_dropped(complaint: str, marked: str, generated: str, offered: str) -> None:
    assert fit(generated, place(marked)).text == offered


@pytest.mark.parametrize("unfinished", [True, False])
def test_only_a_text_that_was_cut_short_loses_its_last_line(unfinished: bool) -> None:
    there = place("def f():|\n", amount="block", unfinished=unfinished)
    assert fit("\n    a = 1\n    b = lon", there).text == ("\n    a = 1" if unfinished else "\n    a = 1\n    b = lon")


def test_no_decorator_is_left_alone_when_what_it_announces_is_cut() -> None:
    there = place("class A:\n    x = 1\n\n    |\n", amount="block")
    assert fit("y = 2\n    @property\n    # of f\n    z = f(", there).text == "y = 2"


def test_a_line_that_is_a_whole_file_is_not_read_for_every_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def counted(text: str, grammar: str | None, stack: tuple[str, ...] = (), *, steps: bool = False) -> Scan:
        nonlocal read
        read += len(text)
        return scan(text, grammar, stack, steps=steps)

    monkeypatch.setattr(fitting_brackets, "scan", counted)
    there = place("x = [" + "1, (2), " * 8_000 + "|" + "3, (4), " * 8_000 + "]\n")
    assert fit("a, " + "f(" * 100, there).text == "a"
    assert read < 500_000


@pytest.mark.parametrize("rest", ["first, second)", ", second)", "second)", ")"])
def test_what_is_left_of_an_offer_that_is_typed_into_stays_as_it_was(rest: str) -> None:
    whole = "first, second)"
    typed = whole.removesuffix(rest)
    assert fit(rest, place(f"x = f(g({typed}|)\n")).text == rest


@pytest.mark.parametrize("grammar", ["python", None])
def test_rules_that_fired_are_named_in_their_order(grammar: str | None) -> None:
    fitted = fit("a)</s>  ", place("f(|)\n", grammar))
    assert fitted.text == "a"
    assert fitted.changes == ("drop markers", "drop the rest of the line")
