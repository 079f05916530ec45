"""Weights in 8 and 4 bits: close to the full ones, as small as they should be, and loaded one layer at a time."""

from __future__ import annotations

import weakref
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from aix_lsp.engine import loading, quantized_linear, quantized_loading
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.hardware import GIB
from aix_lsp.engine.loading import load_model, plan_load, read_weights
from aix_lsp.engine.quantized_linear import QuantizedLinear, group_for
from aix_lsp.engine.rounding import dequantize4, dequantize8, quantize4, quantize8
from aix_lsp.engine.weight_memory import WeightCounts, memory_needed, weight_bytes
from tests.unit.tiny_models import embedded_folder, save_model, tiny_model

WIDE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CPU = torch.device("cpu")


def load(folder: Path, **options: Any) -> loading.Loaded:
    return load_model(folder, device="cpu", threads=1, **options)


def model_in(folder: Path, quantization: str = "none") -> Any:
    """The model of transformers as it is loaded on a processor."""
    checkpoint = inspect(folder)
    return read_weights(checkpoint, plan_load(checkpoint, "cpu", "auto", quantization, "auto"))


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0].float()
    return found


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.sampled_from([32, 64, 128]))
@settings(max_examples=25, deadline=None)
def test_rounding_is_as_exact_as_its_steps(seed: int, size: float, group: int) -> None:
    weight = torch.randn(8, 256, generator=torch.Generator().manual_seed(seed)) * size
    error = (dequantize8(*quantize8(weight)).float() - weight).abs()
    # half a step, and what bfloat16 rounds off the product
    assert bool((error <= weight.abs().amax(1, keepdim=True) * (0.51 / 127 + 2**-8)).all())
    groups = weight.view(8, -1, group)
    span = (groups.amax(-1) - groups.amin(-1)).repeat_interleave(group, -1)
    plain = (dequantize4(*quantize4(weight, group, search=False)).float() - weight).abs()
    assert bool((plain <= span * (0.52 / 15 + 2**-6)).all())
    searched = (dequantize4(*quantize4(weight, group)).float() - weight).square().mean()
    assert searched <= plain.square().mean() * 1.001


def test_a_group_of_equal_weights_and_one_of_zeros_stay_what_they_are() -> None:
    weight = torch.cat([torch.zeros(1, 128), torch.full((1, 128), 0.75), -torch.full((1, 128), 2.0)])
    assert torch.allclose(dequantize4(*quantize4(weight, 128)).float(), weight, atol=1e-6)
    assert torch.allclose(dequantize8(*quantize8(weight)).float(), weight, rtol=0.01)


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 128), (4, 64), (4, 32)])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_every_kernel_computes_what_its_own_weights_say(bits: int, group: int, rows: int) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(192, 256), torch.randn(192)
    layer = QuantizedLinear(weight, bias, bits, group)
    inputs = torch.randn(2, rows, 256)
    expected = inputs @ layer.weight().float().T + bias
    assert layer(inputs).dtype == torch.float32
    assert (layer(inputs) - expected).abs().max() < 0.01 * expected.abs().max()
    layer.packed = False
    if bits == 8:
        assert (layer(inputs) - expected).abs().max() < 0.01 * expected.abs().max()


def test_large_layers_are_unpacked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = QuantizedLinear(torch.randn(70, 256), None, 8)
    inputs = torch.randn(40, 256)
    whole = layer(inputs)
    monkeypatch.setattr(quantized_linear, "_BLOCK", 256 * 32)
    assert torch.allclose(layer(inputs), whole, rtol=0.02, atol=0.02)


def test_packing_is_undone_and_so_are_pairs() -> None:
    codes = torch.randint(0, 16, (128, 256), dtype=torch.uint8)
    assert torch.equal(quantized_linear._unpack4(quantized_linear._pack4(codes), 128, 256), codes)
    assert torch.equal(quantized_linear._unpair(quantized_linear._pair(codes)), codes)


def test_shapes_that_no_kernel_takes_are_unpacked_each_time() -> None:
    layer = QuantizedLinear(torch.randn(24, 96), None, 4, 32)
    assert not layer.packed
    inputs = torch.randn(5, 96)
    assert torch.allclose(layer(inputs), inputs @ layer.weight().float().T, atol=0.3)
    assert [group_for(columns, 128) for columns in (4096, 14464, 192, 96, 100)] == [128, 128, 64, 32, 0]


