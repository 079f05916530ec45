"""What two texts have in common at their ends, against the plain loop."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.alike import common_end, common_start

TEXT = st.text("ab", max_size=12)
LONG = st.sampled_from(["", "x" * 4095, "x" * 4096, "x" * 9000])


@given(LONG, TEXT, TEXT, TEXT)
def test_the_beginnings_that_are_alike(shared: str, one: str, other: str, more: str) -> None:
    one, other = shared + one, shared + other + more
    count = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    assert common_start(one, other) == count
    assert common_start(one.encode(), other.encode()) == count


@given(LONG, TEXT, TEXT, st.integers(0, 5))
def test_the_ends_that_are_alike_without_the_beginning(shared: str, one: str, other: str, start: int) -> None:
    one, other = one + shared, other + shared
    pairs = zip(reversed(one[start:]), reversed(other[start:]), strict=False)
    assert common_end(one, other, start) == sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
