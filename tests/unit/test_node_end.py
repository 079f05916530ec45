"""Where a block ends by its syntax: planted cases, and real files in nine languages."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.completion.extent import extent, stop_condition
from aix_lsp.completion.node_end import node_end
from aix_lsp.completion.place import Place, line_break_of, surroundings
from tests.unit.real_holes import SOURCES, bodies, errors, grammar_of, steps, streamed

# Bodies and steps of the fixtures for which the offer is what was measured as right.
LEAST_SHARE_OF_BODIES = 1.0
LEAST_SHARE_OF_STEPS = 1.0


def at(document: str, grammar: str, max_lines: int = 24) -> Place:
    """The place of `|` in a document."""
    prefix, _, suffix = document.partition("|")
    text = prefix + suffix
    around = surroundings(text, len(prefix))
    return Place(around, suffix, "block", max_lines, line_break_of(text), prefix=prefix, grammar=grammar)


PYTHON = "python"
CASES = [
    # below a header: the body, up to the next function
    (PYTHON, "def f():|\n", "\n    return 1\n\ndef g():\n    pass\n", "\n    return 1"),
    (PYTHON, "class A:\n    def f(self):\n        |\n", "return 1\n\n    def g(self):\n", "return 1"),
    (PYTHON, "def f(\n    a,\n) -> int:\n    |\n", "b = a\n\n    return b\nx = 1\n", "b = a\n\n    return b"),
    # lines of a string or a list may stand further out
    (PYTHON, "def f():\n    |\n", 'x = """\na\n"""\n    return x\ng()\n', 'x = """\na\n"""\n    return x'),
    (PYTHON, "def f():\n    |\n", "x = [\n  1,\n]\n    return x\ng()\n", "x = [\n  1,\n]\n    return x"),
    # a docstring without a body announces all of it
    (PYTHON, 'def f():\n    """Do."""\n    |\n', "a = 1\n\n    return a\ng()\n", "a = 1\n\n    return a"),
    # a step: up to the blank line, or with the first statement that has a body
    (PYTHON, "def f():\n    a = 1\n    |\n", "b = 2\n    c = 3\n\n    d = 4\n", "b = 2\n    c = 3"),
    (PYTHON, "def f():\n    a = 1\n    |\n", "if a:\n        b()\n    c()\n", "if a:\n        b()"),
    (
        PYTHON,
        "def f():\n    a = 1\n    |\n",
        "try:\n        b()\n    except E:\n        c()\n    else:\n        d()\n    e()\n",
        "try:\n        b()\n    except E:\n        c()\n    else:\n        d()",
    ),
    (PYTHON, "x = 1\n\n|\n", "def f():\n    a()\n\n    b()\n\n\ndef g():\n", "def f():\n    a()\n\n    b()"),
    # what a comment announces
    (PYTHON, "# Add.\n|\n", "def add(a, b):\n    return a + b\n\n\nx = 1\n", "def add(a, b):\n    return a + b"),
    (PYTHON, "def f():\n    # note: twice\n    |\n", "g()\n    g()\n\n    h()\n", "g()\n    g()"),
    (PYTHON, "x = 1  # see:\n|\n", "y = 2\n\nz = 3\n", "y = 2"),
    # children of an element end before the tag that closes it
    (
        "tsx",
        "const a = (\n  <p>\n    <b>x</b>\n    |\n  </p>\n);\n",
        "<ul>\n      {b.map((c) => (\n        <li>{c}</li>\n      ))}\n    </ul>\n    <i />\n  </p>\n);\n",
        "<ul>\n      {b.map((c) => (\n        <li>{c}</li>\n      ))}\n    </ul>\n    <i />",
    ),
    # a member below an annotation that the type's bracket follows
    (
        "java",
        "class A {\n    @Override\n    |\n}\n",
        "String f() {\n        if (a) {\n            b();\n        }\n        return c;\n    }\n\n    int g() {",
        "String f() {\n        if (a) {\n            b();\n        }\n        return c;\n    }",
    ),
    # lists end with their bracket, or before the one that is there
    (PYTHON, "x = f(\n    |\n)\n", "a,\n    b,\n)\ny = 2\n", "a,\n    b,"),
    (PYTHON, "x = f(\n    |\n", "a,\n    b,\n)\ny = 2\n", "a,\n    b,\n)"),
    (PYTHON, "x = {\n    |\n}\n", '"a": 1,\n}\ny = 2\n', '"a": 1,'),
    # the body of a try whose handler is there, or not yet
    (PYTHON, "try:\n    |\nexcept E:\n    pass\n", "a()\nexcept E:\n    pass\n", "a()"),
    (PYTHON, "try:\n    |\n", "a()\nexcept E:\n    pass\n", "a()"),
    # brackets: the closing one only where the document lacks it
    ("javascript", "function f() {|}\n", "\n  return 1;\n}\nf();\n", "\n  return 1;"),
    ("javascript", "function f() {|\n\nfunction g() {}\n", "\n  return 1;\n}\n\nfunction g() {}\n", "\n  return 1;\n}"),
    ("javascript", "on(() => {|\n", "\n  a();\n});\nb();\n", "\n  a();\n});"),
    ("javascript", "on(() => {\n  |\n});\n", "a();\n});\nb();\n", "a();"),
    ("javascript", "function f() {\n  if (x) {|\n}\n", "\n    a();\n  } else {\n    b();\n  }\n", "\n    a();\n  }"),
    ("javascript", "function f() {\n  a();\n  |\n}\n", "b()\n    .then(c);\n\n  d();\n}\n", "b()\n    .then(c);"),
    ("javascript", "function f() {\n  a()\n  |\n}\n", "const s = `\n}\n`;\n  b();\n}\n", "const s = `\n}\n`;\n  b();"),
    ("typescript", "class A {\n  f(): void {\n    |\n  }\n}\n", "g();\n  }\n\n  h() {}\n", "g();"),
    ("java", "class A {\n\tint f() {|\n\n\tint g() {\n\t}\n}\n", "\n\t\treturn;\n\t}\n\n\tint g", "\n\t\treturn;\n\t}"),
    ("go", "func f() {\n\ta()\n\t|\n}\n", "if b {\n\t\tc()\n\t} else {\n\t\td()\n\t}\n\te()\n}\n",
     "if b {\n\t\tc()\n\t} else {\n\t\td()\n\t}"),
    ("rust", "fn f() -> i32 {\n    |\n}\n", "let a = 1;\n    a\n}\n\nfn g() {}\n", "let a = 1;\n    a"),
    ("c", "int f(void)\n{|\n}\n", "\n\tgoto out;\nout:\n\treturn 1;\n}\n", "\n\tgoto out;\nout:\n\treturn 1;"),
    ("cpp", "namespace n {\n\nint f() {|\n\n}  // namespace n\n", "\n    return 1;\n}\n\n", "\n    return 1;\n}"),
    ("csharp", "class A\n{\n    int F()\n    {\n        |\n    }\n}\n", "return 1;\n    }\n}\n", "return 1;"),
    (
        "csharp",
        "class A\n{\n    void F()\n    {\n        a();\n        |\n    }\n}\n",
        "if (b)\n        {\n            c();\n        }\n        else\n        {\n            d();\n        }\n    e()",
        "if (b)\n        {\n            c();\n        }\n        else\n        {\n            d();\n        }",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("grammar", "document", "text", "offer"), CASES)
def test_a_block_ends_with_the_node_that_began_at_the_cursor(
    grammar: str, document: str, text: str, offer: str
) -> None:
    place = at(document, grammar)
    assert extent(text, place).rstrip() == offer
    got = streamed(text, stop_condition(place))
    assert extent(got, place).rstrip() == offer


@pytest.mark.parametrize(("grammar", "document", "text", "offer"), CASES)
def test_documents_with_crlf_end_their_blocks_alike(grammar: str, document: str, text: str, offer: str) -> None:
    document, text, offer = (part.replace("\n", "\r\n") for part in (document, text, offer))
    assert extent(text, at(document, grammar)).rstrip() == offer


@pytest.mark.parametrize(
    ("grammar", "document", "text", "max_lines", "offer"),
    [
        (PYTHON, "def f():|\n", "\n    a = 1\n    b = g(\n        2,\n    )\n    c = 3\n", 3, "\n    a = 1"),
        (PYTHON, "def f():|\n", "\n    for a in b:\n        c = g(\n            2)\n", 2, "\n    for a in b:"),
        # half a call, or a bracket that nothing closes, is no offer
        (PYTHON, "def f():|\n", "\n    g(\n        1,\n        2,\n    )\n", 2, ""),
        ("javascript", "function f() {|}\n", "\n  for (;;) {\n    a();\n    b();\n  }\n", 2, ""),
        ("javascript", "function f() {|}\n", "\n  a();\n  for (;;) {\n    b();\n  }\n}\n", 3, "\n  a();"),
        # `.then` belongs to the line above
        ("javascript", "function f() {|}\n", "\n  a()\n  b()\n    .then(c)\n", 2, "\n  a()"),
    ],
)  # fmt: skip
def test_too_many_lines_end_a_block_after_its_last_whole_line(
    grammar: str, document: str, text: str, max_lines: int, offer: str
) -> None:
    assert extent(text, at(document, grammar, max_lines)).rstrip() == offer


@pytest.mark.parametrize(
    ("grammar", "document", "text", "offer"),
    [
        (PYTHON, "def f():|\n", "\n    a = 1\n    b = a.lo", "\n    a = 1"),
        (PYTHON, "def f():|\n", "\n    a = 1\n    return g(a,\n        b", "\n    a = 1"),
        (PYTHON, "def f():|\n", '\n    """Half a docstr', ""),
        (PYTHON, "def f():|\n", "\n    return a + b", "\n    return a + b"),
        (PYTHON, "def f():|\n", "\n    return g(a, h(", ""),
        ("javascript", "function f() {|}\n", "\n  a();\n  if (b) {\n    c();\n", "\n  a();"),
        ("java", "class A {\n\tint f() {|}\n}\n", "\n\t\tint a = 1;\n\t\treturn a +", "\n\t\tint a = 1;"),
    ],
)
def test_a_text_that_was_cut_short_ends_after_its_last_whole_line(
    grammar: str, document: str, text: str, offer: str
) -> None:
    assert extent(text, replace(at(document, grammar), unfinished=True)).rstrip() == offer


