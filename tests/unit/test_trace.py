"""What is remembered of a request, and for how long."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion import trace
from aix_lsp.completion.trace import WITHHELD, Place, TraceLog, record
from aix_lsp.completion.trace_data import traced_of, traced_to_dict
from aix_lsp.completion.trace_words import headline, segments, summarize, summary_in_words
from aix_lsp.text import TextBuffer
from aix_lsp.types import CompletionItem, CompletionResult, Prompt, Span, Timings
from tests.unit.traces import HOSTILE, log_of, offered, request, silent, traced


def held_by(thing: Any, seen: set[int] | None = None) -> int:
    """Bytes of everything that a record refers to."""
    seen = set() if seen is None else seen
    if id(thing) in seen or thing is None or isinstance(thing, (bool, type)):
        return 0
    seen.add(id(thing))
    size = sys.getsizeof(thing)
    if isinstance(thing, (tuple, list)):
        return size + sum(held_by(part, seen) for part in thing)
    if dataclasses.is_dataclass(thing):
        return size + sum(held_by(getattr(thing, field.name), seen) for field in dataclasses.fields(thing))
    return size


def test_the_latest_are_kept_and_numbers_go_on() -> None:
    log = log_of(*(silent(str(number)) for number in range(5)), capacity=3)
    assert [item.number for item in log] == [3, 4, 5]
    assert (log.asked, len(log), log.latest is log.find(5), log.find(2)) == (5, 3, True, None)


def test_a_capacity_of_0_keeps_nothing_and_tells_nobody() -> None:
    log = TraceLog(0)
    log.listeners.add(lambda item: pytest.fail("told"))
    log.note(request(), offered())
    assert (list(log), log.latest, log.asked) == ([], None, 1)


def test_a_smaller_capacity_holds_at_once() -> None:
    log = log_of(*[silent()] * 6)
    log.resize(2)
    assert [item.number for item in log] == [5, 6]
    log.resize(0)
    assert list(log) == []


def test_a_record_of_a_large_document_holds_a_few_lines_of_it() -> None:
    line = "x = 'something that is rather long'\n"
    asked = request(line * 15_000 + "y = |\n" + line * 15_000)
    prompt = Prompt(tuple(range(10_000, 14_000)), "p" * 100, "psm", elsewhere=(tuple(range(90_000)),))
    held = record(1, 0.0, asked, CompletionResult(prompt=prompt))
    assert held_by(held) < 8_000
    assert held.prompt_tokens == 4_000
    assert held.result.prompt is not None
    assert (held.result.prompt.ids, held.result.prompt.elsewhere) == ((), ())
    assert held.before == line * 5 + "y = "
    assert held.after == "\n" + line * 3


def test_a_line_without_end_is_kept_around_the_cursor_only() -> None:
    held = record(1, 0.0, request("a" * 100_000 + "|" + "b" * 100_000), silent())
    assert held.before == "a" * 1200
    assert held.after == "b" * 600


def test_long_prompts_are_bounded_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_MOST_CHARACTERS", 10_000)
    log = log_of(*[CompletionResult(prompt=Prompt((), "p" * 3_000, "psm"))] * 8)
    assert [item.number for item in log] == [6, 7, 8]


@given(st.text(alphabet="a\r\n\t😀é", max_size=40), st.integers(0, 40))
def test_places_are_those_of_the_document(text: str, offset: int) -> None:
    offset = min(offset, len(text))
    if text[offset - 1 : offset + 1] == "\r\n":
        return  # no place for a cursor
    held = record(1, 0.0, request(text[:offset] + "|" + text[offset:]), silent())
    line, column = TextBuffer(text).position(offset, "utf-32")
    assert held.place == Place(line + 1, column + 1)


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ([], ""),
        (["shown"], "shown"),
        (["shown", "dismissed"], "dismissed"),
        (["shown", "dismissed", "shown", "accepted"], "accepted"),
        (["shown", "partly_accepted", "shown"], "partly accepted"),
        (["partly accepted", "accepted", "shown"], "accepted"),
        (["shown", "typed through"], "typed through"),
    ],
    ids=str,
)
def test_what_became_of_an_offer_is_the_most_that_is_known(told: list[str], known: str) -> None:
    log = log_of(offered(), silent(), offered(source="typed-through"), offered(item_id="other"))
    for what in told:
        log.outcome("one", what)
    log.outcome("unknown", "accepted")
    assert [item.outcome for item in log] == [known, "", known, ""]


def test_listeners_hear_of_each_new_record() -> None:
    heard: list[int] = []
    log = TraceLog(1)
    log.listeners.add(lambda item: heard.append(item.number))
    for _ in range(3):
        log.note(request(), silent())
    assert heard == [1, 2, 3]


@pytest.mark.parametrize(
    "result",
    [
        silent(),
        offered(),
        offered(HOSTILE),
        offered(items=(CompletionItem("a", "x", 2, 4), CompletionItem("b", "y", 4, 4))),
        CompletionResult(timings=Timings(1, 2, 30, 40)),
    ],
    ids=lambda result: result.reason or result.source,
)
def test_a_record_survives_its_way_as_json(result: CompletionResult) -> None:
    held = traced(result)
    data = json.loads(json.dumps(traced_to_dict(held)))
    again = traced_of(data)
    assert traced_to_dict(again) == data
    assert (again.spans, again.outcome, again.shown) == (held.spans, held.outcome, held.shown)
    assert segments(again) == segments(held)
    assert summarize([again]) == summarize([held])


@pytest.mark.parametrize("data", [{}, {"completions": 3}, {"completions": [], "snippets": [{}]}], ids=str)
def test_what_is_no_record_is_refused_in_one_line(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^no record of a request \(.*\)$"):
        traced_of(data)


def test_the_pieces_of_a_prompt_are_the_whole_prompt() -> None:
    held = traced(offered())
    pieces = segments(held)
    assert held.result.prompt is not None
    assert "".join(text for _, text in pieces) == held.result.prompt.text
    assert [part.role if part is not None else None for part, _ in pieces] == [None, "snippet", None, "prefix"]


def test_times_without_stages_are_told_by_the_four_figures() -> None:
    held = traced(CompletionResult(timings=Timings(5, 2, 30, 70)))
    assert held.spans == (
        Span("retrieval", 0, 5),
        Span("prompt", 5, 7),
        Span("first token", 7, 30),
        Span("decode", 30, 70),
    )
    assert traced(silent()).spans == ()


def test_an_offer_that_replaces_typed_text_is_shown_in_its_place() -> None:
    held = record(1, 0.0, request("x = so|)\n"), offered(items=(CompletionItem("a", "sorted(y", 4, 6),)))
    assert held.shown == ("x = ", "sorted(y", ")\n")
    assert (held.starts, held.place) == ((Place(1, 5),), Place(1, 7))


def test_silence_is_counted_by_its_reasons_without_their_advice() -> None:
    log = log_of(
        offered(),
        offered(source="typed-through"),
        silent(),
        silent(),
        silent("code follows the cursor on its line; otherwise"),
        silent("x"),
    )
    log.outcome("one", "accepted")
    assert summary_in_words(summarize(log)) == (
        "6 asked, 2 offered (1 taken); no offer: code follows the cursor on its line: 3, x: 1"
    )
    assert summary_in_words(summarize([])) == "nothing was asked yet"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (offered("\n    a = 1\n    b"), "a = 1 …"),
        (offered("b"), "b"),
        (silent("why not"), "no offer: why not"),
        (silent(""), "no offer: no reason is known"),
        (offered("\n"), ""),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_headline_is_the_offers_first_line_or_the_reason(result: CompletionResult, said: str) -> None:
    assert headline(traced(result)) == said


SECRET = "password = 'hX9kQ2mZ7vB4nT6wY1pL'\n"


def test_of_a_document_that_holds_secrets_no_text_is_kept() -> None:
    asked = replace(request(f"{SECRET}a = |"), selected=(0, SECRET))
    log = TraceLog(5)
    log.note(asked, silent(), private=True)
    assert log.latest is not None
    told = json.dumps(traced_to_dict(log.latest))
    assert "hX9kQ2mZ7vB4nT6wY1pL" not in told
    assert (log.latest.before, log.latest.after, log.latest.selected) == (WITHHELD, "", "")
    assert log.latest.place == Place(2, 5)


def test_a_secret_that_a_model_made_up_is_not_kept() -> None:
    log = log_of(silent("the model's text looks like a secret", raw=SECRET))
    assert log.latest is not None
    assert log.latest.result.raw == WITHHELD


def test_what_a_suggest_widget_holds_is_kept_in_part() -> None:
    found = record(1, 0.0, replace(request(), selected=(0, "x" * 9_000_000)), silent())
    assert 0 < len(found.selected) < 1_000


def test_requests_without_an_answer_of_their_own_are_counted_in_the_summary() -> None:
    log = log_of(offered())
    assert "more" not in summary_in_words(summarize(log))
    assert summary_in_words(summarize(log, 3)).endswith("; 3 more overtaken by newer ones or cancelled since the start")
    assert summary_in_words(summarize([], 2)).startswith("nothing was answered yet; 2 more")
