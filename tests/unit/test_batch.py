"""Several requests at once give what each gives alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aix_lsp.engine.base import Engine, EngineClosed, EngineError
from aix_lsp.engine.batch import BatchEngine
from aix_lsp.engine.batch_decode import BatchDecoder
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import ModelSettings, PromptSettings
from aix_lsp.types import DocumentSnapshot, Generation, GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.tiny_models import VOCABULARY, embedded_folder, save_model, tiny_model


class Engines:
    """One model, loaded twice: one request at a time, and `most` at once."""

    def __init__(self, model: str, most: int = 4, **options: Any) -> None:
        # in double precision: products over one row and over several round otherwise, and in single precision that
        # decides between the two likeliest tokens of a random model once in some thousand
        own = ModelSettings(
            name=model, device="cpu", cpu_decode="none", speculation="off", threads=1, **options
        ).model_copy(update={"dtype": "float64"})
        self.one, self.many = BatchEngine(own, most=1), BatchEngine(own, most=most)

    def both(self, requests: Sequence[GenerationRequest]) -> tuple[list[Any], list[Any]]:
        """Answers one by one, and all at once; errors are among them."""
        return asyncio.run(self._both(requests))

    async def _both(self, requests: Sequence[GenerationRequest]) -> tuple[list[Any], list[Any]]:
        alone = [await outcome(self.one, request) for request in requests]
        return alone, await asyncio.gather(*(outcome(self.many, request) for request in requests))

    def close(self) -> None:
        """End both."""
        self.one.close()
        self.many.close()


async def outcome(engine: Engine, request: GenerationRequest) -> Any:
    """What can be compared of an answer: all but times."""
    try:
        generation = await engine.generate(request)
    except EngineError as error:
        return type(error).__name__, str(error)
    return told(generation)


def told(generation: Generation) -> tuple[Any, ...]:
    return generation.text, generation.tokens, generation.finish, generation.prompt, generation.model


def asked(number: int, ids: Sequence[int], limit: int, *, stop_at: int = 0, **options: Any) -> GenerationRequest:
    """A prompt of these tokens; with `stop_at` the text ends once it has so many characters."""

    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt(ids=tuple(ids), text="", format="l2r")

    stop = (lambda text: len(text) >= stop_at) if stop_at else None
    return GenerationRequest(
        build_prompt=build, max_new_tokens=limit, stop=stop, document=f"untitled:{number}", **options
    )


@pytest.fixture(scope="module", params=["llama", "qwen2", "mistral"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Random weights; Mistral's with a window of 24 tokens."""
    kind = request.param
    changes = {"sliding_window": 24} if kind == "mistral" else {}
    folder = save_model(tmp_path_factory.mktemp("model"), tiny_model(kind, seed=3, **changes))
    engines = Engines(str(folder))
    yield engines
    engines.close()


