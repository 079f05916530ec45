"""The decode loop against transformers' `generate`: the same tokens, with and without what the cache still holds."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.memory import OutOfMemory
from tests.unit.tiny_models import VOCABULARY, embedded_folder, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

NEW = 24


@pytest.fixture(scope="module")
def embedded_model() -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.float32, attn_implementation="sdpa")


def tokens(count: int, seed: int = 0) -> list[int]:
    """Ordinary tokens: none is an end or a marker."""
    return random.Random(seed).choices(range(300, VOCABULARY), k=count)


def expected(model: Any, ids: Sequence[int], count: int = NEW) -> list[int]:
    """What transformers' own greedy generation gives, without ever stopping."""
    model.generation_config.eos_token_id = None
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([list(ids)]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=3,
        )
    return output[0, len(ids) :].tolist()  # type: ignore[no-any-return]


def generated(decoder: Decoder, ids: Sequence[int], count: int = NEW, **options: Any) -> list[int]:
    return list(islice(decoder.generate(ids, **options), count))


def after(calls: int) -> Callable[[], bool]:
    """True from the call number `calls` on, counted from 0."""
    left = iter([False] * calls)
    return lambda: next(left, True)


SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"num_hidden_layers": 1, "num_key_value_heads": 4}),
    ("llama", {"num_hidden_layers": 2, "num_key_value_heads": 2, "tie_word_embeddings": True}),
    ("llama", {"num_hidden_layers": 4, "num_key_value_heads": 1, "tie_word_embeddings": False}),
    ("qwen2", {"num_hidden_layers": 2}),
    ("mistral", {"num_hidden_layers": 2, "sliding_window": 16}),
    ("starcoder2", {"num_hidden_layers": 2, "sliding_window": 16}),
    ("gpt2", {"num_hidden_layers": 2}),
]


@pytest.mark.parametrize(("kind", "changes"), SHAPES, ids=lambda value: str(value))
def test_tokens_equal_generate_with_and_without_reuse_and_after_a_cancelled_request(
    kind: str, changes: dict[str, Any]
) -> None:
    model = tiny_model(kind, **changes)
    decoder = Decoder(model, chunk=16)
    first = tokens(70)
    assert generated(decoder, first) == expected(model, first)
    assert decoder.reused_tokens == 0

    typed_on = first + tokens(3, seed=1)
    assert generated(decoder, typed_on) == expected(model, typed_on)
    assert decoder.reused_tokens == len(first)

    edited = first[:41] + tokens(20, seed=2)
    assert generated(decoder, edited, cancelled=after(1)) == []  # one chunk was run, the last was not
    assert decoder.held == tuple(edited[:57])
    assert generated(decoder, edited) == expected(model, edited)
    assert decoder.reused_tokens == 57

    assert len(generated(decoder, first, cancelled=after(8))) < NEW  # some tokens in
    assert generated(decoder, typed_on) == expected(model, typed_on)
    assert decoder.reused_tokens == len(first)

    other = tokens(30, seed=3)
    assert generated(decoder, other) == expected(model, other)
    assert decoder.reused_tokens == 0


def test_a_recurrent_model_is_right_too_although_its_state_cannot_be_cropped() -> None:
    model = tiny_model(
        "qwen3_next",
        num_hidden_layers=2,
        layer_types=["linear_attention", "full_attention"],
        head_dim=8,
        num_experts=0,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
    )
    decoder = Decoder(model, chunk=16)
    ids = tokens(20)
    answer = expected(model, ids, 6)
    assert generated(decoder, ids, 6) == answer
    decoder.proposer = _Wrong()
    assert generated(decoder, ids, 6) == answer
    assert generated(decoder, ids[:12], 6) == expected(model, ids[:12], 6)
    assert decoder.reused_tokens == 0
    assert generated(decoder, ids[:12] + answer, 6) == expected(model, ids[:12] + answer, 6)


def test_tokens_equal_generate_on_the_embedded_model(embedded_model: Any) -> None:
    decoder = Decoder(embedded_model)
    ids = [1, 4, 5, 6, *tokens(300)]
    assert generated(decoder, ids) == expected(embedded_model, ids)
    for count in (1, 5, 20):
        typed_on = ids + tokens(count, seed=count)
        assert generated(decoder, typed_on) == expected(embedded_model, typed_on)
        assert decoder.reused_tokens >= len(ids)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_sequence_of_requests_and_cancellations_leaves_the_cache_right(data: st.DataObject) -> None:
    model = tiny_model(num_hidden_layers=1)
    decoder = Decoder(model, chunk=4)
    small = st.lists(st.integers(300, 302), min_size=1, max_size=12)
    for ids in data.draw(st.lists(small, min_size=1, max_size=5)):
        generated(decoder, ids, 4, cancelled=after(data.draw(st.integers(0, 8))))
    ids = data.draw(small)
    assert generated(decoder, ids, 4) == generated(Decoder(model), ids, 4)


def test_an_end_token_ends_the_generation_and_is_not_given_out() -> None:
    model = tiny_model()
    ids = tokens(10)
    answer = expected(model, ids)
    end = answer[5]
    decoder = Decoder(model, frozenset({end, 2}))
    assert generated(decoder, ids) == answer[: answer.index(end)]


