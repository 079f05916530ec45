"""Whether a place was reached by typing from where an offer was made."""

from __future__ import annotations

import pytest

from aix_lsp.completion.origin import HEAD, TAIL, Origin, Reached, left_of
from aix_lsp.types import DocumentSnapshot
from tests.unit.desk import request


def reached(before: str, now: str, **more: str) -> Reached | None:
    """From the `|` of one text to that of another."""
    made, asked = request(before), request(now, **more)
    return Origin.at(made.document, made.offset).reached(asked.document, asked.offset, 50)


LONG = "".join(f"line_{number} = {number}\n" for number in range(200))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("a = |\n", "a = |\n", Reached(4, "")),
        ("a = |\n", "a = b|\n", Reached(4, "b")),
        ("a = |", "a = b|", Reached(4, "b")),
        ("a = |\n", "a = b\n    c|\n", Reached(4, "b\n    c")),
        # what editors close by themselves
        ("a = |\nb", "a = f(|)\nb", Reached(4, "f(", added=")")),
        ("a = |\nb", 'a = f("|")\nb', Reached(4, 'f("', added='")')),
        ("f |\nb", "f {\n  |\n}\nb", Reached(2, "{\n  ", added="\n}")),
        # and what is typed over what they have closed
        ("f(|)\n", "f(a)|\n", Reached(2, "a)", removed=1)),
        ("f(g(|))\n", "f(g(a))|\n", Reached(4, "a))", removed=2)),
        # the same without anything closed having been passed over
        ("f(|)\n", "f(a|\n", None),
        # deleted to before the place, moved elsewhere, something else before or behind
        ("a = |\n", "a =|\n", None),
        ("a = |\n", "b = x|\n", None),
        ("a = |\nb\n", "a = x|\nc\n", None),
        ("a = |\n", "|a = \n", None),
        ("a = |\n", "a = " + "x" * 51 + "|\n", None),
        # an edit far above, such as an import that was added, or far below, does no harm; one nearby does
        (LONG + "a = |\n", "import b\n" + LONG + "a = b|\n", Reached(len(LONG) + 13, "b")),
        ("a = |\n", "import b\na = b|\n", None),
        ("a = |\n" + LONG, "a = b|\n" + LONG + "more\n", Reached(4, "b")),
        ("a = |\n" + LONG, "a = b|\nmore\n" + LONG, None),
        # the closing bracket that was deleted is not there for what was offered before it
        ("f(|)\n" + LONG, "f(|\n" + LONG, None),
    ],
)
def test_what_was_typed_since(before: str, now: str, expected: Reached | None) -> None:
    assert reached(before, now) == expected


@pytest.mark.parametrize("more", [{"uri": "file:///b.py"}, {"language": "javascript"}])
def test_another_document_is_another_place(more: dict[str, str]) -> None:
    assert reached("a = |\n", "a = b|\n", **more) is None


def test_other_cells_of_a_notebook_belong_to_the_place() -> None:
    def cell(text: str, before: str, after: str) -> DocumentSnapshot:
        return DocumentSnapshot("cell:1", text, "python", 1, "n.ipynb", None, before, after)

    origin = Origin.at(cell("a = ", "x", "y"), 4)
    assert origin.reached(cell("a = b", "x", "y"), 5, 9) == Reached(4, "b")
    assert origin.reached(cell("a = b", "z", "y"), 5, 9) is None
    assert origin.reached(cell("a = b", "x", "z"), 5, 9) is None


def test_a_place_keeps_a_few_lines_and_no_document() -> None:
    asked = request(LONG + "|" + LONG)
    origin = Origin.at(asked.document, asked.offset)
    assert (len(origin.tail), len(origin.head)) == (TAIL, HEAD)


@pytest.mark.parametrize(
    ("text", "typed", "line_break", "left"),
    [
        ("abc", "", "\n", "abc"),
        ("abc", "ab", "\n", "c"),
        ("abc", "abc", "\n", ""),
        ("abc", "abd", "\n", None),
        ("abc", "abcd", "\n", None),
        ("a\r\nb\r\nc", "a\r\nb", "\r\n", "\r\nc"),
        ("a\r\nb\r\nc", "a\nb", "\r\n", "\r\nc"),
        ("a\nb\nc", "a\r\n", "\r\n", "b\r\nc"),
    ],
)
def test_what_is_left_of_a_text(text: str, typed: str, line_break: str, left: str | None) -> None:
    assert left_of(text, typed, line_break) == left