@pytest.mark.parametrize(("grammar", "document"), [("c", "int f( {{ ] = \n|"), ("go", "func ( {{{ ) \n    |")])
@pytest.mark.parametrize("text", ["a();\n    b();\n\n\nc", "a {\n    b();\n}\n", "\n\n\n  a"])
def test_where_the_parser_cannot_read_the_place_lines_decide(grammar: str, document: str, text: str) -> None:
    place = at(document, grammar)
    by_lines = replace(place, grammar=None)
    assert extent(text, place) == extent(text, by_lines)
    assert streamed(text, stop_condition(place)) == streamed(text, stop_condition(by_lines))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_bodies_of_real_files_end_where_they_ended(path: Path) -> None:
    """The file itself is streamed from the hole on: the offer is what was removed, with what stands behind the
    closing bracket on its line, and nothing of the rest."""
    grammar, text = grammar_of(path), path.read_text(encoding="utf-8")
    right, wrong = 0, []
    for hole in bodies(text, grammar):
        place = hole.place(grammar, 400)
        got = streamed(hole.truth, stop_condition(place))
        offer = extent(got, place).rstrip()
        assert offer == extent(hole.truth, place).rstrip()
        middle = hole.middle.rstrip()
        behind = offer[len(middle) :] if offer.startswith(middle) else "\n"
        if behind and ("\n" in behind or not hole.kind.endswith("open")):
            wrong.append((hole.kind, offer[-60:], middle[-60:]))
        else:
            right += 1
    assert right >= LEAST_SHARE_OF_BODIES * (right + len(wrong)), wrong
    assert right >= 8


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
@pytest.mark.parametrize("max_lines", [3, 8, 400])
def test_offers_in_real_files_add_no_syntax_errors(path: Path, max_lines: int) -> None:
    """However many lines there may be, what is kept is never the half of a statement."""
    grammar, text = grammar_of(path), path.read_text(encoding="utf-8")
    holes = [*bodies(text, grammar), *steps(text, grammar)]
    for hole in random.Random(max_lines).sample(holes, min(20, len(holes))):
        offer = extent(hole.truth, hole.place(grammar, max_lines))
        # the bracket that the document lacks comes with the end of the body only
        lacking = "\n}" if hole.kind.endswith("open") and len(offer.rstrip()) < len(hole.middle) else ""
        before = errors(hole.prefix + lacking + hole.suffix, grammar)
        assert errors(hole.prefix + offer + lacking + hole.suffix, grammar) <= before, (hole.kind, offer)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_steps_in_real_files_are_whole_and_what_the_file_says(path: Path) -> None:
    grammar, text = grammar_of(path), path.read_text(encoding="utf-8")
    holes = list(steps(text, grammar))
    right, wrong = 0, []
    for hole in random.Random(0).sample(holes, min(25, len(holes))):
        place = hole.place(grammar, 400)
        offer = extent(streamed(hole.truth, stop_condition(place)), place).rstrip()
        assert offer == extent(hole.truth, place).rstrip()
        fits = errors(hole.prefix + offer + hole.suffix, grammar) <= errors(hole.prefix + hole.suffix, grammar)
        if offer and hole.middle.startswith(offer) and fits:
            right += 1
        else:
            wrong.append((hole.middle[:60], offer))
    assert right >= LEAST_SHARE_OF_STEPS * (right + len(wrong)), wrong


