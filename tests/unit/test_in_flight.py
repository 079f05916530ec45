"""A generation that runs is kept while typing agrees with it, and dropped at once when it does not."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from aix_lsp.completion import in_flight
from aix_lsp.completion.in_flight import Run
from aix_lsp.engine.base import Superseded
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.types import CompletionRequest
from tests.unit.desk import Desk, by_ending, desk, request, settings, texts

LONG = "total(amounts, rate, other)"


async def until_streamed(here: Desk, text: str) -> None:
    """Wait until the run of the one document has written so much."""
    await here.until(lambda: any(run.text.startswith(text) for run in here.service._in_flight._runs.values()))


async def test_typing_on_in_agreement_the_last_request_gets_what_is_left_of_the_one_run() -> None:
    async with desk(LONG, delay=0.05) as here:
        first = here.send("x = |\n")
        await until_streamed(here, "total(")
        second = here.send("x = t|\n")
        with pytest.raises(Superseded):
            await first
        third = here.send("x = tot|\n")
        with pytest.raises(Superseded):
            await second
        result = await third
        assert (texts(result), result.source, here.runs) == (["al(amounts, rate, other)"], "joined", 1)
        assert result.tokens > 0
        assert result.prompt is not None
        assert all(0 <= span.start <= span.end for span in result.spans)
        # and it is kept for the keys that follow
        again = await here.ask("x = tota|\n")
        assert (again.items[0].id, again.source, here.runs) == (result.items[0].id, "typed-through", 1)


async def test_what_was_typed_before_the_first_token_may_turn_out_to_agree() -> None:
    async with desk(LONG, delay=0.1) as here:
        first = here.send("x = |\n")
        await here.until(lambda: here.runs == 1)
        second = here.send("x = t|\n")
        with pytest.raises(Superseded):
            await first
        assert (await second).source == "joined"
        assert here.runs == 1


@pytest.mark.parametrize("streamed", ["", "total("])
async def test_typing_that_disagrees_ends_the_run_at_once(streamed: str) -> None:
    script = by_ending({"x = q": "uick", "": LONG + " + more" * 100})
    async with desk(script, delay=0.05) as here:
        first = here.send("x = |\n")
        await here.until(lambda: here.runs == 1)
        if streamed:
            await until_streamed(here, streamed)
        result = await here.ask("x = q|\n")
        with pytest.raises(Superseded):
            await first
        assert (texts(result), result.source, here.runs) == (["uick"], "model", 2)


async def test_a_run_whose_prompt_was_not_begun_is_begun_anew() -> None:
    async with desk(LONG, settings(debounce_ms=300)) as here:
        first = here.send("x = |\n")
        await asyncio.sleep(0.01)
        result = await here.ask("x = t|\n")
        with pytest.raises(Superseded):
            await first
        assert (result.source, here.runs) == ("model", 1)


async def test_a_run_is_not_joined_where_the_answer_could_be_another() -> None:
    async with desk(LONG, delay=0.05, alternatives=["sum(a)"]) as here:
        for other in ({"trigger": "invoked"}, {"selected": (4, "sum")}):
            first = here.send("x = |\n")
            await until_streamed(here, "total(")
            result = await here.ask("x = t|\n", **other)  # type: ignore[arg-type]
            assert result.source == "model"
            with pytest.raises(Superseded):
                await first
            here.service._cache.clear()


async def test_without_reuse_no_run_is_joined() -> None:
    async with desk(LONG, settings(reuse=False), delay=0.05) as here:
        first = here.send("x = |\n")
        await until_streamed(here, "total(")
        result = await here.ask("x = t|\n")
        with pytest.raises(Superseded):
            await first
        assert (result.source, here.runs) == ("model", 2)


async def test_runs_of_two_documents_do_not_meet() -> None:
    async with desk(LONG, delay=0.005) as here:
        both = await asyncio.gather(here.ask("x = |\n"), here.ask("x = |\n", uri="file:///b.py"))
        assert [result.source for result in both] == ["model", "model"]


async def test_a_joined_request_can_follow_the_text_from_where_it_is() -> None:
    async with desk(LONG, delay=0.05) as here:
        first = here.send("x = |\n")
        await until_streamed(here, "total(")
        seen: list[str] = []
        await here.service.complete(request("x = tot|\n"), here.settings, seen.append)
        assert all(text.startswith("al(") for text in seen)
        assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
        with pytest.raises(Superseded):
            await first


async def cancelled(
    here: Desk, now: str | None, *, streamed: str = "total(", asked: CompletionRequest | None = None
) -> None:
    """Send a request, and cancel it when so much is written and the document's text is `now`."""
    work = here.service.complete(asked or request("x = |\n"), here.settings, text_now=lambda: now)
    task = asyncio.ensure_future(work)
    await here.until(lambda: here.runs == 1)
    if streamed:
        await until_streamed(here, streamed)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("now", ["x = t\n", "x = total(\n", "x = total()\n", "x = \n"])
async def test_a_cancel_of_who_types_on_leaves_the_run_to_the_next_request(
    now: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "GRACE_SECONDS", 5.0)
    async with desk(LONG, delay=0.05) as here:
        await cancelled(here, now)
        marked = now.replace("\n", "|\n") if ")" not in now else "x = total(|)\n"
        if now == "x = \n":  # the change comes behind the cancel
            marked = "x = t|\n"
        result = await here.ask(marked)
        assert (result.source, here.runs) == ("joined", 1)