def test_a_kernel_that_fails_or_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*parts: torch.Tensor) -> torch.Tensor:
        raise TypeError("of a compiler")

    def wrong(rows: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return rows.new_ones(rows.shape[0], codes.shape[0])

    quantized_linear.few_rows8.cache_clear()
    quantized_linear.kernel_works.cache_clear()
    monkeypatch.setattr(quantized_linear, "_kernels8", lambda device, compute: [broken, wrong])
    try:
        layer = QuantizedLinear(torch.randn(64, 128), None, 8)
        assert not layer.packed
        inputs = torch.randn(1, 128)
        assert torch.allclose(layer(inputs), inputs @ layer.weight().float().T, atol=0.2)
    finally:
        quantized_linear.few_rows8.cache_clear()
        quantized_linear.kernel_works.cache_clear()


def test_of_kernels_that_are_right_the_quickest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(rows: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return rows @ dequantize8(codes, scale).T

    packed = torch.ops.aten._weight_int8pack_mm
    quantized_linear.few_rows8.cache_clear()
    monkeypatch.setattr(quantized_linear, "_kernels8", lambda device, compute: [slow, packed])
    monkeypatch.setattr(quantized_linear, "_seconds", lambda kernel, device, compute: float(kernel is slow))
    try:
        assert quantized_linear.few_rows8("cpu", torch.bfloat16) is packed
    finally:
        quantized_linear.few_rows8.cache_clear()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("starcoder2", {"use_bias": True}),
    ],
)
@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_quantized_models_say_nearly_what_the_full_ones_say(
    tmp_path: Path, kind: str, changes: dict[str, Any], quantization: str
) -> None:
    folder = save_model(tmp_path, tiny_model(kind, **(WIDE | {"initializer_range": 0.05} | changes)))
    ids = [1, 300, 301, 302, 4000, 17, 9]
    full, small = logits(model_in(folder), ids), load(folder, quantization=quantization)
    assert small.quantization == quantization
    assert small.dtype == f"{quantization}/float32"
    model = model_in(folder, quantization)
    error = (logits(model, ids) - full).norm() / full.norm()
    assert error < (0.03 if quantization == "int8" else 0.25)
    assert type(model.lm_head) is QuantizedLinear
    assert model.lm_head.bits == 8
    layer = model.model.layers[0].self_attn.q_proj
    assert (layer.bits, layer.graph_safe) == (int(quantization[3:]), True)
    assert (layer.bias is not None) == (kind != "llama")
    assert not [name for name, module in model.named_modules() if type(module) is nn.Linear]
    assert len(list(islice(small.decoder.generate([300, 301]), 4))) == 4
    assert small.decoder.way.startswith(f"lean, {quantization} weights, float32")


def test_the_embedded_model_in_8_bits_writes_the_same_tokens() -> None:
    prompt = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return"
    full, small = load(embedded_folder()), load(embedded_folder(), quantization="int8")
    ids = [1, 4, 5, 6, *full.tokenizer.encode(prompt)]
    likeliest = logits(model_in(embedded_folder()), ids).argmax(-1)
    same = likeliest == logits(model_in(embedded_folder(), "int8"), ids).argmax(-1)
    assert same.float().mean() >= 0.97
    first, second = (list(islice(loaded.decoder.generate(ids), 5)) for loaded in (full, small))
    assert first == second
    four = logits(model_in(embedded_folder(), "int4"), ids).argmax(-1)
    assert (four == likeliest).float().mean() > 0.7


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_memory_is_what_was_counted_beforehand(tmp_path: Path, quantization: str) -> None:
    folder = save_model(tmp_path, tiny_model(**(WIDE | {"hidden_size": 256, "vocab_size": 8192})))
    model = model_in(folder, quantization)
    layers = [module for module in model.modules() if isinstance(module, QuantizedLinear)]
    own = sum(layer.bytes for layer in layers)
    own += sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    assert own == pytest.approx(weight_bytes(inspect(folder).counts, "float32", quantization), rel=0.02)


def test_needed_memory_is_below_the_published_sizes_of_the_7b_model() -> None:
    counts = WeightCounts(7_029_653_504, 201_326_592, 201_592_832)
    assert weight_bytes(counts, "bfloat16", "none") == pytest.approx(14.9e9, rel=0.01)
    for quantization, published, ours in (("int8", 9.0e9, 7.6e9), ("int4", 5.7e9, 4.4e9)):
        assert weight_bytes(counts, "bfloat16", quantization) == pytest.approx(ours, rel=0.02)
        theirs = weight_bytes(counts, "bfloat16", quantization, "bitsandbytes")
        assert theirs == pytest.approx(published, rel=0.05)
    # an int8 copy for single tokens comes to float32 weights on a processor
    assert memory_needed(counts, "float32", "none", "cpu") == 5 * counts.parameters - 201_592_832 + GIB // 4


