"""The lean forward against transformers' own: the same logits and tokens for the models that it takes, no others."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.key_value_cache import BLOCK
from aix_lsp.engine.lean import LeanForward
from aix_lsp.engine.lean_steps import FixedSteps, span
from aix_lsp.engine.lean_support import objection
from tests.unit.test_decode import expected, generated, tokens
from tests.unit.tiny_models import VOCABULARY, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 128}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "rope_theta": 10000.0,
    "original_max_position_embeddings": 64,
}
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"num_hidden_layers": 1, "num_key_value_heads": 4}),
    ("llama", {"num_hidden_layers": 12, "num_key_value_heads": 1}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("llama", {"head_dim": 16, "hidden_act": "gelu"}),
    ("llama", {"rope_parameters": YARN}),
    ("llama", {"rope_parameters": LLAMA3}),
    ("mistral", {"sliding_window": None}),
    ("mistral", {"sliding_window": 16}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}),
    ("starcoder2", {"use_bias": True}),
    ("starcoder2", {"sliding_window": 16, "use_bias": False}),
]


@pytest.mark.parametrize(("kind", "changes"), SHAPES, ids=lambda value: str(value))
def test_logits_are_those_of_the_models_own_forward_however_the_text_is_cut(kind: str, changes: dict[str, Any]) -> None:
    model = tiny_model(kind, **changes)
    ids = tokens(60)
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0]
    lean = LeanForward(model)
    for cuts in ([60], [1, 20, 1, 1, 30, 7], [1] * 60):
        cache = lean.new_cache()
        rows = []
        start = 0
        for length in cuts:
            rows.append(lean.run(cache, ids[start : start + length], length))
            start += length
        assert torch.allclose(torch.cat(rows), wanted, atol=1e-4)


@pytest.mark.parametrize(("kind", "changes"), SHAPES, ids=lambda value: str(value))
def test_every_shape_gives_the_tokens_of_generate_in_the_lean_way(kind: str, changes: dict[str, Any]) -> None:
    model = tiny_model(kind, **changes)
    ids = tokens(40, seed=5)
    wanted = expected(model, ids, 12)
    decoder = Decoder(model, chunk=16)
    assert decoder.way.startswith("lean")
    assert generated(decoder, ids, 12) == wanted


def test_weights_are_joined_in_place_and_the_model_itself_still_gives_the_same() -> None:
    model = tiny_model()
    ids = torch.tensor([tokens(20)])
    before = model(ids).logits
    LeanForward(model)
    attention = model.model.layers[0].self_attn
    assert attention.q_proj.weight.untyped_storage().data_ptr() == attention.v_proj.weight.untyped_storage().data_ptr()
    assert torch.allclose(model(ids).logits, before, atol=1e-5)
    joined = attention.q_proj.weight.data_ptr()
    LeanForward(model)  # a second one finds them joined
    assert attention.q_proj.weight.data_ptr() == joined


def test_a_linear_layer_of_another_kind_is_called_as_it_is() -> None:
    class Scaled(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
            return super().forward(input) * 1.5

    model = tiny_model()
    for layer in model.model.layers:
        other = Scaled(32, 32, bias=False)
        other.weight = layer.self_attn.q_proj.weight
        layer.self_attn.q_proj = other
    ids = tokens(30)
    decoder = Decoder(model)
    assert decoder.way.startswith("lean")
    assert generated(decoder, ids) == expected(model, ids)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_stay_near_the_models_own_logits(dtype: torch.dtype) -> None:
    model = tiny_model().to(dtype)
    ids = tokens(24)
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0].float()
    lean = LeanForward(model)
    cache = lean.new_cache()
    rows = torch.cat([lean.run(cache, ids[:12], 12), *(lean.run(cache, [token]) for token in ids[12:])])
    assert rows.dtype == torch.float32
    assert (rows - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_a_cache_grows_in_blocks_and_keeps_what_it_holds() -> None:
    model = tiny_model(max_position_embeddings=4 * BLOCK)
    lean = LeanForward(model)
    ids = random.Random(1).choices(range(300, VOCABULARY), k=BLOCK + 40)
    small, large = lean.new_cache(), lean.new_cache()
    large.reserve(2 * BLOCK)
    for start in range(0, len(ids), 100):
        one, other = (lean.run(cache, ids[start : start + 100]) for cache in (small, large))
        assert torch.allclose(one, other, atol=1e-5)
    assert small.places % BLOCK == 0
    before = [layer.data_ptr() for layer in small.layers]
    lean.run(small, ids[:1])
    assert [layer.data_ptr() for layer in small.layers] == before


def test_texts_longer_than_the_models_positions_do_not_break_it() -> None:
    model = tiny_model(max_position_embeddings=32)
    ids = tokens(30)
    assert len(generated(Decoder(model), ids, 10)) == 10


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("gpt2", {}, "gpt2 is not one of"),
        ("phi", {"partial_rotary_factor": 0.5}, "phi is not one of"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "scaled in a way"),
    ],
)
def test_what_is_not_certain_to_be_equal_runs_the_models_own_forward(
    kind: str, changes: dict[str, Any], reason: str
) -> None:
    model = tiny_model(kind, **changes)
    assert reason in objection(model)
    decoder = Decoder(model)
    assert decoder.way.startswith("transformers' own forward, which is slower: ")
    ids = tokens(20)
    assert generated(decoder, ids, 8) == expected(model, ids, 8)


@pytest.mark.parametrize(("kind", "changes"), SHAPES, ids=lambda value: str(value))
def test_fixed_passes_that_a_graph_can_hold_give_the_same_logits(kind: str, changes: dict[str, Any]) -> None:
    model = tiny_model(kind, **changes)
    lean = LeanForward(model)
    steps = FixedSteps(lean, record=False)
    ids = tokens(60)
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0]
    cache = lean.new_cache()
    rows = [lean.run(cache, ids[:20], 20)]
    start = 20
    for length in (1, 3, 5, 1, 16, 1, 13):
        made = steps.run(cache, ids[start : start + length], length)
        assert made is not None
        rows.append(made.clone())
        start += length
    assert torch.allclose(torch.cat(rows), wanted, atol=1e-4)
    assert steps.run(cache, ids[:17], 1) is None  # too many tokens for a fixed pass


def test_documents_take_turns_in_the_tensors_of_the_fixed_passes() -> None:
    model = tiny_model()
    decoder = Decoder(model, chunk=32)
    runner: Any = decoder._runner
    runner._steps = FixedSteps(runner._forward, record=False)
    texts = {name: tokens(count, seed=count) for name, count in (("a", 40), ("b", 90), ("c", 20))}
    for name in "abcabcba":
        ids = texts[name]
        answer = generated(decoder, ids, 5, document=name)
        assert answer == expected(model, ids, 5)
        texts[name] = [*ids, *answer[:3], 300]
        assert decoder.reused_tokens == 0 or decoder.reused_tokens >= len(ids) - 1
    assert len(decoder.candidates(texts["a"], 3, limit=4, document="a")) == 3
    runner.release()
    assert generated(decoder, texts["a"], 5, document="a") == expected(model, texts["a"], 5)


def test_fixed_passes_are_made_anew_when_any_of_a_caches_tensors_has_moved() -> None:
    lean = LeanForward(tiny_model())
    steps = FixedSteps(lean, record=False)
    ids = tokens(12)
    cache = lean.new_cache()
    steps.run(cache, ids[:10], 10)
    steps.run(cache, ids[10:11], 1)
    cache.layers[1] = torch.zeros_like(cache.layers[1])  # the first stays where it is
    steps.run(cache, ids[11:12], 1)
    assert float(cache.layers[1][:, 11].abs().sum()) > 0  # written where it is read from now on


def test_the_lengths_that_fixed_passes_read_are_few_and_never_too_short() -> None:
    spans = [span(length, 4096) for length in range(1, 4097)]
    assert all(reach >= length for length, reach in enumerate(spans, 1))
    assert all(reach <= max(256, 1.51 * length) for length, reach in enumerate(spans, 1))
    assert len(set(spans)) == 9


def flash_by_hand(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    *,
    cache_seqlens: torch.Tensor,
    softmax_scale: float,
    causal: bool,
    window_size: tuple[int, int],
) -> torch.Tensor:
    """What flash-attn documents for its kernel: (1, rows, heads, head), the rows last of the cache's tokens."""
    assert causal
    rows, end = queries.shape[1], int(cache_seqlens[0])
    places = torch.arange(end - rows, end)[:, None]
    columns = torch.arange(end)[None]
    sees = columns <= places
    if window_size[0] >= 0:
        sees &= columns >= places - window_size[0]
    return torch.nn.functional.scaled_dot_product_attention(
        queries.transpose(1, 2),
        keys[:, :end].transpose(1, 2),
        values[:, :end].transpose(1, 2),
        attn_mask=sees,
        scale=softmax_scale,
        enable_gqa=True,
    ).transpose(1, 2)


@pytest.mark.parametrize(("kind", "changes"), [("llama", {}), ("mistral", {"sliding_window": 16})])
def test_the_kernel_of_flash_attn_is_given_what_it_documents(kind: str, changes: dict[str, Any]) -> None:
    model = tiny_model(kind, **changes)
    ids = tokens(60)
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0]
    lean = LeanForward(model, flash=flash_by_hand)
    cache = lean.new_cache()
    rows = [lean.run(cache, ids[:30], 30), lean.run(cache, ids[30:40], 10)]
    rows += [lean.run(cache, [token]) for token in ids[40:50]]
    steps = FixedSteps(lean, record=False)
    for token in ids[50:]:
        made = steps.run(cache, [token], 1)
        assert made is not None
        rows.append(made.clone())
    assert torch.allclose(torch.cat(rows), wanted, atol=1e-4)