PROMPTS = st.tuples(
    st.lists(st.integers(5, VOCABULARY - 1), min_size=1, max_size=130),
    st.integers(1, 30),
    st.sampled_from([0, 0, 7, 40]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(PROMPTS, min_size=2, max_size=9))
def test_rows_say_what_each_would_say_alone(tiny: Engines, requests: list[tuple[list[int], int, int]]) -> None:
    alone, together = tiny.both(
        [asked(number, ids, limit, stop_at=stop_at) for number, (ids, limit, stop_at) in enumerate(requests)]
    )
    assert together == alone


def test_rows_that_draw_by_chance_draw_what_they_would_draw_alone(tiny: Engines) -> None:
    requests = [asked(number, [9, 8, 7], 12, temperature=0.8, top_p=0.9, seed=number) for number in range(6)]
    alone, together = tiny.both(requests)
    assert together == alone
    assert len({answer[0] for answer in together}) > 1


def test_an_error_of_one_row_is_its_own(tiny: Engines) -> None:
    def broken(text: str) -> bool:
        raise RuntimeError("no such rule")

    good = asked(1, [5, 6, 7], 8)
    bad = [asked(2, [], 8), asked(3, [VOCABULARY + 7], 8), asked(4, [5] * 600, 8)]
    wrong = GenerationRequest(build_prompt=good.build_prompt, max_new_tokens=8, stop=broken, document="untitled:5")
    alone, together = tiny.both([bad[0], good, bad[1], bad[2], wrong])
    assert together == alone
    assert [answer[0] for answer in together if len(answer) == 2] == ["EngineError"] * 4
    assert together[1][1] == 8


def test_closing_answers_every_row(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", tiny_model(seed=3, max_position_embeddings=100_000))

    async def closed() -> list[Any]:
        engine = BatchEngine(ModelSettings(name=str(folder), device="cpu", threads=1, share="off"), most=3)
        begun = asyncio.Event()
        requests = [asked(number, [5, 6], 90_000, on_text=lambda text: begun.set()) for number in range(5)]
        tasks = [asyncio.create_task(outcome(engine, request)) for request in requests]
        await begun.wait()
        engine.close()
        return await asyncio.gather(*tasks)

    assert {answer[0] for answer in asyncio.run(closed())} == {EngineClosed.__name__}


LINES = (
    ("def area(width, height):\n    return width *", "\n\n\ndef volume(width, height, depth):\n    pass\n"),
    ("import os\n\n\ndef names(folder):\n    return os.list", "(folder)\n"),
    (
        "class Store:\n    def __init__(self, path):\n        self.pa",
        "\n\n    def load(self):\n        return self.path\n",
    ),
    ("for number in range(10):\n    pri", "\n"),
    ("total = sum(", " for row in rows)\n"),
    ("", "\n\nx = 1\n"),
)


def typed(number: int, before: str, after: str) -> GenerationRequest:
    """The product's prompt at a place, up to the line's end."""
    document = DocumentSnapshot(f"untitled:{number}", before + after, "python", 0, "shop.py")
    return GenerationRequest(
        build_prompt=partial(
            build_prompt,
            document=document,
            offset=len(before),
            snippets=(),
            settings=PromptSettings(),
            max_new_tokens=24,
        ),
        max_new_tokens=24,
        stop=lambda text: "\n" in text,
        document=document.uri,
    )


@pytest.mark.parametrize("prior", ["off", "auto"])
def test_the_embedded_model_says_the_same_with_words_to_spell_out(prior: str) -> None:
    engines = Engines(str(embedded_folder()), most=3, copy_prior=prior)
    try:
        alone, together = engines.both([typed(number, *LINES[number % len(LINES)]) for number in range(12)])
    finally:
        engines.close()
    assert together == alone
    assert any(answer[3].required for answer in together)
    assert all(answer[1] for answer in together)


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each pass had."""
    seen: list[int] = []
    step = BatchDecoder.step

    def counted(self: BatchDecoder, tokens: Sequence[int]) -> Any:
        seen.append(len(tokens))
        return step(self, tokens)

    monkeypatch.setattr(BatchDecoder, "step", counted)
    return seen


def test_rows_run_together_and_are_replaced_as_they_end(tiny: Engines, widths: list[int]) -> None:
    requests = [asked(number, [5 + number, 6, 7], 4 + 5 * (number % 3)) for number in range(12)]
    alone, together = tiny.both(requests)
    assert together == alone
    passes = sum(answer[1] - 1 for answer in together)
    assert max(widths) == 4
    assert sum(widths) == passes
    # with full waves of four, as many passes as the longest of each: 3 * 13
    assert len(widths) < passes / 2


def test_a_row_waits_until_there_is_memory_for_it(
    tiny: Engines, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(tiny.many.ready())
    parts = tiny.many._rows_of.parts()
    assert parts is not None
    one = BatchDecoder(parts.forward, 1, chunk=8, budget=0)
    one.begin([5, 6], 512)
    monkeypatch.setattr("aix_lsp.engine.batch.cache_budget", lambda device: 2 * one.bytes)
    alone, together = tiny.both([asked(number, [5, 6, 7, number + 8] * 90, 10) for number in range(5)])
    assert together == alone
    assert max(widths) == 2


def test_where_memory_runs_out_fewer_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = BatchDecoder.step

    def scarce(self: BatchDecoder, tokens: Sequence[int]) -> Any:
        if len(tokens) > 2:
            raise RuntimeError("CUDA out of memory")
        return step(self, tokens)

    monkeypatch.setattr(BatchDecoder, "step", scarce)
    engines = Engines(str(save_model(tmp_path / "model")))
    try:
        alone, together = engines.both([asked(number, [5, 6, 7 + number], 9) for number in range(8)])
        assert together == alone
        assert engines.many.at_once == 2
    finally:
        engines.close()


def test_a_model_that_fails_is_told_in_one_line_and_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(save_model(tmp_path / "model", tiny_model("llama", seed=3)))
    told: list[str] = []
    engine = BatchEngine(
        ModelSettings(name=folder, device="cpu", threads=1),
        lambda event: told.append(event.message) if event.kind == "warning" else None,
        most=2,
    )
    plain = BatchDecoder.step

    def fail(self: BatchDecoder, *arguments: Any) -> Any:
        monkeypatch.setattr(BatchDecoder, "step", plain)
        raise RuntimeError("device-side assert triggered")

    async def answers() -> list[Any]:
        await engine.ready()
        monkeypatch.setattr(BatchDecoder, "step", fail)
        return [await outcome(engine, asked(number, [5, 6, 7], 4)) for number in range(2)]

    broken, whole = asyncio.run(answers())
    engine.close()
    line = "the model failed and is loaded again; the error was RuntimeError: device-side assert triggered"
    assert broken == ("EngineError", line)
    assert len(whole) == 5
    assert [message for message in told if "failed" in message] == [line]


def test_a_model_that_runs_another_way_answers_one_by_one(tmp_path: Path, widths: list[int]) -> None:
    engines = Engines(str(save_model(tmp_path / "model", tiny_model("qwen3", head_dim=8))))
    try:
        alone, together = engines.both([asked(number, [5, 6, 7 + number], 6) for number in range(4)])
    finally:
        engines.close()
    assert together == alone
    assert not widths
