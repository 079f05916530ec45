"""Where an offer ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.extent import extent, stop_condition
from aix_lsp.completion.policy import Surroundings
from aix_lsp.types import Amount


def around(before: str = "", above: str = "") -> Surroundings:
    return Surroundings(before, "", above, "")


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
        # two blank lines end it
        ("\n    a\n\n\n    b", around("def f():"), "block", "\n    a"),
    ],
)
def test_an_offer_ends_with_its_line_or_block(text: str, place: Surroundings, amount: Amount, kept: str) -> None:
    assert extent(text, place, amount, max_lines=20) == kept


def test_a_block_has_at_most_so_many_lines() -> None:
    text = "\n" + "".join(f"    a{number} = {number}\n" for number in range(10))
    assert extent(text, around("def f():"), "block", max_lines=3) == "\n    a0 = 0\n    a1 = 1\n    a2 = 2"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\n    x = 1\n    x = 1\n    x = 1\n    x = 1\n", "\n    x = 1\n    x = 1"),
        ("\n    x = 1\n    y = 100000000000000000000", "\n    x = 1\n    y = 1"),
        ("\n    f(order, mode, mode, mode, mode, mode", "\n    f(order"),
        ("compute_compute_compute_compute_", ""),
        ("\n    x = [0, 0, 0, 0, 0]", "\n    x = [0, 0, 0, 0, 0]"),
        ("\n    # " + "-" * 40 + "\n    x = 1\n", "\n    # " + "-" * 40 + "\n    x = 1\n"),
    ],
)
def test_a_model_that_turns_in_circles_is_stopped(text: str, kept: str) -> None:
    assert extent(text, around("def f():"), "block", max_lines=20) == kept


lines = st.lists(st.sampled_from(["x = 1", "    y", "  z)", "", "}", "\tw", "        deep", "def g():"]), max_size=12)


@given(lines, st.sampled_from(["", "    ", "def f():", "x = ", "if (a) {"]), st.sampled_from(["line", "block"]))
def test_streaming_stops_no_earlier_than_the_whole_text_says(parts: list[str], before: str, amount: Amount) -> None:
    """Stopping while text streams in yields the same offer as generating on and cutting afterwards."""
    text = "\n".join(parts)
    place = around(before, "def f():")
    finished = stop_condition(place, amount, 5)
    streamed = next((text[:length] for length in range(len(text) + 1) if finished(text[:length])), text)
    assert extent(streamed, place, amount, 5).rstrip() == extent(text, place, amount, 5).rstrip()
