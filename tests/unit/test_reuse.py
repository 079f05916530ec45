"""Offers are made again where what was typed agrees with them, without asking anybody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aix_lsp.completion.cache import CHARACTERS, DOCUMENTS, ENTRIES_OF_A_DOCUMENT, NOTHING_SECONDS, OfferCache
from aix_lsp.completion.offer import Entry, Offer
from aix_lsp.completion.origin import Origin
from aix_lsp.completion.policy import Silence
from aix_lsp.completion.retriever import NoRetrieval
from aix_lsp.settings import PromptSettings
from aix_lsp.types import CompletionResult
from tests.unit.desk import Desk, by_ending, desk, request, settings, texts
from tests.unit.quotes import Quotes


@pytest.mark.parametrize(
    ("marked", "written", "steps"),
    [
        # key by key, a word, a line, and back (deleting and undo are the same to a server)
        ("x = |\n", "total(a)", [("x = t|\n", "otal(a)"), ("x = total|\n", "(a)"), ("x = t|\n", "otal(a)")]),
        (
            "def f():|\n",
            "\n    a = 1\n    b = 2\n",
            [
                ("def f():\n    a|\n", " = 1\n    b = 2"),
                ("def f():\n    a = 1|\n", "\n    b = 2"),
                ("def f():\n    a = 1\n    b|\n", " = 2"),
                ("def f():|\n", "\n    a = 1\n    b = 2"),
            ],
        ),
        # the editor closes brackets and quotes, and they are typed over
        ("x = |\n", "f(a)", [("x = f(|)\n", "a"), ("x = f(a|)\n", None), ("x = f|\n", "(a)")]),
        ("x = |\n", 'f("a")', [('x = f("|")\n', "a"), ('x = f("a"|)\n', None), ("x = f|\n", '("a")')]),
        (
            "def f():\n    |\n",
            '"""Of it."""',
            [
                ('def f():\n    "|"\n', '""Of it.""'),
                ('def f():\n    ""|\n', '"Of it."""'),
                ('def f():\n    """|"""\n', "Of it."),
                ('def f():\n    """O|"""\n', "f it."),
            ],
        ),
        ("x = [|]\n", "a, b]", [("x = [a|]\n", ", b"), ("x = [a, |]\n", "b")]),
        ("x = f(|)\n", "a)", [("x = f(a|)\n", None)]),
        # all keys of another end of line
        ("def f():|\r\n", "\n    a = 1\n    b = 2\n", [("def f():\r\n    a|\r\n", " = 1\r\n    b = 2")]),
    ],
)
async def test_what_is_left_has_the_same_id_and_costs_no_retrieval_and_no_model(
    marked: str, written: str, steps: list[tuple[str, str | None]]
) -> None:
    async with desk(written) as here:
        first = await here.ask(marked)
        for step, expected in steps:
            here.engine._scripted._script = ""
            runs, asked = here.runs, here.quotes.asked
            result = await here.ask(step)
            if expected is None:
                # typed to its end, it is no offer any more, and the model is asked
                assert here.runs == runs + 1
                continue
            (item,) = result.items
            assert (item.text, item.id) == (expected, first.items[0].id), step
            assert item.start == item.end == request(step).offset
            assert result.source == ("typed-through" if step != marked else "cached")
            assert (here.runs, here.quotes.asked) == (runs, asked)
            assert result.model == "scripted"
            assert [span.name for span in result.spans] == ["cache"]


async def test_what_disagrees_is_asked_anew_and_undone_it_agrees_again() -> None:
    async with desk(by_ending({"x = q": "uick", "": "total"})) as here:
        first = await here.ask("x = |\n")
        other = await here.ask("x = q|\n")
        assert (texts(other), other.source) == (["uick"], "model")
        back = await here.ask("x = |\n")
        assert (back.items, back.source) == (first.items, "cached")
        again = await here.ask("x = q|\n")
        assert (again.items, again.source) == (other.items, "cached")
        assert here.runs == 2


async def test_that_there_is_nothing_to_add_is_known_for_a_while() -> None:
    async with desk("") as here:
        now = 0.0
        here.service._cache._now = lambda: now
        for _ in range(3):
            result = await here.ask("x = 1|\n")
            assert "nothing to add" in result.reason
        assert (here.runs, result.source) == (1, "cached")
        # but only there
        await here.ask("x = 12|\n")
        assert here.runs == 2
        now = NOTHING_SECONDS
        await here.ask("x = 1|\n")
        assert here.runs == 3