PIECES = st.lists(
    st.sampled_from(
        ["x = 1", "\n", "\n    ", "\n\n", "}", "{", "if x:", '"""', "(", ")", "\r\n", "\r", "é\ud800", "\0", ";", "`"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=60)
@given(PIECES, PIECES, st.lists(PIECES, max_size=4), st.sampled_from(["python", "javascript", "rust", "cpp"]))
def test_the_stop_condition_is_a_function_of_the_text_alone(
    prefix: str, suffix: str, texts: list[str], grammar: str
) -> None:
    """Asked about several texts in any order, as with several candidates, it answers as if each were the first."""
    place = at(f"{prefix}|{suffix}", grammar, 5)
    together = stop_condition(place)
    asked = [text[:end] for text in texts for end in range(0, len(text) + 1, 3)]
    random.Random(len(asked)).shuffle(asked)
    assert [together(text) for text in asked] == [stop_condition(place)(text) for text in asked]


@settings(max_examples=60)
@given(PIECES, PIECES, PIECES, st.sampled_from(["python", "typescript", "java", "go", "c", "csharp"]), st.booleans())
def test_an_offer_is_a_beginning_of_the_text_and_stays_when_it_is_cut_again(
    prefix: str, suffix: str, text: str, grammar: str, unfinished: bool
) -> None:
    place = replace(at(f"{prefix}|{suffix}", grammar, 5), unfinished=unfinished)
    offer = extent(text, place)
    assert text.startswith(offer)
    assert extent(offer, replace(place, unfinished=False)).rstrip() == offer.rstrip()


def test_a_place_without_a_grammar_has_no_nodes() -> None:
    assert node_end(replace(at("a|", PYTHON), grammar=None)) is None
    assert node_end(replace(at("a|", PYTHON), grammar="no such grammar")) is None
