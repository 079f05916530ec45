"""The remote engine against servers that answer as they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.engine.base import EngineClosed, EngineError, LoadEvent, ModelError, Superseded
from aix_lsp.engine.remote import RemoteEngine
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.logs import of_request
from tests.unit.remote_server import TOKENIZER, Fault, Kind, ModelServer, request, settings_for, until

Make = Callable[..., Awaitable[tuple[ModelServer, RemoteEngine, list[LoadEvent]]]]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    """A server, an engine for it and the list of what the engine tells; all closed at the end."""
    async with AsyncExitStack() as stack:

        async def together(
            kind: Kind = "vllm", *, fallback: Any = None, environment: dict[str, str] | None = None, **options: Any
        ) -> tuple[ModelServer, RemoteEngine, list[LoadEvent]]:
            own = {
                name: options.pop(name)
                for name in ("text", "delay", "token", "models", "drops_space", "lifts", "tls", "scores")
                & options.keys()
            }
            server = await stack.enter_async_context(ModelServer(kind, **own))
            told: list[LoadEvent] = []
            engine = RemoteEngine(
                settings_for(server, **options), told.append, fallback=fallback, environment=environment or {}
            )
            stack.push_async_callback(engine.wait_closed)
            stack.callback(engine.close)
            return server, engine, told

        yield together


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp", "counting", "text"])
async def test_every_kind_of_server_answers_the_same(make: Make, kind: Kind) -> None:
    server, engine, told = await make(kind)
    shown: list[str] = []
    generation = await engine.generate(request(on_text=shown.append))
    assert generation.text == "b + c\n"
    assert generation.finish == "end"
    assert generation.tokens > 2
    assert shown[-1] == generation.text
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    (sent,) = server.completions
    assert isinstance(sent.body["prompt"], str) == (kind == "text")
    assert ("stop_token_ids" in sent.body) == (kind != "text")
    assert told[-1].kind == "ready"
    assert engine.state.phase == "ready"


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp", "counting", "text"])
async def test_a_server_that_tells_how_likely_its_tokens_are_is_asked_and_heard(make: Make, kind: Kind) -> None:
    server, engine, _ = await make(kind, scores="tells")
    generation = await engine.generate(request(stop=lambda text: "c" in text))
    assert generation.text == "b + c"
    pieces = [TOKENIZER.decode([token]) for token in TOKENIZER.encode(generation.text)]
    ends = [len("".join(pieces[: number + 1])) for number in range(len(pieces))]
    assert [score.end for score in generation.scores] == ends
    assert [score.log_probability for score in generation.scores] == [-0.5 * (n + 1) for n in range(len(pieces))]
    assert server.completions[-1].body["logprobs"] == 1


@pytest.mark.parametrize("scores", ["", "refuses", "garbage"])
async def test_a_server_that_does_not_is_not_asked_and_answers_all_the_same(make: Make, scores: str) -> None:
    server, engine, told = await make("vllm", scores=scores)
    generation = await engine.generate(request())
    assert (generation.text, generation.scores) == ("b + c\n", ())
    assert "logprobs" not in server.completions[-1].body
    assert not [event for event in told if event.kind == "warning"]


async def test_the_context_is_what_the_server_says_unless_it_is_set(make: Make) -> None:
    for kind, options, wanted in (("vllm", {}, 1024), ("llama.cpp", {}, 512), ("vllm", {"context": 300}, 300)):
        _, engine, _ = await make(kind, **options)
        assert (await engine.ready()).max_positions == wanted
    with pytest.raises(EngineError, match="takes at most 300"):
        await engine.generate(request("a b " * 300))


async def test_the_token_limit_and_the_stop_end_an_answer(make: Make) -> None:
    server, engine, _ = await make(text="first line\nsecond line\n", delay=0.01)
    short = await engine.generate(request(max_new_tokens=2))
    assert (short.finish, short.tokens) == ("length", 2)
    stopped = await engine.generate(request(stop=lambda text: "\n" in text))
    assert (stopped.finish, stopped.text) == ("stop", "first line\n")
    await asyncio.wait_for(server.completions[-1].gone.wait(), 60)


async def test_a_cancelled_request_closes_its_stream(make: Make) -> None:
    server, engine, _ = await make(text="word " * 200, delay=0.02)
    task = asyncio.ensure_future(engine.generate(request()))
    await until(lambda: server.completions)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.completions[0].gone.wait(), 60)


async def test_the_latest_request_of_a_document_wins_and_others_go_on(make: Make) -> None:
    server, engine, _ = await make(text="word " * 30, delay=0.01)
    first = asyncio.ensure_future(engine.generate(request(document="a")))
    other = asyncio.ensure_future(engine.generate(request(document="b")))
    await until(lambda: len(server.completions) == 2)
    second = asyncio.ensure_future(engine.generate(request(document="a", max_new_tokens=2)))
    with pytest.raises(Superseded):
        await first
    assert (await second).tokens == 2
    assert (await other).finish == "end"


async def test_a_background_request_gives_way(make: Make) -> None:
    server, engine, _ = await make(text="word " * 200, delay=0.02)
    background = asyncio.ensure_future(engine.generate(request(document="a", background=True)))
    await until(lambda: server.completions)
    front = asyncio.ensure_future(engine.generate(request(document="b", max_new_tokens=3)))
    with pytest.raises(Superseded):
        await background
    with pytest.raises(Superseded):
        await engine.generate(request(document="c", background=True))
    assert (await front).tokens == 3
    assert (await engine.generate(request(document="c", background=True, max_new_tokens=1))).tokens == 1


async def test_closing_ends_a_request_and_refuses_the_next(make: Make) -> None:
    server, engine, _ = await make(text="word " * 200, delay=0.02)
    task = asyncio.ensure_future(engine.generate(request()))
    await until(lambda: server.completions)
    engine.close()
    with pytest.raises(EngineClosed):
        await task
    with pytest.raises(EngineClosed):
        await engine.generate(request())
    await asyncio.wait_for(server.completions[0].gone.wait(), 60)


async def test_candidates_are_drawn_beside_the_first_and_differ(make: Make) -> None:
    server, engine, _ = await make()
    generation = await engine.generate(request(candidates=4))
    assert generation.text == "b + c\n"
    assert len(generation.alternatives) == len(set(generation.alternatives)) == 2
    first, more = (seen.body for seen in server.completions)
    assert ("n" not in first, first["temperature"]) == (True, 0.0)
    assert more["n"] == 3
    assert more["temperature"] > 0


async def test_what_is_sent_for_a_request_has_its_id_and_is_told_apart(make: Make) -> None:
    server, engine, _ = await make()
    await engine.ready()
    known = len(server.seen)
    with of_request("c0ffee12-7"):
        await engine.generate(request(candidates=4))
    await engine.generate(request())
    names = [seen.headers["x-request-id"] for seen in server.seen]
    assert [name.partition(".")[0] == "c0ffee12-7" for name in names[known:]] == [True, True, False]
    assert len(set(names)) == len(names)


async def test_sampling_is_passed_on(make: Make) -> None:
    server, engine, _ = await make()
    await engine.generate(request(temperature=0.7, top_p=0.9, seed=11))
    body = server.completions[0].body
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.7, 0.9, 11)


async def test_what_was_made_until_the_time_limit_is_used(make: Make) -> None:
    server, engine, _ = await make(text="word " * 100, delay=0.02)
    await engine.ready()
    generation = await engine.generate(request(max_new_tokens=90, time_limit=0.4))
    assert generation.finish == "timeout"
    assert generation.text.startswith("word word")
    await asyncio.wait_for(server.completions[0].gone.wait(), 60)


async def test_markers_that_a_server_writes_out_end_the_answer(make: Make) -> None:
    _, engine, _ = await make("text", text="done <AIX-SPAN-PRE> and more")
    generation = await engine.generate(request())
    assert generation.text.rstrip() == "done"
    assert generation.finish == "end"


async def test_a_space_that_a_server_drops_is_put_back_and_told(make: Make) -> None:
    _, engine, told = await make("text", text=" b + c\n", drops_space=True)
    assert (await engine.generate(request("a ="))).text == " b + c\n"
    assert [event.kind for event in told if event.kind != "progress"] == ["warning", "ready"]


async def test_the_model_is_chosen_from_the_servers_list(make: Make) -> None:
    _, engine, _ = await make(models=("other", "aix-mini"), model="aix-mini")
    assert (await engine.ready()).name == "aix-mini"
    _, engine, _ = await make(models=("other",), model="aix-mini")
    with pytest.raises(ModelError, match="has no model aix-mini; it has other"):
        await engine.ready()


async def test_the_token_of_the_environment_is_sent_and_shown_nowhere(make: Make) -> None:
    server, engine, told = await make(token="s3cret", environment={"HERE": "s3cret"}, token_env="HERE")
    await engine.generate(request())
    assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer s3cret"}
    assert {seen.headers["accept-encoding"] for seen in server.seen} == {"identity"}
    assert "s3cret" not in repr(told) + repr(engine.state) + repr(engine.model)
    server.token = "another"
    with pytest.raises(EngineError) as refused:
        await engine.generate(request())
    assert "refuses the token (401) of HERE" in str(refused.value)
    assert "s3cret" not in str(refused.value)


async def test_another_model_answers_while_the_server_is_away_if_that_is_wanted(make: Make) -> None:
    def scripted() -> ScriptedEngine:
        return ScriptedEngine("meanwhile")

    server, engine, told = await make(fallback=scripted)
    assert (await engine.generate(request())).model == "aix-mini"
    await server.stop()
    with pytest.raises(EngineError, match="refuses the connection"):
        await engine.generate(request())
    assert (await engine.generate(request())).text == "meanwhile"
    assert told[-1].message.endswith("; is it running? The embedded model answers meanwhile")
    await server.listen()
    await until(lambda: engine.state.phase == "ready")
    assert (await engine.generate(request())).model == "aix-mini"


async def test_another_model_answers_while_the_server_asks_to_wait(make: Make) -> None:
    server, engine, told = await make(fallback=lambda: ScriptedEngine("meanwhile"))
    assert (await engine.generate(request())).model == "aix-mini"
    server.fault = Fault(429, "", headers=["Retry-After: 1"])
    with pytest.raises(EngineError, match="asks to wait 1 s"):
        await engine.generate(request())
    server.fault = None
    assert (await engine.generate(request())).text == "meanwhile"
    assert told[-1].message.endswith("; it asks to wait 1 s; the embedded model answers meanwhile")
    await until(lambda: engine.state.phase == "ready")
    assert (await engine.generate(request())).model == "aix-mini"