async def test_where_nothing_is_offered_by_itself_nothing_is_left_either() -> None:
    async with desk("f(a, b) + c") as here:
        first = await here.ask("x = |\n")
        assert "follows the cursor" in (await here.ask("x = f(|y\n")).reason
        here.quotes.silent = Silence("this file is ignored")
        assert (await here.ask("x = f|\n")).reason == "this file is ignored"
        explicit = await here.ask("x = f|\n", "invoked")
        assert explicit.items[0].id == first.items[0].id


async def change_quoted_file(here: Desk) -> None:
    here.quotes.version += 1


async def change_settings(here: Desk) -> None:
    here.settings = here.settings.model_copy(update={"prompt": PromptSettings(max_tokens=512)})


async def change_amount(here: Desk) -> None:
    here.settings = settings(amount="block")


async def change_model(here: Desk) -> None:
    backend = here.engine._scripted
    loaded = replace(backend._model, info=replace(backend._model.info, name="another"))
    here.engine._loaded = backend._model = loaded


@pytest.mark.parametrize("change", [change_quoted_file, change_settings, change_amount, change_model])
async def test_an_offer_dies_with_what_it_was_made_of(change: object) -> None:
    async with desk("total(a)") as here:
        first = await here.ask("x = |\n")
        assert callable(change)
        await change(here)
        result = await here.ask("x = t|\n")
        assert (result.source, here.runs) == ("model", 2)
        assert result.items[0].id != first.items[0].id


async def test_without_reuse_everything_is_asked_anew() -> None:
    async with desk("total(a)", settings(reuse=False)) as here:
        first = await here.ask("x = |\n")
        again = await here.ask("x = |\n")
        assert (texts(again), again.source, here.runs) == (texts(first), "model", 2)
        assert first.items[0].id != again.items[0].id


async def test_an_explicit_request_gets_several_that_differ_once_they_are_fitted() -> None:
    async with desk("total(a)\n\n", alternatives=["total(a)\nx", "sum(a)", "max(a)", "min(a)"]) as here:
        automatic = await here.ask("x = |\n")
        assert texts(automatic) == ["total(a)"]
        result = await here.ask("x = |\n", "invoked")
        assert texts(result) == ["total(a)", "sum(a)"]
        assert result.items[0].id == automatic.items[0].id
        assert len({item.id for item in result.items}) == 2
        assert here.runs == 2
        again = await here.ask("x = |\n", "invoked")
        assert (again.items, again.source, here.runs) == (result.items, "cached", 2)
        # whichever of them is typed into is shown on, alone
        typed = await here.ask("x = su|\n")
        assert (texts(typed), typed.items[0].id) == (["m(a)"], result.items[1].id)
        # by itself there is one
        assert texts(await here.ask("x = |\n")) == ["total(a)"]


