"""What holds for every offer, in real files of nine languages with a hole and something put into it."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.completion.fitting_indentation import is_consistent
from aix_lsp.completion.fitting_scan import scan
from aix_lsp.completion.place import Place, place_at
from aix_lsp.completion.postprocess import fit
from aix_lsp.completion.service import CompletionService, NoRetrieval
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.languages import language_id_of
from aix_lsp.settings import CompletionSettings, Settings
from aix_lsp.types import Amount, CompletionRequest, DocumentSnapshot

SOURCES = sorted(path for path in Path(__file__).parents[1].joinpath("fixtures", "sources").iterdir() if path.is_file())
TEXTS = {path.name: path.read_bytes().decode("utf-8") for path in SOURCES}

JUNK = st.text(st.sampled_from("ab(){}[]\"'` \n\t:,.=;\r"), max_size=30)
OTHER_INDENTATION = {"none": None, "tabs": "\t", "two": "  ", "eight": " " * 8}


@st.composite
def offers(draw: st.DrawFn) -> tuple[Place, str]:
    """A place in a file where something was cut out, and what a model says there: what was cut out, up to the end or
    beyond, with rubbish behind it, in another indentation."""
    name = draw(st.sampled_from(sorted(TEXTS)))
    text = TEXTS[name]
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    start = draw(st.integers(0, len(text)))
    if text[start - 1 : start + 1] == "\r\n":
        start -= 1
    end = draw(st.integers(start, min(len(text), start + 300)))
    if draw(st.booleans()):  # as editors are used: up to the end of a line
        match = re.compile(r"\r?\n").search(text, end)
        end = match.start() if match else len(text)
    if text[end - 1 : end + 1] == "\r\n":
        end -= 1
    amount: Amount = draw(st.sampled_from(["line", "block"]))
    hole = DocumentSnapshot("", text[:start] + text[end:], language_id_of(name), 0, name)
    place = place_at(hole, start, amount, 24)
    said = text[start : min(len(text), end + draw(st.sampled_from([0, 0, 5, 60])))] + draw(st.just("") | JUNK)
    unit = OTHER_INDENTATION[draw(st.sampled_from(sorted(OTHER_INDENTATION)))]
    if unit is not None:
        said = re.sub(r"\n[ \t]+", lambda match: "\n" + unit * (len(match.group()) // 3), said)
    return replace(place, unfinished=draw(st.booleans())), said


@given(offers())
@settings(max_examples=300)
def test_the_document_has_no_more_brackets_and_quotes_without_a_partner_than_before(offer: tuple[Place, str]) -> None:
    place, said = offer
    text = fit(said, place).text
    before = scan(place.prefix + place.suffix, place.grammar)
    after = scan(place.prefix + text + place.suffix, place.grammar)
    # but for the brace of a body at a line's end, and the brackets around it
    opened = len(scan(text, place.grammar).stack) if text.endswith("{") and "\n" not in text.strip() else 0
    assert after.unmatched <= before.unmatched + opened


@given(offers())
@settings(max_examples=300)
def test_fitting_twice_changes_nothing_more(offer: tuple[Place, str]) -> None:
    place, said = offer
    once = fit(said, place).text
    again = fit(once, replace(place, unfinished=False))
    assert (again.text, again.changes) == (once, ())


@given(offers())
@settings(max_examples=300)
def test_whole_lines_are_indented_as_the_document_is(offer: tuple[Place, str]) -> None:
    place, said = offer
    assert is_consistent(fit(said, place).text, place)


@given(offers())
def test_line_breaks_are_the_documents(offer: tuple[Place, str]) -> None:
    place, said = offer
    offered = fit(said, place).text
    assert set(re.findall(r"\r\n|\n|\r", offered)) <= {place.line_break}


@given(offers())
def test_an_offer_says_something_and_ends_with_it(offer: tuple[Place, str]) -> None:
    place, said = offer
    offered = fit(said, place).text
    assert offered.strip() or not offered
    assert offered.rstrip() == offered or re.match(r"\w", place.around.after)


@given(offers())
def test_but_for_white_space_an_offer_is_a_part_of_what_the_model_said(offer: tuple[Place, str]) -> None:
    place, said = offer
    assert "".join(fit(said, place).text.split()) in "".join(said.split())


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_accepting_an_item_leaves_all_around_the_cursor_untouched(name: str) -> None:
    """Through the whole service: the item replaces nothing, so what stood there stands there."""
    text = TEXTS[name]
    draw = random.Random(name)

    async def ask() -> None:
        said = {"text": ""}
        engine = ScriptedEngine(lambda prompt: said["text"])
        service = CompletionService(engine, NoRetrieval())
        options = Settings(completion=CompletionSettings(prepare_next=False, debounce_ms=0))
        try:
            for number in range(12):
                start = draw.randrange(len(text))
                end = min(len(text), start + draw.randrange(200))
                said["text"] = text[start : end + draw.choice([0, 40])] + draw.choice(["", ")", "}\n", "</s>"])
                document = DocumentSnapshot(
                    f"file:///{number}/{name}", text[:start] + text[end:], language_id_of(name), 0, name
                )
                result = await service.complete(CompletionRequest(document, start, "invoked"), options)
                for item in result.items:
                    assert item.start == item.end == start
                    accepted = document.text[: item.start] + item.text + document.text[item.end :]
                    assert accepted.startswith(text[:start])
                    assert accepted.endswith(text[end:])
        finally:
            service.close()
            engine.close()

    asyncio.run(ask())
