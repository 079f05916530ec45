"""A word that the cursor cuts in two is spelled out again by servers that can lift tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aix_lsp.engine.remote import RemoteEngine
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.remote_server import TOKENIZER, Kind, ModelServer, settings_for


@asynccontextmanager
async def engine_of(kind: Kind, **options: Any) -> AsyncIterator[tuple[ModelServer, RemoteEngine]]:
    async with ModelServer(kind, **options) as server:
        engine = RemoteEngine(settings_for(server), environment={})
        try:
            yield server, engine
        finally:
            engine.close()
            await engine.wait_closed()


def asked(text: str, **options: Any) -> GenerationRequest:
    document = DocumentSnapshot("file:///a.py", text, "python", 0, "a.py")

    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return build_prompt(tokenizer, info, document, len(text), (), PromptSettings(), 32)

    return GenerationRequest(build_prompt=build, max_new_tokens=32, **options)


def lifting(server: ModelServer) -> int:
    """Requests that lifted tokens, without the one that tries it out."""
    return sum("logit_bias" in seen.body for seen in server.seen) - 1


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
async def test_a_begun_word_is_spelled_out_and_cut_off(kind: Kind) -> None:
    async with engine_of(kind, text=" compute_grand_total(x)\n", lifts=True) as (server, engine):
        assert (await engine.ready()).token_healing
        shown: list[str] = []
        generation = await engine.generate(asked("y = compute_gr", on_text=shown.append))
        assert generation.prompt.required == " compute_gr"
        assert generation.text == "and_total(x)\n"
        assert all(generation.text.startswith(text) for text in shown)
        assert lifting(server) >= 1
        (stream,) = server.completions
        assert stream.body["prompt"][: len(generation.prompt.ids)] == list(generation.prompt.ids)


async def test_a_character_is_told_from_the_piece_of_its_byte() -> None:
    async with engine_of("llama.cpp", text=" zq_total(x)\n", lifts=True) as (server, engine):
        generation = await engine.generate(asked("y = zq"))
        assert generation.text == "_total(x)\n"
        begun = server.completions[0].body["prompt"][len(generation.prompt.ids) :]
        assert len(begun) > 1
        assert all(TOKENIZER.encode(TOKENIZER.decode([token])) == [token] for token in begun)


async def test_a_begun_blank_takes_no_request_of_its_own() -> None:
    async with engine_of("vllm", text=" total\n", lifts=True) as (server, engine):
        generation = await engine.generate(asked("y = "))
        assert generation.prompt.required == " "
        assert (generation.text, lifting(server), len(server.completions)) == ("total\n", 0, 1)
        server.text = "(total)\n"
        generation = await engine.generate(asked("y = "))
        assert (generation.text, len(server.completions)) == ("(total)\n", 3)


async def test_a_server_that_lifts_nothing_gets_the_word_as_it_stands() -> None:
    async with engine_of("vllm", text="and_total(x)\n") as (_, engine):
        assert not (await engine.ready()).token_healing
        generation = await engine.generate(asked("y = compute_gr"))
        assert (generation.prompt.required, generation.text) == ("", "and_total(x)\n")


async def test_a_server_that_stops_to_lift_gets_the_word_back() -> None:
    async with engine_of("vllm", text="and_total(x)\n", lifts=True) as (server, engine):
        await engine.ready()
        server.lifts = False
        generation = await engine.generate(asked("y = compute_gr"))
        assert generation.prompt.required == " compute_gr"
        assert generation.text == "and_total(x)\n"


async def test_further_candidates_begin_with_the_word_too() -> None:
    async with engine_of("vllm", text=" compute_grand_total(x)\n", lifts=True) as (server, engine):
        generation = await engine.generate(asked("y = compute_gr", candidates=2))
        assert generation.text == "and_total(x)\n"
        first, more = (seen.body["prompt"] for seen in server.completions)
        assert first == more
