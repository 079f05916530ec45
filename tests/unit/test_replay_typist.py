"""The typist of the replay: whatever is offered, the file stands there again at the end, typed as an editor would."""

from __future__ import annotations

import importlib
import random
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

with pytest.MonkeyPatch.context() as _patch:
    _patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    plan = importlib.import_module("typing_plan")
    typist = importlib.import_module("typist")
    auto_close = importlib.import_module("auto_close")

REAL = [
    path for name in ("text.py", "uris.py", "types.py") for path in Path(typist.__file__).parents[1].glob(f"*/{name}")
]
PIECES = st.sampled_from(
    ["\n", "\n\n", "\n    ", "\n        ", "\n\t", "  ", "(", ")", "[", "]", "{", "}", '"', "'", '"""', "it's",
     "# see (", "x", "name", "def f():", "return", ", ", ".", "=", "é", "𝄞", 'f"{a[0]}"', "\r"]
)  # fmt: skip
TEXTS = st.lists(PIECES, min_size=1, max_size=60).map("".join)


def played(text: str, seed: object, offers: random.Random | None = None) -> tuple[str, list[object]]:
    """What stands there after all keys, each played on a plain text; with `offers`, something is on the screen now and
    then: what comes next in the file, cut anywhere, or something else."""
    writer = typist.Typist(text, seed)
    document, keys = writer.text, []
    while not writer.done:
        shown = None
        if offers is not None and offers.random() < 0.5:
            # what the file has next, where the text behind the cursor is the file's
            rest = writer._holes[writer._at].left[: offers.randrange(1, 30)]
            shown = typist.Shown(rest + offers.choice(("", "", "zz")), "", offers.choice((0.1, 3.0)))
        key = writer.press(shown)
        document = document[: key.start] + key.text + document[key.end :]
        assert document == writer.text
        assert writer.cursor == key.cursor
        keys.append(key)
        assert len(keys) < 100 * len(text) + 1000
    return document, keys


@pytest.fixture
def behind_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """All lines but the first are typed, without typos."""
    monkeypatch.setattr(typist, "TYPO", 0.0)

    def cut(text: str, seed: object) -> tuple[list[str], list[object]]:
        first, line_break, rest = text.partition("\n")
        return [first, ""], [plan.Hole(line_break + rest)]

    monkeypatch.setattr(typist, "cut", cut)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.integers(0, 5), st.booleans())
def test_playing_all_keys_on_a_plain_text_gives_the_file_again(text: str, seed: int, with_offers: bool) -> None:
    assert played(text, seed, random.Random(seed) if with_offers else None)[0] == text


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
@pytest.mark.parametrize("with_offers", [False, True])
def test_a_real_file_is_typed_with_all_that_a_person_does(path: Path, with_offers: bool) -> None:
    text = path.read_text("utf-8")
    document, keys = played(text, 1, random.Random(1) if with_offers else None)
    assert document == text
    kinds = {key.kind for key in keys}  # type: ignore[attr-defined]
    assert {"type", "enter", "backspace", "jump", "over"} <= kinds
    assert ({"accept", "accept word", "undo"} <= kinds) is with_offers


