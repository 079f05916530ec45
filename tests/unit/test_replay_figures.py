"""What an editor shows of planted answers, and the figures of planted logs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

with pytest.MonkeyPatch.context() as _patch:
    _patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    typist = importlib.import_module("typist")
    client_screen = importlib.import_module("client_screen")
    judge = importlib.import_module("replay_figures")

Item, Key, Asked, Sample = client_screen.Item, judge.Key, judge.Asked, judge.Sample


def screen_with(text: str, *, drops_late: bool = True, encoding: str = "utf-16") -> Any:
    """A screen with the cursor at the `|` of a text."""
    screen = client_screen.Screen(text.replace("|", ""), drops_late=drops_late, encoding=encoding)
    screen.cursor = text.index("|")
    return screen


def offered(screen: Any, text: str, now: float = 0.0, back: int = 0) -> str:
    """The answer to a request made now, from `back` characters before the cursor to it; what it did."""
    place = screen.position(screen.cursor)
    verdict: str = screen.answer(screen.moment, [Item((place[0], place[1] - back), place, text, "id")], now)
    return verdict


def key(screen: Any, text: str, kind: str = "type", behind: int = 0, remove: int = 0) -> None:
    """A key that inserts a text at the cursor."""
    start = screen.cursor - remove
    screen.press(typist.Event(kind, start, screen.cursor, text, start + len(text) - behind))


def test_an_offer_stays_while_what_is_typed_agrees_with_it() -> None:
    screen = screen_with("x = |")
    assert offered(screen, "foo(a)", now=1.0) == "shown"
    key(screen, "f")
    key(screen, "o")
    assert (screen.rest, screen.since, screen.name) == ("o(a)", 1.0, "id")
    key(screen, "x")
    assert screen.rest == ""
    key(screen, "", "backspace", remove=1)
    assert screen.rest == ""


@pytest.mark.parametrize("kind", ["jump", "move", "undo", "accept"])
def test_an_offer_goes_when_the_cursor_does(kind: str) -> None:
    screen = screen_with("x = |")
    offered(screen, "foo")
    key(screen, "foo" if kind == "accept" else "", kind)
    assert screen.rest == ""


def test_an_offer_goes_when_another_file_comes_to_the_front() -> None:
    screen = screen_with("x = |")
    offered(screen, "foo")
    screen.hide()
    assert screen.rest == ""


@pytest.mark.parametrize(
    ("keys", "second", "verdict", "rest"),
    [
        ("", "foo(a)", "same", "foo(a)"),
        ("f", "oo(a)", "same", "oo(a)"),
        ("f", "oo(a) + 1", "continued", "oo(a) + 1"),
        ("f", "oo(b)", "flicker", "oo(b)"),
        ("f", "oo", "flicker", "oo"),
        ("f", None, "vanished", ""),
        ("x", "y", "shown", "y"),
        ("x", None, "empty", ""),
        ("foo(a)", "b", "shown", "b"),
    ],
)
def test_a_second_answer_is_judged_by_the_offer_that_it_replaces(
    keys: str, second: str | None, verdict: str, rest: str
) -> None:
    screen = screen_with("x = |")
    offered(screen, "foo(a)", now=1.0)
    for character in keys:
        key(screen, character)
    got = offered(screen, second, now=2.0) if second is not None else screen.answer(screen.moment, [], 2.0)
    assert (got, screen.rest) == (verdict, rest)
    if rest:
        assert screen.since == (1.0 if verdict in ("same", "continued") else 2.0)


def test_an_offer_from_the_start_of_a_word_is_the_same_text_as_one_from_the_cursor() -> None:
    screen = screen_with("x = |")
    offered(screen, "foo(a)")
    key(screen, "f")
    assert offered(screen, "foo(a)", back=1) == "same"
    assert screen.rest == "oo(a)"


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ((0, 3), (0, 9), "foo"),  # past the cursor
        ((0, 99), (0, 99), "foo"),  # past the line
        ((7, 0), (7, 0), "foo"),  # past the document
        ((0, 1), (0, 1), "foo"),  # ends before the cursor
        ((0, 0), (0, 4), "y = foo"),  # begins otherwise than the document
    ],
)
def test_an_item_that_does_not_fit_the_document_is_stale(
    start: tuple[int, int], end: tuple[int, int], text: str
) -> None:
    screen = screen_with("x = | + 1\n")
    assert screen.answer(0, [Item(start, end, text)], 0.0) == "stale"
    assert screen.rest == ""


@pytest.mark.parametrize(
    ("drops_late", "typed", "verdict"),
    [(True, "f", "late"), (True, "x", "late"), (False, "f", "shown"), (False, "x", "stale")],
)
def test_an_answer_that_comes_after_another_key_is_passed_over_or_shown_as_the_editor_does(
    drops_late: bool, typed: str, verdict: str
) -> None:
    screen = screen_with("x = |", drops_late=drops_late)
    asked, place = screen.moment, screen.position(screen.cursor)
    key(screen, typed)
    assert screen.answer(asked, [], 0.0) == "late"
    assert screen.answer(asked, [Item(place, place, "foo")], 0.0) == verdict
    assert screen.rest == ("oo" if verdict == "shown" else "")


def test_a_bracket_that_the_editor_closes_is_part_of_the_offer_that_is_typed_into() -> None:
    screen = screen_with("x = |\n")
    offered(screen, "(a).b")
    key(screen, "()", behind=1)
    assert (screen.rest, screen.over) == ("a).b", ")")
    key(screen, "a")
    screen.press(typist.Event("over", screen.cursor, screen.cursor + 1, ")", screen.cursor + 1))
    assert (screen.rest, screen.over) == (".b", "")
    # an answer that leaves the bracket where it is offers the same line
    screen = screen_with("x = |\n")
    offered(screen, "(a)")
    key(screen, "()", behind=1)
    assert offered(screen, "a") == "same"
    # one that the offer does not close is in the way
    screen = screen_with("x = |\n")
    offered(screen, "(a")
    key(screen, "()", behind=1)
    assert screen.rest == ""


@pytest.mark.parametrize(("encoding", "units"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_positions_count_as_the_editor_does(encoding: str, units: int) -> None:
    screen = screen_with("\n𝄞|", encoding=encoding)
    assert screen.position(screen.cursor) == (1, units)
    assert offered(screen, "foo") == "shown"


@pytest.mark.parametrize(
    ("text", "is_eligible"),
    [("a|", True), ("a|\nb", True), ("f(a|)", True), ("f(a|):", True), ('"|"', True), ("f(|) {", True), ("a | ", True),
     ("a|b", False), ("f(|b)", False), ("a |= 1", False), ("f(|) + 1", False)],
)  # fmt: skip
def test_a_place_is_eligible_at_a_lines_end_or_before_closing_punctuation_only(text: str, is_eligible: bool) -> None:
    assert screen_with(text).eligible is is_eligible


def asked(milliseconds: float, verdict: str, source: str = "", reason: str = "", ran: bool = False) -> Any:
    return Asked(10.0, 10.0 + milliseconds / 1000, verdict, source, reason, ran)


def test_the_figures_of_a_planted_log() -> None:
    log = judge.Log(
        keys=[
            Key("type", None, grown=1, eligible=True, shown=True),
            Key("type", 0.1, grown=1, eligible=True),
            Key("accept", 0.3, grown=6, accepted=6, eligible=True, shown=True),
            Key("undo", 0.1, grown=-4, accepted=-4, eligible=True),
            Key("jump", 0.2, shown=True),
        ],
        asked=[
            asked(100, "shown", "model", ran=True),
            asked(300, "flicker", "model", ran=True),
            asked(2, "same", "typed-through"),
            asked(4, "shown", "cached"),
            asked(90, "continued", "joined"),
            asked(3, "stale", "cached"),
            asked(50, "empty", reason="nothing to add", ran=True),
            asked(1, "vanished", reason="code follows"),
            asked(20, "overtaken"),
            Asked(10.0),
        ],
        samples=[Sample(5, 600_000_000, 0.5, 0.1)],
        seconds=1.0,
    )
    found = judge.figures(log)
    assert {name: found[name] for name in found if name not in ("verdicts", "answers_by_source", "keys_by_kind")} == {
        "keys": 5,
        "engine_runs": 3,
        "reuse_share": 0.6,
        "reuse_p95_ms": 4.0,
        "answer_p50_ms": 100.0,
        "answer_p95_ms": 300.0,
        "flicker": 1,
        "stale_shown": 1,
        "shown_share": 0.5,
        "accepted_chars_share": 0.5,
        "memory_growth": None,
        "cpu_s_per_100_keys": 10.0,
        "rss_mb": 600.0,
        "cpu_s_per_100_keys_children": 2.0,
        "requests": 10,
        "engine_runs_per_100_keys": 60.0,
        "engine_runs_counted_by": "answers",
        "background_runs": None,
        "eligible": 4,
        "no_offer": {"nothing to add": 1, "code follows": 1},
        "gap_p50_ms": 100.0,
        "gap_mean_ms": 175.0,
        "seconds": 1.0,
    }
    assert found["answers_by_source"]["joined"] == {"count": 1, "p50_ms": 90.0, "p95_ms": 90.0}
    assert found["verdicts"]["overtaken"] == found["verdicts"]["unanswered"] == 1


def test_examples_are_the_offers_that_were_replaced_vanished_or_did_not_fit() -> None:
    log = judge.Log(asked=[asked(1, verdict, "model") for verdict in ("shown", "flicker", "same", "vanished", "stale")])
    log.asked[1].shown_before, log.asked[1].offered, log.asked[1].key = "a", "b", 7
    found = judge.examples(log)
    assert [example["verdict"] for example in found] == ["flicker", "vanished", "stale"]
    assert found[0] == {"key": 7, "verdict": "flicker", "source": "model", "reason": "", "before": "a", "after": "b"}
    assert len(judge.examples(log, most=1)) == 1


def test_runs_are_the_servers_own_where_it_counts_them() -> None:
    found = judge.figures(judge.Log([Key("type")], [asked(9, "shown", "model", ran=True)], [], 7, 2, 1.0))
    assert (found["engine_runs"], found["background_runs"], found["engine_runs_counted_by"]) == (7, 2, "server")


def test_a_log_of_nothing_has_figures() -> None:
    found = judge.figures(judge.Log())
    assert (found["keys"], found["shown_share"], found["answer_p50_ms"], found["rss_mb"]) == (0, None, None, None)


@pytest.mark.parametrize(
    ("late_rss", "keys", "growth"), [(100, 5000, 0.0), (110, 5000, 0.1), (95, 5000, -0.05), (110, 1100, None)]
)
def test_memory_growth_is_the_last_tenth_against_the_hundred_keys_behind_the_first_thousand(
    late_rss: int, keys: int, growth: float | None
) -> None:
    samples = [Sample(number, 50 if number < 1000 else 100, 0, 0) for number in range(20, 4500, 20)]
    samples += [Sample(number, late_rss, 0, 0) for number in range(4500, 5001, 20)]
    assert judge.memory_growth([sample for sample in samples if sample.keys <= keys], keys) == growth
