"""Eight-bit weights: what they may lose, and where they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine import runners
from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.int8 import (
    FEW,
    Int8Head,
    Int8Linear,
    Packed16,
    can_pack,
    half_product,
    has_fast_bfloat16,
    has_kernel,
    head_for,
    quantized,
)
from aix_lsp.engine.lean import LeanForward
from aix_lsp.engine.lean_weights import joined
from aix_lsp.engine.loading import load_model
from aix_lsp.engine.tokenizer import load_tokenizer
from tests.unit.test_decode import tokens
from tests.unit.tiny_models import embedded_folder, save_model, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=20, deadline=None)
@given(outputs=st.integers(1, 40), inputs=st.integers(1, 8), seed=st.integers(0, 999))
def test_a_rounded_weight_is_within_half_a_step(outputs: int, inputs: int, seed: int) -> None:
    weight = torch.randn((outputs, 16 * inputs), generator=torch.Generator().manual_seed(seed))
    weight[0] = 0
    numbers, scale = quantized(weight)
    error = (numbers.float() * scale.float()[:, None] - weight).abs()
    # the scale is rounded to bfloat16 too, so the largest weight may be cut by as much
    assert bool((error <= 0.51 * scale.float()[:, None] + weight.abs() * 2**-8).all())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 3, FEW])
def test_a_product_with_eight_bits_is_near_the_whole_one(rows: int, bias: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn((48, 64), generator=generator)
    addend = torch.randn(48, generator=generator) if bias else None
    states = torch.randn((rows, 64), generator=generator)
    wanted = torch.nn.functional.linear(states, weight, addend)
    made = Int8Linear(weight, addend)(states).float()
    assert (made - wanted).abs().max() < 0.03 * wanted.abs().max()


@pytest.mark.parametrize("inputs", [8, 24, 40, 344])
def test_rows_that_the_kernel_would_read_beyond_are_not_given_to_it(inputs: int) -> None:
    linear = torch.nn.Linear(inputs, 5)
    rows = torch.randn(2, inputs).bfloat16()
    product = joined([linear]).few()
    assert not isinstance(product, Int8Linear)
    assert isinstance(joined([torch.nn.Linear(64, 5)]).few(), Int8Linear)
    assert torch.equal(product(rows), linear(rows.float()))
    irregular = (torch.randn(7, inputs) * 1e-3).exp()
    assert torch.allclose(head_for(irregular, None)(rows), rows.float() @ irregular.T, rtol=1e-4, atol=1e-4)


def test_the_likeliest_tokens_have_exact_scores() -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn((500, 64), generator=generator)
    states = torch.randn((3, 64), generator=generator)
    wanted = states @ weight.t()
    made = Int8Head(weight)(states)
    best = wanted.topk(20, dim=1).indices
    assert torch.allclose(made.gather(1, best), wanted.gather(1, best), atol=1e-4)


def test_the_embedded_model_gives_nearly_always_the_token_that_it_gives_in_float32() -> None:
    """Teacher-forced over real source: every position's likeliest token, prompt in bfloat16 where that is faster."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = embedded_folder()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    text = Path(json.decoder.__file__).read_text(encoding="utf-8")
    ids = [1, *load_tokenizer(folder).encode(text)[300:]][:420]
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0].argmax(dim=1)
    lean = LeanForward(model, int8=True, wide=has_fast_bfloat16())
    cache = lean.new_cache()
    rows = [lean.run(cache, ids[:128], 128)]
    rows += [lean.run(cache, ids[start : start + 4], 4) for start in range(128, 276, 4)]  # as guesses are verified
    rows += [lean.run(cache, [token]) for token in ids[276:]]
    right = (torch.cat(rows).argmax(dim=1) == wanted)[128:]
    assert float(right.float().mean()) >= 0.97


def test_eight_bits_are_used_where_they_pay_and_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path)
    ways = {wanted: load_model(tmp_path, cpu_decode=wanted, device="cpu").decoder.way for wanted in ("auto", "none")}
    assert ways["none"] == "lean, float32"
    assert ("int8" in ways["auto"]) == has_kernel()
    # the constructor alone changes nothing, and nothing is added where memory is short
    assert Decoder(tiny_model()).way == "lean, float32"
    monkeypatch.setattr(runners, "free_memory", lambda *_: 100_000)
    assert Decoder(tiny_model(), cpu_decode="auto").way == "lean, float32"
    asked_for = Decoder(tiny_model(), cpu_decode="int8").way
    assert asked_for == "lean, int8 weights for single tokens, float32 for prompts"


@pytest.mark.parametrize("kind", ["llama", "qwen2", "starcoder2"])
def test_every_kind_of_model_stays_near_its_logits(kind: str) -> None:
    model: Any = tiny_model(kind)
    ids = tokens(30)
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0]
    lean = LeanForward(model, int8=True, wide=has_fast_bfloat16())
    cache = lean.new_cache()
    rows = torch.cat([lean.run(cache, ids[:20], 20), lean.run(cache, ids[20:25], 5)])
    rows = torch.cat([rows, *(lean.run(cache, [token]) for token in ids[25:])])
    assert (rows - wanted).abs().mean() < 0.1 * wanted.std()


def test_weights_saved_in_bfloat16_lose_nothing_in_half_precision() -> None:
    generator = torch.Generator().manual_seed(3)
    saved = (torch.randn((96, 64), generator=generator) * 0.05).bfloat16().float()
    product = half_product(saved, None)
    if product is None:
        pytest.skip("this PyTorch has no FBGEMM")
    states = torch.randn((2, 64), generator=generator)
    assert torch.allclose(product(states), states @ saved.t(), atol=1e-5)
    assert half_product(torch.randn((96, 64), generator=generator), None) is None  # more digits than a half has
    assert half_product(saved * 1e7, None) is None  # too large


@pytest.mark.parametrize("bias", [False, True])
def test_packed_bfloat16_products_are_those_of_bfloat16(bias: bool) -> None:
    if not can_pack():
        pytest.skip("this PyTorch has no oneDNN")
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn((48, 64), generator=generator)
    addend = torch.randn(48, generator=generator) if bias else None
    states = torch.randn((9, 64), generator=generator)
    wanted = torch.nn.functional.linear(states, weight, addend)
    assert (Packed16(weight, addend)(states).float() - wanted).abs().max() < 0.03 * wanted.abs().max()