def test_at_least_one_token_is_run_for_a_prompt_that_the_cache_holds() -> None:
    model = tiny_model()
    decoder = Decoder(model)
    ids = tokens(10)
    answer = generated(decoder, ids, 5)
    assert generated(decoder, ids, 5) == answer
    assert decoder.reused_tokens == 9
    assert generated(decoder, ids[:1], 5) == expected(model, ids[:1], 5)
    assert decoder.reused_tokens == 0


def test_nothing_is_run_beyond_the_token_that_was_asked_for() -> None:
    model = tiny_model()
    decoder = Decoder(model)
    ids = tokens(10)
    answer = generated(decoder, ids, 3)
    assert decoder.held == (*ids, *answer[:2])


def test_cancellation_is_looked_at_before_every_pass() -> None:
    passes: list[int] = []
    model = tiny_model()
    forward = model.forward

    def counted(input_ids: torch.Tensor, **options: Any) -> Any:
        passes.append(input_ids.shape[1])
        return forward(input_ids=input_ids, **options)

    model.forward = counted
    decoder = Decoder(model, chunk=8)
    assert generated(decoder, tokens(30), cancelled=lambda: True) == []
    assert passes == []
    assert generated(decoder, tokens(30), cancelled=after(2)) == []
    assert passes == [8, 8]


def test_a_prompt_that_the_model_cannot_take_is_refused() -> None:
    decoder = Decoder(tiny_model())
    for ids in ([], [300, VOCABULARY], [-1, 300]):
        with pytest.raises(EngineError):
            generated(decoder, ids)


class Breaking:
    """A hook that fails at its next calls, as an allocation in the middle of a pass does."""

    def __init__(self, model: Any, layer: int) -> None:
        self.failures = 0
        self.kind: type[Exception] = torch.OutOfMemoryError
        inner = model.transformer.h[layer].mlp if hasattr(model, "transformer") else model.model.layers[layer].mlp
        # listened to, so the lean forward calls the module as it is
        (inner if hasattr(model, "transformer") else inner.down_proj).register_forward_hook(self)

    def __call__(self, *_: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise self.kind("by design")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("broken_layer", [0, 1])
def test_a_pass_that_fails_half_way_is_run_once_more_without_the_other_caches(kind: str, broken_layer: int) -> None:
    model = tiny_model(kind)
    breaking = Breaking(model, broken_layer)
    decoder = Decoder(model, chunk=8)
    ids = tokens(20)
    generated(decoder, ids, 2, document="other")
    generated(decoder, ids, 2)
    breaking.failures = 1
    assert generated(decoder, [*ids, 300]) == expected(model, [*ids, 300])
    assert decoder.held[:21] == (*ids, 300)
    assert decoder.held_for("other") == ()


@pytest.mark.parametrize("several", [False, True])
def test_no_cache_is_held_while_a_pass_is_run_once_more(several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    breaking = Breaking(model, 1)
    decoder = Decoder(model, chunk=8)
    ids = tokens(20)
    answer = generated(decoder, ids, 3)
    before = weakref.ref(decoder._caches.latest("").cache)
    alive: list[bool] = []
    again = Decoder._again

    def watched(self: Decoder, *parts: Any) -> Any:
        gc.collect()
        alive.append(before() is not None)
        return again(self, *parts)

    monkeypatch.setattr(Decoder, "_again", watched)
    breaking.failures = 1
    if several:
        assert decoder.candidates(ids, 2, limit=3, first=answer)[0] == answer
    else:
        assert generated(decoder, ids, 3) == answer
    assert alive == [False]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_pass_that_keeps_failing_drops_the_cache_and_the_next_request_is_right(kind: str) -> None:
    model = tiny_model(kind)
    breaking = Breaking(model, 1)
    decoder = Decoder(model)
    ids = tokens(20)
    generated(decoder, ids, 2)
    breaking.failures = 2
    with pytest.raises(OutOfMemory, match="memory ran out"):
        generated(decoder, [*ids, 300], 2)
    assert decoder.held == ()
    assert decoder.cache_bytes == 0
    assert generated(decoder, [*ids, 300]) == expected(model, [*ids, 300])


def test_the_same_seed_draws_the_same_tokens_and_another_seed_others() -> None:
    decoder = Decoder(tiny_model(initializer_range=0.02))
    ids = tokens(10)
    runs = [generated(decoder, ids, 12, temperature=1.0, top_p=0.95, seed=seed) for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]
    assert len({tuple(generated(decoder, ids, 12, temperature=1.0)) for _ in range(3)}) > 1


def test_a_model_without_logits_to_keep_runs_too() -> None:
    model = tiny_model()
    inner = model.forward

    def plain(input_ids: Any, past_key_values: Any = None, use_cache: bool = True) -> Any:
        return inner(input_ids=input_ids, past_key_values=past_key_values, use_cache=use_cache)

    wrapped = _Callable(plain, model)
    ids = tokens(12)
    assert generated(Decoder(wrapped), ids) == expected(model, ids)


class _Wrong:
    """Guesses what hardly ever comes."""

    def begin(self, prompt: Sequence[int]) -> None:
        pass

    def propose(self, limit: int) -> list[int]:
        return [300] * min(limit, 2)

    def accept(self, tokens: Sequence[int], proposed: int, right: int) -> None:
        pass


class _Callable(SimpleNamespace):
    """A model by another forward function."""

    def __init__(self, forward: Any, model: Any) -> None:
        super().__init__(
            forward=forward,
            device=model.device,
            config=model.config,
            get_input_embeddings=model.get_input_embeddings,
        )

    def __call__(self, **options: Any) -> Any:
        return self.forward(**options)
