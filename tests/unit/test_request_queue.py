"""Who waits, who runs, who is replaced: the rules alone, then the model thread under random sequences of requests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.base import Superseded
from aix_lsp.engine.request_queue import RequestQueue
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.types import Generation
from tests.unit.engine_doubles import PATIENCE_S, request


@dataclass(frozen=True)
class Asked:
    number: int
    document: str = ""
    client: str = ""
    background: bool = False


def numbers(items: list[Asked]) -> list[int]:
    return [item.number for item in items]


def order(queue: RequestQueue[Asked]) -> list[int]:
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item.number)
        queue.done(item)
    return taken


def test_the_latest_of_a_document_replaces_its_earlier_ones_waiting_or_running() -> None:
    queue: RequestQueue[Asked] = RequestQueue()
    first = Asked(1, "a")
    assert queue.put(first) == []
    assert queue.take() is first
    assert queue.put(Asked(2, "b")) == []
    assert numbers(queue.put(Asked(3, "a"))) == [1]
    assert numbers(queue.put(Asked(4, "b"))) == [2]
    assert order(queue) == [3, 4]


def test_the_same_document_of_two_clients_is_two_documents() -> None:
    queue: RequestQueue[Asked] = RequestQueue()
    assert queue.put(Asked(1, "a", "one")) == []
    assert queue.put(Asked(2, "a", "two")) == []
    assert order(queue) == [1, 2]


def test_clients_take_turns_however_much_one_of_them_asks() -> None:
    queue: RequestQueue[Asked] = RequestQueue()
    for number in range(4):
        queue.put(Asked(number, str(number), "busy"))
    queue.put(Asked(10, "x", "other"))
    queue.put(Asked(11, "y", "other"))
    assert order(queue) == [0, 10, 1, 11, 2, 3]


def test_a_background_request_runs_last_and_is_replaced_by_any_other() -> None:
    queue: RequestQueue[Asked] = RequestQueue()
    queue.put(Asked(1, "a"))
    assert queue.put(Asked(2, "a", background=True)) == []
    assert order(queue) == [1, 2]
    queue.put(Asked(3, "a", background=True))
    assert numbers(queue.put(Asked(4, "b", background=True))) == [3]
    assert numbers(queue.put(Asked(5, "c", "another client"))) == [4]
    assert order(queue) == [5]


def test_what_was_dropped_never_runs_and_clearing_returns_the_rest() -> None:
    queue: RequestQueue[Asked] = RequestQueue()
    items = [Asked(number, str(number)) for number in range(3)]
    for item in items:
        queue.put(item)
    queue.drop(items[1])
    queue.drop(items[1])
    assert queue.take() is items[0]
    assert queue.clear() == [items[2], items[0]]
    assert queue.take() is None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.just(False)),
        st.tuples(st.just("wait"), st.integers(0, 3), st.just(False)),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(steps)
def test_each_request_is_answered_once_and_the_latest_of_each_document_wins(
    steps: list[tuple[str, object, bool]],
) -> None:
    asyncio.run(_play(steps))


def _note(answers: list[int], number: int, task: asyncio.Task[Generation]) -> None:
    answers.append(number)


async def _play(steps: list[tuple[str, object, bool]]) -> None:
    engine = ScriptedEngine(lambda prompt: f"answer {prompt.text}", delay=0.0002)
    asked: list[tuple[str, bool]] = []
    tasks: list[asyncio.Task[Generation]] = []
    answers: list[int] = []
    cancelled: set[int] = set()
    for kind, what, background in steps:
        if kind == "ask":
            number = len(tasks)
            job = request(str(number), document=str(what), background=background)
            tasks.append(asyncio.create_task(engine.generate(job)))
            tasks[-1].add_done_callback(partial(_note, answers, number))
            asked.append((str(what), background))
            await asyncio.sleep(0)
        elif kind == "cancel" and isinstance(what, int) and what < len(tasks):
            if tasks[what].cancel():
                cancelled.add(what)
        elif kind == "wait" and isinstance(what, int):
            await asyncio.sleep(what * 0.0003)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_S)
    await asyncio.sleep(0)
    engine.close()
    assert sorted(answers) == list(range(len(tasks)))
    for number, (result, (document, background)) in enumerate(zip(results, asked, strict=True)):
        later = asked[number + 1 :]
        if isinstance(result, Generation):
            assert result.text == f"answer {number}"
        elif isinstance(result, asyncio.CancelledError):
            assert number in cancelled
        else:
            assert isinstance(result, Superseded)
            assert later if background else (document, False) in later
        if number not in cancelled and not background and (document, False) not in later:
            assert isinstance(result, Generation)
    foreground = [n for n, (_, background) in enumerate(asked) if not background]
    if asked and asked[-1][1] and len(asked) - 1 not in cancelled:
        # nothing came after the last one, so it ran, although it had to wait for all others
        assert isinstance(results[-1], Generation)
        ran = [n for n in foreground if isinstance(results[n], Generation)]
        assert all(answers.index(n) < answers.index(len(asked) - 1) for n in ran)
