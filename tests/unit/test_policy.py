"""When an offer is made, and how much."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from aix_lsp.completion.place import Surroundings, surroundings
from aix_lsp.completion.policy import (
    decide,
    how_much,
    indentation,
    only_closes,
    unevenness,
)
from aix_lsp.settings import CompletionSettings
from aix_lsp.types import CompletionRequest, DocumentSnapshot, TriggerKind


def request(marked: str, trigger: TriggerKind = "automatic", language: str = "python") -> CompletionRequest:
    """A request at the `|` in a text."""
    offset = marked.index("|")
    document = DocumentSnapshot("file:///a.py", marked.replace("|", "", 1), language, 1, "a.py")
    return CompletionRequest(document, offset, trigger)


@pytest.mark.parametrize(
    ("marked", "answered"),
    [
        ("x = |", True),
        ("x = |\ny = 1", True),
        ("x = f(|)", True),
        ("x = f(|):", True),
        ('x = "|"', True),
        ("x = f(a, |);", True),
        ("if (x) |{", True),
        ("x = | + 1", False),
        ("fo|o = 1", False),
        ("|", False),
        ("  \n|", False),
    ],
)
def test_automatic_offers_come_only_before_closing_punctuation(marked: str, answered: bool) -> None:
    decision = decide(request(marked), CompletionSettings())
    assert decision.answer is answered
    assert bool(decision.reason) is not answered


@pytest.mark.parametrize("after", [" " * 20_000 + "x", ")" * 20_000 + "x", ")" + " " * 20_000 + ":" * 2])
def test_a_long_line_after_the_cursor_is_judged_at_once(after: str) -> None:
    began = time.perf_counter()
    assert not only_closes(after)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("path", ["/home/someone/.ssh/config", "/home/someone/.kube/config"])
def test_secrets_are_known_by_the_full_path_too(path: str) -> None:
    """Outside a workspace the name is the last part only."""
    asked = request("x = |", "invoked", language="ssh_config")
    inside = replace(asked, document=replace(asked.document, name="config", path=Path(path)))
    assert "secrets" in decide(inside, CompletionSettings()).reason
    elsewhere = replace(asked, document=replace(asked.document, name="config", path=Path("/home/someone/config")))
    assert decide(elsewhere, CompletionSettings()).answer


@pytest.mark.parametrize("marked", ["x = | + 1", "fo|o = 1", "|"])
def test_explicit_requests_are_answered_anywhere(marked: str) -> None:
    assert decide(request(marked, "invoked"), CompletionSettings()).answer


def test_switched_off_says_which_option() -> None:
    assert "completion.enabled" in decide(request("x = |"), CompletionSettings(enabled=False)).reason
    off = CompletionSettings(disabled_languages=("python",))
    assert "disabled_languages" in decide(request("x = |"), off).reason
    assert decide(request("x = |", language="go"), off).answer


@pytest.mark.parametrize(
    ("marked", "amount"),
    [
        ("def f(x):|", "block"),
        ("def f(x):\n    |", "block"),
        ("def f(x):\n|", "block"),
        ("async def f(x):|", "block"),
        ("def f(x:|", "line"),
        ("def f(x:|)", "line"),
        ("values: |", "line"),
        ("x = {'a':|", "line"),
        ("function f() {|", "block"),
        ("const f = () =>|", "block"),
        ("def f(x):|\n    return 1", "line"),
        ("def f(x):\n    |\n    return 1", "line"),
        ("# adds two numbers\n|", "block"),
        ("// adds two numbers\n|", "block"),
        ("/*\n * adds two numbers\n */\n|", "block"),
        ("/**\n * adds two numbers\n|", "block"),
        ("def f(\n    *args,\n    |", "line"),
        ("    *target = 1;\n    |", "line"),
        ("x = (a\n    % b\n    |", "line"),
        ("x = f(\n    |", "block"),
        ("x = |", "line"),
        ("x = 1\n|", "line"),
        ("print(|)", "line"),
    ],
)
def test_a_block_is_offered_where_one_begins(marked: str, amount: str) -> None:
    asked = request(marked, "invoked")
    assert how_much(surroundings(asked.document.text, asked.offset)) == amount


def test_the_amount_decides_the_number_of_tokens() -> None:
    settings = CompletionSettings(max_tokens_line=7, max_tokens_block=70)
    assert decide(request("x = |"), settings).max_new_tokens == 7
    assert decide(request("def f():|"), settings).max_new_tokens == 70
    assert decide(request("def f():|"), CompletionSettings(amount="line")).amount == "line"


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("a\nb|c\nd", Surroundings("b", "c", "a", "d")),
        ("a\r\n\r\n  b|\r\nd\r\n", Surroundings("  b", "", "a", "d")),
        ("a\rb|\rc", Surroundings("b", "", "a", "c")),
        ("|", Surroundings("", "", "", "")),
        ("a\n\n\n|", Surroundings("", "", "a", "")),
        ("one\x0ctwo|", Surroundings("one\x0ctwo", "", "", "")),
    ],
)
def test_surroundings_know_every_line_break(marked: str, expected: Surroundings) -> None:
    offset = marked.index("|")
    assert surroundings(marked.replace("|", ""), offset) == expected


def test_tabs_count_to_the_next_multiple_of_four() -> None:
    assert [indentation(line) for line in ("x", "  x", "\tx", "  \tx", "\t x")] == [0, 2, 4, 4, 5]


@pytest.mark.parametrize(
    ("code", "uneven"),
    [("", 0), ("f(a[0])", 0), ("f(a[", 2), ("))", 2), ('"a', 1), (r"'it\'s'", 0), ("{'a': \"b}", 1)],
)
def test_unevenness_counts_what_has_no_partner(code: str, uneven: int) -> None:
    assert unevenness(code) == uneven
