"""While an offer is shown, what follows its acceptance is worked out, and kept for the request that comes then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aix_lsp.completion.next_request import accepted, indentation_unit, line_below
from aix_lsp.settings import Settings
from aix_lsp.types import CompletionItem, ModelInfo
from tests.unit.desk import by_ending, desk, request, settings, texts

MARKED = "def f(a, b):\n    return a +|\n"
AFTER = "def f(a, b):\n    return a + b|\n"
AHEAD = settings(prepare_next=True)


async def test_the_request_after_an_accept_is_answered_at_once() -> None:
    async with desk(by_ending({"a + b": " - c", "": " b"}), AHEAD) as here:
        shown = await here.ask(MARKED)
        assert texts(shown) == [" b"]
        await here.until(lambda: here.runs == 2)
        prepared = here.engine.requests[1]
        assert (prepared.background, prepared.candidates, prepared.document) == (True, 1, "file:///a.py")
        await here.until(lambda: len(here.service._cache) == 2)
        result = await here.ask(AFTER)
        assert (texts(result), result.source) == ([" - c"], "prepared")
        assert here.backgrounds()[:2] == [False, True]
        assert here.quotes.asked == 1
        again = await here.ask(AFTER)
        assert (again.source, again.items[0].id) == ("cached", result.items[0].id)


async def test_an_offer_that_was_typed_to_its_end_is_none_any_more_and_the_prepared_one_counts() -> None:
    async with desk(by_ending({"a + b": " - c", "": " b"}), AHEAD) as here:
        shown = await here.ask(MARKED)
        await here.until(lambda: len(here.service._cache) == 2)
        typed = await here.ask("def f(a, b):\n    return a + |\n")
        assert (typed.source, typed.items[0].id) == ("typed-through", shown.items[0].id)
        assert (await here.ask(AFTER)).source == "prepared"


async def test_at_the_end_of_a_finished_line_the_line_below_is_worked_out() -> None:
    script = by_ending({"b = 2\n    ": "c = 3", "b = 2": "", "": "b = 2"})
    async with desk(script, AHEAD) as here:
        assert texts(await here.ask("def f():\n    |\n")) == ["b = 2"]
        await here.until(lambda: len(here.service._cache) == 3)
        assert here.backgrounds() == [False, True, True]
        nothing = await here.ask("def f():\n    b = 2|\n")
        assert (texts(nothing), nothing.source) == ([], "prepared")
        below = await here.ask("def f():\n    b = 2\n    |\n")
        assert (texts(below), below.source) == (["c = 3"], "prepared")


async def test_a_server_that_others_use_too_works_out_what_follows_an_accept_and_no_more() -> None:
    info = ModelInfo("elsewhere", 4096, dtype="remote")
    async with desk(by_ending({"b = 2": "", "": "b = 2"}), AHEAD, info=info) as here:
        await here.ask("def f():\n    |\n")
        await here.until(lambda: len(here.service._cache) == 2)
        await asyncio.sleep(0.05)
        assert here.backgrounds() == [False, True]


async def test_without_reuse_the_prompt_is_read_ahead_and_nothing_is_kept() -> None:
    async with desk(" b", settings(prepare_next=True, reuse=False)) as here:
        shown = await here.ask(MARKED)
        await here.until(lambda: here.runs == 2)
        assert here.engine.requests[1].max_new_tokens == 1
        await asyncio.sleep(0.02)
        assert (here.runs, len(here.service._cache)) == (2, 0)
        await here.service.complete(accepted(request(MARKED), shown.items[0]), here.settings)
        assert here.engine.prompts[2].ids == here.engine.prompts[1].ids


def test_accepting_puts_the_offer_in_the_place_of_what_it_replaces() -> None:
    after = accepted(request("x = so|\ny\n"), CompletionItem("1", "sorted(a)", 4, 6))
    assert (after.document.text, after.offset) == ("x = sorted(a)\ny\n", 13)
    assert after.trigger == "automatic"


@pytest.mark.parametrize(
    ("marked", "language", "expected"),
    [
        ("a = 1|\n", "python", "a = 1\n|\n"),
        ("def f():\n    a = 1|\n", "python", "def f():\n    a = 1\n    |\n"),
        ("def f():\n  a = 1\nif b:|\n", "python", "def f():\n  a = 1\nif b:\n  |\n"),
        ("if b:|\n", "python", "if b:\n    |\n"),
        ("def f():\n    return 1|\n", "python", "def f():\n    return 1\n|\n"),
        ("function f() {\n\treturn 1;|\n}\n", "javascript", "function f() {\n\treturn 1;\n\t|\n}\n"),
        ("function f() {\n\tif (a) {|\n", "javascript", "function f() {\n\tif (a) {\n\t\t|\n"),
        ("def f():\r\n    a = 1|\r\n", "python", "def f():\r\n    a = 1\r\n    |\r\n"),
        ("f(a|)\n", "python", None),
        ("    |\n", "python", None),
    ],
)
def test_the_line_below_is_indented_as_an_editor_would(marked: str, language: str, expected: str | None) -> None:
    below = line_below(request(marked, language=language))
    if expected is None:
        assert below is None
    else:
        assert below is not None
        text, offset = below.document.text, below.offset
        assert f"{text[:offset]}|{text[offset:]}" == expected


@pytest.mark.parametrize(
    ("text", "unit"),
    [("a\n", "    "), ("a\n  b\n    c\n", "  "), ("a\n\tb\n", "\t"), ("a\n * b\n        c\n", " " * 8), ("", "    ")],
)
def test_a_level_of_indentation_is_what_the_text_has(text: str, unit: str) -> None:
    assert indentation_unit(text) == unit


async def test_whoever_types_on_is_not_held_up() -> None:
    async with desk(" b", AHEAD, idle_seconds=0.05) as here:
        for _ in range(3):
            assert texts(await here.ask(MARKED)) == [" b"]
        await here.until(lambda: here.runs == 2)
        assert here.backgrounds() == [False, True]


async def test_nothing_is_prepared_with_snippets_of_a_file_that_has_changed() -> None:
    async with desk(" b", AHEAD, idle_seconds=0.05) as here:
        await here.ask(MARKED)
        here.quotes.version += 1
        await asyncio.sleep(0.1)
        assert here.backgrounds() == [False]
        result = await here.ask(AFTER)
        assert (result.source, here.quotes.asked) == ("model", 2)


@pytest.mark.parametrize(
    ("now", "prepared"),
    [
        ("x = so\n", True),
        ("x = sor\n", True),
        ("x = sorted(a)\n", True),
        ("x = som\n", False),
        ("x = sorted(a)b\n", False),
        ("y = so\n", False),
        ("", False),
        (None, False),
    ],
)
async def test_what_cannot_be_accepted_any_more_is_not_worked_out(now: str | None, prepared: bool) -> None:
    async with desk(by_ending({"a)": "", "": "(a)"}), AHEAD) as here:
        asked = request("x = so|\n", selected=(4, "sorted"))
        await here.service.complete(asked, here.settings, text_now=lambda: now)
        if prepared:
            await here.until(lambda: True in here.backgrounds())
        await asyncio.sleep(0.05)
        assert (True in here.backgrounds()) == prepared


async def test_closing_the_document_ends_it_and_closing_another_does_not() -> None:
    async with desk(" b", AHEAD, idle_seconds=0.1) as here:
        await here.ask(MARKED)
        here.service.closed("file:///other.py")
        await here.until(lambda: here.runs == 2)
        await here.ask(MARKED)
        here.service.closed("file:///a.py")
        await asyncio.sleep(0.2)
        assert here.backgrounds().count(True) == 1


async def test_another_request_takes_the_models_place() -> None:
    long = " b" + " c" * 500
    async with desk(by_ending({"a + b": long, "": " b"}), AHEAD, delay=0.01) as here:
        await here.ask(MARKED)
        await here.until(lambda: here.runs == 2)
        result = await here.ask("y = |\n")
        assert texts(result) == [" b"]
        assert here.backgrounds() == [False, True, False]


@pytest.mark.parametrize(
    ("answer", "given"),
    [("", AHEAD), (" b", settings(prepare_next=False)), ([ValueError("broken")], AHEAD)],
)
async def test_nothing_is_prepared_without_an_offer_or_when_switched_off(answer: Any, given: Settings) -> None:
    async with desk(answer, given) as here:
        await here.ask(MARKED)
        await asyncio.sleep(0.05)
        assert here.runs == 1


async def test_a_declined_request_and_the_end_drop_it_too() -> None:
    async with desk(" b", AHEAD, idle_seconds=0.2) as here:
        await here.ask(MARKED)
        here.settings = settings(enabled=False)
        assert texts(await here.ask(MARKED)) == []
        here.settings = AHEAD
        await here.ask(MARKED)
        here.service.close()
        await asyncio.sleep(0.3)
        assert here.backgrounds() == [False]