def test_the_same_seed_types_the_same_and_another_one_does_not() -> None:
    text = REAL[0].read_text("utf-8")
    first, again, other = (list(typist.events(text, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@given(TEXTS, st.integers(0, 9))
def test_what_is_cut_is_behind_the_first_line_and_the_rest_stays(text: str, seed: int) -> None:
    kept, holes = plan.cut(text, seed)
    assert "".join(a + b for a, b in zip(kept, [*(hole.target for hole in holes), ""], strict=True)) == text
    assert bool(holes) is ("\n" in text)
    assert all(hole.target for hole in holes)
    assert text.split("\n")[0] == kept[0].split("\n")[0]


def test_a_quarter_to_three_quarters_of_a_real_file_is_typed() -> None:
    for path in REAL:
        text = path.read_text("utf-8")
        cut = sum(len(hole.target) for hole in plan.cut(text, 0)[1])
        assert 0.25 < cut / len(text) < 0.75


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a\nf(x)", [("enter", "\n"), ("type", "f"), ("type", "()"), ("type", "x"), ("over", ")")]),
        ("a\n'x'", [("enter", "\n"), ("type", "''"), ("type", "x"), ("over", "'")]),
        # an apostrophe in a word brings no second one, nor do quotes in a comment
        ("a\nit's", [("enter", "\n"), *(("type", letter) for letter in "it's")]),
        ('a\n# "b', [("enter", "\n"), *(("type", letter) for letter in '# "b')]),
        # a bracket that nothing closes is taken away again
        ("a\n(b", [("enter", "\n"), ("type", "()"), ("delete", ""), ("type", "b")]),
        # Enter deepens the indentation below a header and takes it off a blank line
        ("a\nb:\n    c", [("enter", "\n"), ("type", "b"), ("type", ":"), ("enter", "\n    "), ("type", "c")]),
        ("    a\n\n    b", [("enter", "\n    "), ("enter", "\n    "), ("type", "b")]),
        ("    a\nb", [("enter", "\n    "), ("backspace", ""), ("type", "b")]),
        ("a\n    b", [("enter", "\n"), ("type", "    "), ("type", "b")]),
        # Enter between brackets puts the closing one on a line of its own; the cursor is moved past it
        ("a\n(\n    b\n)", [("enter", "\n"), ("type", "()"), ("enter", "\n    \n"), ("type", "b"), ("move", "")]),
        ('a\n"""x"""', [("enter", "\n"), ("type", '""'), ("over", '"'), ("type", '"'), ("type", "x"),
                        ("type", '"'), ("type", '"'), ("type", '"')]),
    ],
)  # fmt: skip
def test_keys_do_what_they_do_in_an_editor(text: str, keys: Sequence[tuple[str, str]], behind_first_line: None) -> None:
    assert [(key.kind, key.text) for key in typist.events(text, 0)] == list(keys)


@pytest.mark.parametrize(
    ("closing", "left", "is_wanted"),
    [
        (")", "a)", True),
        (")", "(a)", False),
        (")", "(a))", True),
        ("]", "a)", False),
        ('"', 'a"', True),
        ('"', 'a\n"', False),
    ],
)
def test_a_closing_bracket_is_wanted_where_the_file_closes_it(closing: str, left: str, is_wanted: bool) -> None:
    assert auto_close.wanted(closing, left) is is_wanted


@pytest.mark.parametrize(
    ("offer", "medians", "kinds"),
    [
        ("bcd", 3.0, {"accept"}),
        ("b", 3.0, {"accept"}),
        ("bcd", 0.5, set()),
        ("bxd efg", 3.0, set()),
        ("bcd xyz", 3.0, {"accept word"}),
        ("bcd + x", 3.0, {"accept word"}),
        ("\n", 3.0, set()),
    ],
)
def test_only_what_agrees_with_the_file_and_has_been_seen_is_accepted(
    offer: str, medians: float, kinds: set[str], behind_first_line: None
) -> None:
    found = set()
    for seed in range(60):
        writer = typist.Typist("a\nbcd + e", seed)
        writer.press()
        found.add(writer.press(typist.Shown(offer, "", medians)).kind)
    assert found == kinds | {"type"}


def test_an_accepted_offer_replaces_the_bracket_that_the_editor_closed(
    monkeypatch: pytest.MonkeyPatch, behind_first_line: None
) -> None:
    monkeypatch.setattr(typist, "ACCEPT", 1.0)
    monkeypatch.setattr(typist, "UNDO", 1.0)
    monkeypatch.setattr(typist, "REDO", 1.0)
    writer = typist.Typist("a\n(b).c", 0)
    writer.press()
    writer.press()
    assert writer.text == "a\n()"
    texts = [(writer.press(typist.Shown("b).c", ")", 3.0)).kind, writer.text)]
    texts += [(writer.press().kind, writer.text) for _ in range(2)]
    assert texts == [("accept", "a\n(b).c"), ("undo", "a\n()"), ("redo", "a\n(b).c")]
    assert writer.done


def test_keys_come_in_the_median_gap_and_never_slower_than_twelve_minutes_allow() -> None:
    writer = typist.Typist(REAL[0].read_text("utf-8"), 0)
    gaps = []
    while not writer.done:
        gaps.append(writer.gap())
        writer.press()
    assert 0.9 < statistics.median(gaps) < 1.1
    assert statistics.fmean(gaps) * 120 < 140
    assert max(gaps) > 3


def test_few_keys_are_corrections_and_the_cursor_jumps_every_hundred_keys_or_two() -> None:
    keys = [key for path in REAL for key in typist.events(path.read_text("utf-8"), 2)]
    kinds = [key.kind for key in keys]
    corrected = sum(after == "backspace" and before == "type" for before, after in pairwise(kinds))
    assert 0.005 < corrected / len(keys) < 0.06
    assert len(keys) / 250 < kinds.count("jump") < len(keys) / 40