async def test_the_model_is_not_held_longer_than_a_moment_for_nobody() -> None:
    async with desk(LONG + " + more" * 500, delay=0.01) as here:
        await cancelled(here, "x = t\n")
        assert here.service._in_flight._runs
        await here.until(lambda: not here.service._in_flight._runs)
        await here.until(lambda: here.engine._queue.running is None)


async def test_typing_on_with_the_same_entry_selected_leaves_the_run_to_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_flight, "GRACE_SECONDS", 5.0)
    async with desk("(amounts, rate)", delay=0.05) as here:
        await cancelled(here, "x = sor\n", streamed="(", asked=request("x = so|\n", selected=(4, "sorted")))
        result = await here.ask("x = sor|\n", selected=(4, "sorted"))
        assert (texts(result), result.source, here.runs) == (["sorted(amounts, rate)"], "joined", 1)


async def test_a_run_that_nobody_waits_for_is_not_in_the_way_of_another_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_flight, "GRACE_SECONDS", 60.0)
    script = by_ending({"y = ": "b", "": LONG + " + more" * 500})
    async with desk(script, delay=0.01) as here:
        # the other document's request comes behind the cancel, and before it
        await cancelled(here, "x = t\n")
        assert texts(await here.ask("y = |\n", uri="file:///b.py")) == ["b"]
        work = here.service.complete(request("x = |\n"), here.settings, text_now=lambda: "x = \n")
        task = asyncio.ensure_future(work)
        await until_streamed(here, "total(")
        other = here.send("z = y = |\n", uri="file:///b.py")
        await asyncio.sleep(0)
        task.cancel()
        assert texts(await other) == ["b"]


@pytest.mark.parametrize("steps", range(12))
async def test_a_cancel_frees_the_model_wherever_the_request_is(steps: int) -> None:
    async with desk(LONG + " + more" * 500, delay=0.05) as here:
        task = here.send("x = |\n")
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(10):
            await asyncio.sleep(0)
        assert not here.service._in_flight._runs


async def test_requests_that_were_given_up_while_the_model_loads_leave_nothing_behind() -> None:
    engine = ScriptedEngine("total", load_delay=0.5)
    engine.start(asyncio.get_running_loop())
    here = Desk(engine, settings(), 0.0)
    sent = []
    for number in range(20):
        sent.append(here.send(f"x = {'t' * number}|\n"))
        await asyncio.sleep(0.005)
    for task in sent[:-1]:
        with pytest.raises(Superseded):
            await task
    assert len(engine._watchers) == 1
    assert texts(await sent[-1]) == ["total"]
    here.service.close()
    engine.close()


async def test_an_explicit_request_joins_no_run_whose_offer_may_be_kept_back() -> None:
    unsure = settings(candidates=1, min_confidence=0.5)
    async with desk(LONG, unsure, delay=0.02, scores=[-4.5] * 20) as here:
        first = here.send("x = |\n")
        await until_streamed(here, "total(")
        explicit = await here.ask("x = |\n", "invoked")
        with pytest.raises(Superseded):
            await first
        assert (texts(explicit), explicit.source) == ([LONG], "model")


async def test_closing_a_document_frees_the_model_of_it_and_forgets_its_offers() -> None:
    async with desk(by_ending({"x = ": LONG + " + more" * 500, "": "b"}), delay=0.01) as here:
        await here.ask("y = z|\n")
        assert here.service._cache.characters > 0
        waiting = here.send("x = |\n")
        await until_streamed(here, "total(")
        here.service.closed(request("|").document.uri)
        with pytest.raises(Superseded):
            await waiting
        await here.until(lambda: here.engine._queue.running is None)
        assert (len(here.service._cache), here.service._cache.characters) == (0, 0)


@pytest.mark.parametrize("now", ["x = q\n", "y = t\n", "", None])
async def test_any_other_cancel_frees_the_model_at_once(now: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "GRACE_SECONDS", 60.0)
    async with desk(LONG + " + more" * 500, delay=0.01) as here:
        await cancelled(here, now)
        await here.until(lambda: not here.service._in_flight._runs)
        await here.until(lambda: here.engine._queue.running is None)


async def test_a_run_that_ends_while_nobody_waits_is_kept_for_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_flight, "GRACE_SECONDS", 5.0)
    async with desk(LONG, delay=0.005) as here:
        await cancelled(here, "x = t\n", streamed="total(")
        await here.until(lambda: len(here.service._cache) == 1)
        result = await here.ask("x = t|\n")
        assert (result.source, here.runs) == ("typed-through", 1)


async def test_closing_ends_every_run() -> None:
    async with desk(LONG, delay=0.05) as here:
        waiting = here.send("x = |\n")
        await here.until(lambda: here.runs == 1)
        here.service.close()
        with pytest.raises(Superseded):
            await waiting


@pytest.mark.parametrize(
    ("before", "streamed", "typed", "agrees"),
    [
        ("x = ", "", "a", True),
        ("x = ", "ab", "a", True),
        ("x = ", "ab", "abc", True),
        ("x = ", "ab", "b", False),
        ("x = ", "a\nb", "a\r\nb", True),
        # a model that writes the indentation over again
        ("    ", "  ", "a", True),
        ("    ", "    a", "a", True),
        ("    ", "    b", "a", False),
    ],
)
def test_what_agrees(before: str, streamed: str, typed: str, agrees: bool) -> None:
    run = Run(request(before + "|"), settings())
    run.text = streamed
    text: Any = request(before + typed + "|")
    assert (run.reached(text.document, text.offset) is not None) == agrees
