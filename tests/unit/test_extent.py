"""Where an offer ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.extent import extent, stop_condition
from aix_lsp.completion.place import Place, Surroundings
from aix_lsp.types import Amount


def around(before: str = "", above: str = "", after: str = "") -> Surroundings:
    return Surroundings(before, after, above, "")


@pytest.mark.parametrize(
    ("text", "place", "amount", "kept"),
    [
        ("b + c\nd", around("a = "), "line", "b + c"),
        ("b + c\r\nd", around("a = "), "line", "b + c"),
        ("b + c", around("a = "), "line", "b + c"),
        ("\nd = 1", around("a = 1"), "line", ""),
        ("\n    x = 1\ny", around("    "), "line", "\n    x = 1"),
        # a block ends before a line that is indented less
        ("\n    return 1\n\nx = f()\n", around("def f():"), "block", "\n    return 1"),
        ("return 1\nx = f()\n", around("    ", "def f():"), "block", "return 1"),
        ("    return 1\nx", around("", "def f():"), "block", "    return 1"),
        ("a = 1\n    b = 2\n    return b\n", around("    ", "def f():"), "block", "a = 1\n    b = 2\n    return b\n"),
        # its closing bracket belongs to it
        ("\n  return 1;\n}\n\nf();", around("function f() {"), "block", "\n  return 1;\n}"),
        ("\n  return 1;\n});\nf();", around("on(() => {"), "block", "\n  return 1;\n});"),
        ("\n    a();\n  }\n}\n", around("  if (x) {"), "block", "\n    a();\n  }"),
        # below an open argument list it ends with the line that closes the list
        ("    a,\n)\ny = 2\nz = 3\n", around("", "x = f("), "block", "    a,\n)"),
        ("    g(b),\n).strip()\ny = 2\n", around("", "x = f("), "block", "    g(b),\n).strip()"),
        ("    a\n):\n    return a\n", around("", "def f("), "block", "    a\n):"),
        ('":)",\n    b,\n]\ny = 2\n', around("    ", "x = ["), "block", '":)",\n    b,\n]'),
        ("a, b)\ny = 2\n", around("    ", "x = f("), "block", "a, b)"),
        ("a,\n    b\ny = 2\n", around("    ", "x = f("), "block", "a,\n    b"),
        ("    a,\n    b,", around("", "x = f("), "block", "    a,\n    b,"),
        # two blank lines end it
        ("\n    a\n\n\n    b", around("def f():"), "block", "\n    a"),
    ],
)
def test_an_offer_ends_with_its_line_or_block(text: str, place: Surroundings, amount: Amount, kept: str) -> None:
    assert extent(text, Place(place, "", amount, 20)) == kept


def test_a_block_has_at_most_so_many_lines() -> None:
    text = "\n" + "".join(f"    a{number} = {number}\n" for number in range(10))
    assert extent(text, Place(around("def f():"), "", "block", 3)) == "\n    a0 = 0\n    a1 = 1\n    a2 = 2"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\n    x = 1\n    x = 1\n    x = 1\n    x = 1\n", "\n    x = 1\n    x = 1"),
        # what stands before the circles is kept only if it could stand alone
        ("\n    x = 1\n    y = 100000000000000000000", "\n    x = 1"),
        ("\n    x = 1\n    y = 1.00000000000000000000", "\n    x = 1"),
        ("\n    f(order, mode, mode, mode, mode, mode", ""),
        ("\n    x = [1, 2, 2, 2, 2, 2, 2, 2", ""),
        ("\n    x = a + b + b + b + b + b", "\n    x = a"),
        ("\n    x = a + a + a + a + a + a", ""),
        ("\n    x = 1\n    return a, a, a, a, a, a", "\n    x = 1"),
        ("\n    x = 'la la la la la la la la", ""),
        # groups of lines
        ("\n    a()\n    b()" * 3 + "\n", "\n    a()\n    b()"),
        ("\n    a()\n    b()" * 2 + "\n", "\n    a()\n    b()" * 2 + "\n"),
        ("\r\n    a()\r\n    b()" * 3 + "\r\n", "\r\n    a()\r\n    b()"),
        ("\n    c()" + "\n    a()\n    b()\n\n    d()" * 3 + "\n", "\n    c()\n    a()\n    b()\n\n    d()"),
        (
            "\n    elif isinstance(a, (list, tuple)):\n        a = a.args" * 6 + "\n",
            "\n    elif isinstance(a, (list, tuple)):\n        a = a.args",
        ),
        # lines that step out are no circles
        ("\n" + "".join(" " * depth + "end\n" for depth in (12, 8, 4)), "\n            end\n        end\n    end\n"),
        ("compute_compute_compute_compute_", ""),
        ("\n    x = [0, 0, 0, 0, 0]", "\n    x = [0, 0, 0, 0, 0]"),
        ("\n    # " + "-" * 40 + "\n    x = 1\n", "\n    # " + "-" * 40 + "\n    x = 1\n"),
    ],
)
def test_a_model_that_turns_in_circles_is_stopped(text: str, kept: str) -> None:
    assert extent(text, Place(around("def f():"), "", "block", 20)) == kept


@pytest.mark.parametrize(
    ("before", "text", "after", "kept"),
    [
        ("y = ", "1000000000000000000", "", ""),
        ("x = ", "[1, 2, 2, 2, 2, 2, 2, 2", "", ""),
        ("x = [", "1, 2, 2, 2, 2, 2, 2, 2", "]", "1"),
        ("x = [", "1, 2, 2, 2, 2, 2, 2, 2", "", ""),
        ("x = ", "get_get_get_get_get_get_", "", ""),
        ("f(compute_", "total(amount, percent, percent, percent, percent", "", "total"),
        ("x = compute_", "total(amount, percent, percent, percent, percent", "", "total"),
    ],
)
def test_circles_inside_the_cursors_line_leave_what_is_even_there(
    before: str, text: str, after: str, kept: str
) -> None:
    assert extent(text, Place(around(before, after=after), "", "line", 20)) == kept


@pytest.mark.parametrize(
    ("text", "place", "amount", "kept"),
    [
        ("\n    a = 1\n    b = a.lo", around("def f():"), "block", "\n    a = 1"),
        ("\n    a = 1\n", around("def f():"), "block", "\n    a = 1"),
        ("\n    return a + b", around("def f():"), "block", "\n    return a + b"),
        ("\n    return g(a, h(", around("def f():"), "block", ""),
        # the block ended before the accident
        ("\n    a = 1\nb", around("def f():"), "block", "\n    a = 1"),
        ("g(a, h(b", around("x = "), "line", ""),
        ("a, b", around("x = f("), "line", "a, b"),
        ("a, g(b", around("x = f(", after=")"), "line", ""),
        ("'(' + b", around("x = "), "line", "'(' + b"),
        ("g(a,\n  h", around("x = "), "line", "g(a,"),
    ],
)
def test_a_text_that_was_cut_short_loses_its_accidental_end(
    text: str, place: Surroundings, amount: Amount, kept: str
) -> None:
    assert extent(text, Place(place, "", amount, 20, unfinished=True)) == kept


lines = st.lists(st.sampled_from(["x = 1", "    y", "  z)", "", "}", "\tw", "        deep", "def g():"]), max_size=12)


above = st.sampled_from(["def f():", "x = f("])


@given(lines, st.sampled_from(["", "    ", "def f():", "x = ", "if (a) {"]), above, st.sampled_from(["line", "block"]))
def test_streaming_stops_no_earlier_than_the_whole_text_says(
    parts: list[str], before: str, above: str, amount: Amount
) -> None:
    """Stopping while text streams in yields the same offer as generating on and cutting afterwards."""
    text = "\n".join(parts)
    place = Place(around(before, above), "", amount, 5)
    finished = stop_condition(place)
    streamed = next((text[:length] for length in range(len(text) + 1) if finished(text[:length])), text)
    assert extent(streamed, place).rstrip() == extent(text, place).rstrip()