def test_never_more_than_one_layer_is_there_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tmp_path, tiny_model(**WIDE))
    before: list[weakref.ref[torch.Tensor]] = []

    rounded = quantized_loading._quantized

    def watched(weight: torch.Tensor, bias: torch.Tensor | None, bits: int) -> QuantizedLinear:
        assert [reference for reference in before if reference() is not None] == []
        before.append(weakref.ref(weight))
        return rounded(weight, bias, bits)

    monkeypatch.setattr(quantized_loading, "_quantized", watched)
    load(folder, quantization="int8")
    assert len(before) == 15


def test_auto_takes_as_many_bits_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tmp_path, tiny_model(**(WIDE | {"hidden_size": 256})))
    counts = inspect(folder).counts
    for quantization in ("none", "int8", "int4"):
        free = memory_needed(counts, "float32", quantization, "cpu")
        monkeypatch.setattr(loading, "free_memory", lambda gpu, device, free=free: free)
        assert load(folder, quantization="auto").quantization == quantization
    monkeypatch.setattr(loading, "free_memory", lambda gpu, device: free - 1)
    with pytest.raises(ModelError, match=r"needs about 0\.\d GB in memory even in int4 and .* use a smaller model"):
        load(folder, quantization="auto")


def test_weights_with_other_names_go_through_main_memory(tmp_path: Path) -> None:
    folder = save_model(tmp_path, tiny_model(**WIDE))
    full = logits(model_in(folder), [1, 300, 301])
    # as written by a model without a head: transformers knows what to do with it
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    small = model_in(folder, "int8")
    assert type(small.model.layers[1].mlp.up_proj) is QuantizedLinear
    assert (logits(small, [1, 300, 301]) - full).norm() / full.norm() < 0.03


def test_what_cannot_be_quantized_is_told_in_one_line(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "gpt2", tiny_model("gpt2", n_positions=512, n_layer=8, n_embd=128))
    with pytest.raises(ModelError, match=r"type gpt2 have no linear layers .* set model.quantization to none"):
        load(folder, quantization="int8")
    folder = save_model(tmp_path / "tiny", tiny_model(**WIDE))
    tensors = load_file(folder / "model.safetensors")
    wrong = tensors | {"model.layers.0.mlp.up_proj.weight": torch.zeros(250, 128)}
    save_file(wrong, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"up_proj.weight has the shape \(250, 128\), and the model's .* wants \(256"):
        load(folder, quantization="int4")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 parts of the model \(model.layers.1.mlp.up_proj.weight\)"):
        load(folder, quantization="int4")
    with pytest.raises(ModelError, match=r"needs an NVIDIA GPU; set model\.quantizer to auto"):
        load(folder, quantization="int4", quantizer="bitsandbytes")


def test_rows_that_the_kernel_would_read_beyond_are_unpacked() -> None:
    weight = torch.randn(6, 344)
    layer = QuantizedLinear(weight, None, 8)
    assert not layer.packed
    rows = torch.randn(2, 344)
    assert torch.allclose(layer(rows), rows @ weight.T, atol=0.6)


def test_a_device_whose_int4_blocks_are_not_known_gets_no_kernel_and_nothing_is_packed() -> None:
    assert not quantized_linear.kernel_works("mps", torch.float16, 4, 32)


@pytest.mark.parametrize(
    ("device", "shape", "fits"),
    [
        ("mps", (64, 96), True),
        ("mps", (48, 96), False),
        ("mps", (64, 80), False),
        ("cpu", (7, 96), True),
        ("cpu", (64, 80), False),
        ("cuda", (7, 80), True),
    ],
)
def test_int8_kernels_get_only_shapes_that_come_out_even(device: str, shape: tuple[int, int], fits: bool) -> None:
    class Elsewhere:
        """A weight on a device that this machine may lack."""

        def __init__(self) -> None:
            self.device, self.shape = torch.device(device), shape

    assert quantized_linear._fits_kernel(Elsewhere(), 8) == fits  # type: ignore[arg-type]
