"""Is an accepted text still there?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.kept import KeptLog, share_left
from tests.unit.fake_clock import FakeClock

URI = "file:///a.py"
BODY = "total = price * 2\nreturn total"


class Followed:
    """BODY accepted at 100 in a long document."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.looks: list[tuple[str, int, bool]] = []
        self.log = KeptLog(self.clock, lambda *look: self.looks.append(look))
        self.log.follow(URI, "python", 100, BODY)


END = 100 + len(BODY)


@pytest.mark.parametrize(
    ("edits", "kept"),
    [
        ([], True),
        ([(0, 0, "import os\n")], True),
        ([(0, 50, "")], True),
        ([(END, END, "\n\nmore"), (0, 0, "x")], True),
        ([(100, 100, "before")], True),
        ([(100, END, "")], False),
        ([(0, END + 50, "")], False),
        ([(90, END, "pass")], False),
        ([(0, 0, "12345"), (105, END + 5, "pass")], False),
        ([(108, 113, "cost")], True),  # one name changed
        ([(100, 118, "")], False),  # the first line deleted
        ([(105, 105, "_with_tax")], True),
        ([(100, END, ""), (100, 100, BODY)], True),  # undone and done again
        ([(100, END, ""), (0, 0, "x\n"), (102, 102, BODY)], True),
        ([(100, END, ""), (100, 100, "pass")], False),
        ([(100, END, BODY.replace("\n", "\n    "))], True),  # indented
        ([(0, END + 500, "x" * 300 + BODY + "y" * 300)], True),  # the file written anew by a program
        ([(0, END + 500, "total price return 2 = * " * 50)], False),
        ([(0, END + 500, "x\n" * 300 + BODY.replace("\n", "\n    ") + "\ny" * 300)], True),
        ([(0, END + 500, "x" * 300 + BODY + "y" * 300), (300, 300 + len(BODY), "")], False),
    ],
)
def test_edits_move_and_change_it(edits: list[tuple[int, int, str]], kept: bool) -> None:
    followed = Followed()
    for edit in edits:
        followed.log.edited(URI, *edit)
        followed.log.edited("file:///other.py", 0, 1000, "")
    followed.clock.pass_by(120)
    assert followed.looks == [("python", 30, kept), ("python", 120, kept)]


def test_it_is_looked_at_twice_and_then_forgotten() -> None:
    followed = Followed()
    followed.clock.pass_by(29)
    assert followed.looks == []
    followed.clock.pass_by(2)
    assert followed.looks == [("python", 30, True)]
    followed.log.edited(URI, 100, END, "")
    followed.clock.pass_by(100)
    assert followed.looks == [("python", 30, True), ("python", 120, False)]
    assert not followed.log.follows(URI)
    assert followed.clock.waiting == []


def test_one_timer_is_enough_for_all() -> None:
    followed = Followed()
    for number in range(20):
        followed.clock.pass_by(1)
        followed.log.follow(URI, "python", 1000 + number, "x")
        assert len(followed.clock.waiting) == 1
    followed.clock.pass_by(200)
    assert len(followed.looks) == 42
    assert followed.clock.waiting == []


def test_closing_one_document_leaves_the_others() -> None:
    followed = Followed()
    followed.log.follow("file:///b.py", "go", 0, "x")
    followed.log.closed(URI)
    assert followed.looks == [("python", 30, True), ("python", 120, True)]
    assert followed.log.follows("file:///b.py")
    followed.log.closed()
    assert followed.looks[2:] == [("go", 30, True), ("go", 120, True)]


def test_only_the_latest_are_followed() -> None:
    followed = Followed()
    for number in range(100):
        followed.log.follow("file:///b.py", "go", number, "x")
    assert not followed.log.follows(URI)


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.text("ab\n ", max_size=8)), max_size=8),
)
def test_the_place_is_followed_as_the_document_changes(head: str, edits: list[tuple[int, int, str]]) -> None:
    """Where no edit touches the accepted text, it is found at its place."""
    marker = "\u2603marked\u2603"
    document = head + marker + "tail" * 10
    log = KeptLog(FakeClock(), lambda *look: None)
    log.follow(URI, "python", len(head), marker)
    for start, length, text in edits:
        start = min(start, len(document))
        end = min(start + length, len(document))
        at = document.find(marker)
        if start < at + len(marker) and end > at:
            continue
        log.edited(URI, start, end, text)
        document = document[:start] + text + document[end:]
    (item,) = log._followed
    assert document[item.start : item.start + len(item.text)] == item.text == marker


def longest_common(one: str, other: str) -> int:
    row = [0] * (len(other) + 1)
    for character in one:
        new = [0]
        for number, sign in enumerate(other):
            new.append(row[number] + 1 if character == sign else max(new[-1], row[number + 1]))
        row = new
    return row[-1]


@given(st.text("abc", min_size=2, max_size=30), st.text("abc", max_size=20))
def test_the_share_is_that_of_the_longest_common_subsequence(before: str, now: str) -> None:
    if len(now) <= 10 * len(before):
        assert share_left(before, now) == pytest.approx(longest_common(before, now) / len(before))


def test_long_texts_are_compared_in_bounded_time() -> None:
    assert share_left("ab" * 100_000, "ab" * 100_000 + "c") == 1.0
    assert share_left("ab" * 100_000, "") == 0.0
