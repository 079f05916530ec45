"""Eight-bit weights: what they may lose, and where they are used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.int8 import FEW, Int8Head, Int8Linear, has_kernel, quantized
from aix_lsp.engine.lean import LeanForward
from aix_lsp.engine.loading import load_model
from aix_lsp.engine.tokenizer import load_tokenizer
from tests.unit.test_decode import tokens
from tests.unit.tiny_models import embedded_folder, save_model, tiny_model


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
    lean = LeanForward(model, int8=True)
    cache = lean.new_cache()
    rows = [lean.run(cache, ids[:128], 128)]
    rows += [lean.run(cache, ids[start : start + 4], 4) for start in range(128, 276, 4)]  # as guesses are verified
    rows += [lean.run(cache, [token]) for token in ids[276:]]
    right = (torch.cat(rows).argmax(dim=1) == wanted)[128:]
    assert float(right.float().mean()) >= 0.97


def test_eight_bits_are_used_where_they_pay_and_where_they_are_asked_for(tmp_path: Path) -> None:
    save_model(tmp_path)
    ways = {wanted: load_model(tmp_path, cpu_decode=wanted, device="cpu").decoder.way for wanted in ("auto", "none")}
    assert ways["none"] == "lean, float32"
    assert ("int8" in ways["auto"]) == has_kernel()
    # the constructor alone changes nothing
    assert Decoder(tiny_model()).way == "lean, float32"


@pytest.mark.parametrize("kind", ["llama", "qwen2", "starcoder2"])
def test_every_kind_of_model_stays_near_its_logits(kind: str) -> None:
    model: Any = tiny_model(kind)
    ids = tokens(30)
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0]
    lean = LeanForward(model, int8=True)
    cache = lean.new_cache()
    rows = torch.cat([lean.run(cache, ids[:20], 20), lean.run(cache, ids[20:25], 5)])
    rows = torch.cat([rows, *(lean.run(cache, [token]) for token in ids[25:])])
    assert (rows - wanted).abs().mean() < 0.1 * wanted.std()