@pytest.mark.parametrize(("candidates", "expected"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
async def test_no_more_candidates_than_wanted(candidates: int, expected: list[str]) -> None:
    async with desk("a", settings(candidates=candidates), alternatives=["b", "c", "d"]) as here:
        assert texts(await here.ask("x = |\n", "invoked")) == expected
        assert here.engine.requests[0].candidates == candidates


async def test_an_explicit_request_keeps_what_is_shown_in_the_first_place() -> None:
    async with desk(by_ending({"x = to": "p(b)", "": "total(a)"})) as here:
        automatic = await here.ask("x = |\n")
        result = await here.ask("x = to|\n", "invoked")
        assert texts(result) == ["tal(a)", "p(b)"]
        assert result.items[0].id == automatic.items[0].id


@pytest.mark.parametrize("candidates", [1, 3])
async def test_an_explicit_request_gets_the_whole_of_what_was_cut_where_the_model_is_unsure(candidates: int) -> None:
    scores = [-0.01] * 4 + [-9.0] * 4
    async with desk("total(a) + b", settings(candidates=candidates, min_confidence=0.9), scores=scores) as here:
        assert texts(await here.ask("x = |\n")) == ["total(a)"]
        assert texts(await here.ask("x = |\n", "invoked"))[0] == "total(a) + b"


async def test_what_was_kept_back_gets_a_new_chance_at_the_next_key_and_what_was_cut_goes_on_behind_its_end() -> None:
    sure, unsure = [-0.01] * 4, [-9.0] * 4
    scores = {"total(a)": unsure, "otal(a)": sure, "sum(b) + q": [*sure, *unsure], " + q": sure}
    answers = {"x = t": "otal(a)", "x = ": "total(a)", "y = sum(b)": " + q", "y = ": "sum(b) + q"}
    async with desk(by_ending(answers), settings(min_confidence=0.9), scores=lambda text: scores[text]) as here:
        kept_back = await here.ask("x = |\n")
        assert "unsure" in kept_back.reason
        assert texts(await here.ask("x = t|\n")) == ["otal(a)"]
        assert texts(await here.ask("y = |\n")) == ["sum(b)"]
        assert texts(await here.ask("y = sum(b)|\n")) == [" + q"]


async def test_the_selected_entry_of_a_suggest_widget_has_offers_of_its_own() -> None:
    async with desk(by_ending({"sorted": "(a)", "sum": "(b)", "so": "nata"})) as here:
        plain = await here.ask("x = so|\n")
        chosen = await here.ask("x = so|\n", selected=(4, "sorted"))
        other = await here.ask("x = so|\n", selected=(4, "sum"))
        assert [texts(result) for result in (plain, chosen, other)] == [["nata"], ["sorted(a)"], ["sum(b)"]]
        assert [(item.start, item.end) for item in chosen.items] == [(4, 6)]
        runs = here.runs
        assert (await here.ask("x = so|\n", selected=(4, "sorted"))).items == chosen.items
        # typing on with the same entry selected
        typed = await here.ask("x = sor|\n", selected=(4, "sorted"))
        assert (texts(typed), typed.items[0].id) == (["sorted(a)"], chosen.items[0].id)
        # and once it has been taken
        taken = await here.ask("x = sorted|\n")
        assert (texts(taken), taken.items[0].id) == (["(a)"], chosen.items[0].id)
        assert here.runs == runs


def entry_at(marked: str, text: str, uri: str = "file:///a.py") -> Entry:
    asked = request(marked, uri=uri)
    origin = Origin.at(asked.document, asked.offset)
    return Entry(origin, "line", 9, settings(), (Offer("1", text, text),), CompletionResult(model="m"))


def test_the_cache_is_bounded_in_entries_documents_and_characters() -> None:
    cache = OfferCache(NoRetrieval())
    for number in range(3 * ENTRIES_OF_A_DOCUMENT):
        cache.put(entry_at(f"x{number} = |\n", "a"))
    assert len(cache) == ENTRIES_OF_A_DOCUMENT
    for number in range(3 * DOCUMENTS):
        cache.put(entry_at("x = |\n", "a", f"file:///{number}.py"))
    assert len(cache._entries) <= DOCUMENTS
    assert len(cache) == DOCUMENTS
    for number in range(30):
        cache.put(entry_at(f"x{number} = |\n", "a" * (CHARACTERS // 10)))
        assert cache.characters <= CHARACTERS
    assert cache.characters == sum(entry.characters for own in cache._entries.values() for entry in own)
    # one that is too long for itself is kept until the next comes
    cache.put(entry_at("y = |\n", "a" * CHARACTERS, "file:///long.py"))
    assert len(cache) == 1
    cache.clear()
    assert (len(cache), cache.characters) == (0, 0)


def test_the_offer_used_last_is_the_first_to_be_asked_and_the_last_to_go() -> None:
    cache = OfferCache(Quotes())
    used, asked = entry_at("x = |\n", "total"), request("x = t|\n")
    used.stamp = (1,)
    cache.put(used)
    for number in range(2 * ENTRIES_OF_A_DOCUMENT):
        cache.put(entry_at(f"y{number} = |\n", "a"))
        hit = cache.find(asked.document, asked.offset, settings(), "m")
        assert hit is not None
        assert (hit.entry, hit.left[0].text) == (used, "otal")
    assert cache.find(asked.document, asked.offset, settings(amount="block"), "m") is None
    # a dead one is forgotten
    assert cache.find(asked.document, asked.offset, settings(), "m") is None
