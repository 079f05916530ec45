"""Models with random weights for `gpu.py`, made on the device in every precision it measures.

Nothing is read and nothing is downloaded: the time of a token does not depend on what the weights say.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from aix_lsp.engine.quantized_linear import QuantizedLinear, group_for

GROUP = 128
"""Weights that share a scale in 4 bits, as the product loads them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's sizes, and the lengths of what is asked of it."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    feed: int
    vocabulary: int
    theta: float
    prompt: int
    suffix: int
    copied: int
    """Bytes of the buffer by which the device's own speed is measured."""


SHAPES = {
    # aiXcoder-7B
    "7b": Shape(4096, 32, 32, 8, 14464, 49152, 256000.0, prompt=2048, suffix=256, copied=2**31),
    "small": Shape(128, 2, 4, 2, 256, 512, 10000.0, prompt=96, suffix=16, copied=2**22),
}


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype, quantize: Callable[[nn.Linear], Any]) -> Any:
    """A Llama with random weights on `device`. `quantize` makes the layer that takes the place of each linear one; the
    head comes through it too. No more than one layer is in full precision beside what is kept."""
    config = LlamaConfig(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        intermediate_size=shape.feed,
        vocab_size=shape.vocabulary,
        rope_theta=shape.theta,
        max_position_embeddings=max(32768 if shape.prompt > 1000 else 0, 4 * shape.prompt),
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(dtype)
    model.model.rotary_emb = LlamaRotaryEmbedding(config).to(device)
    generator = torch.Generator(device).manual_seed(0)
    # by name, since a list of the modules themselves would hold on to the layers that are replaced
    for name in [name for name, _ in model.named_modules()]:
        module = model.get_submodule(name)
        for leaf, place in list(module.named_parameters(recurse=False)):
            made = torch.empty(place.shape, device=device, dtype=dtype)
            # large enough that the likeliest token stands out from the second
            made = made.normal_(0, 0.05, generator=generator) if made.dim() > 1 else made.fill_(1)
            setattr(module, leaf, nn.Parameter(made, requires_grad=False))
        if type(module) is nn.Linear:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, quantize(module))
    return model.eval()


def as_it_is(layer: nn.Linear) -> nn.Linear:
    """No quantization."""
    return layer


def in_bits(bits: int, head: int) -> Callable[[nn.Linear], nn.Module]:
    """Ours: int8, or int4 with 8 bits for the head (the layer with `head` outputs) as the product loads it."""

    def quantize(layer: nn.Linear) -> nn.Module:
        group = group_for(layer.in_features, GROUP) if bits == 4 and layer.out_features != head else 0
        return QuantizedLinear(layer.weight.detach(), None, 4 if group else 8, group).eval()

    return quantize


def bitsandbytes_layer(bits: int, head: int) -> Callable[[nn.Linear], nn.Module]:
    """The published way: LLM.int8() or NF4, the head in full precision."""
    import bitsandbytes as bnb

    def quantize(layer: nn.Linear) -> nn.Module:
        weight, device = layer.weight.detach(), layer.weight.device
        sizes = (layer.in_features, layer.out_features)
        if layer.out_features == head:
            return layer
        if bits == 8:
            made = bnb.nn.Linear8bitLt(*sizes, bias=False, has_fp16_weights=False)
            made.weight = bnb.nn.Int8Params(weight.cpu(), requires_grad=False, has_fp16_weights=False)
        else:
            made = bnb.nn.Linear4bit(*sizes, bias=False, compute_dtype=weight.dtype, quant_type="nf4")
            made.weight = bnb.nn.Params4bit(weight.cpu(), requires_grad=False, quant_type="nf4")
        # it is rounded on its way to the device
        return made.to(device).eval()  # type: ignore[no-any-return]

    return quantize


def torchao_layer(head: int) -> Callable[[nn.Linear], nn.Module]:
    """torchao's int8 weights, the head in full precision."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    def quantize(layer: nn.Linear) -> nn.Module:
        if layer.out_features != head:
            quantize_(layer, Int8WeightOnlyConfig())
        return layer

    return quantize


def precisions(shape: Shape) -> dict[str, Callable[[], Callable[[nn.Linear], nn.Module]]]:
    """Every way to hold the weights that is installed: name -> what makes its layers."""
    head = shape.vocabulary
    found: dict[str, Callable[[], Callable[[nn.Linear], nn.Module]]] = {
        "bf16": lambda: as_it_is,
        "int8": lambda: in_bits(8, head),
        "int4": lambda: in_bits(4, head),
    }
    if importlib.util.find_spec("bitsandbytes"):
        found["bitsandbytes_int8"] = lambda: bitsandbytes_layer(8, head)
        found["bitsandbytes_nf4"] = lambda: bitsandbytes_layer(4, head)
    if importlib.util.find_spec("torchao"):
        found["torchao_int8"] = lambda: torchao_layer(head)
    return found


def bytes_per_token(model: Any) -> int:
    """Bytes of weights that a token's pass reads: everything but the embedding, of which it reads a row."""
    embedding = {id(tensor) for tensor in model.get_input_embeddings().parameters()}
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers()) if id(tensor) not in embedding}
    return sum(map(_stored, tensors.values()))


def _stored(tensor: Any) -> int:
    """Bytes of a tensor; torchao's are made of several others and pretend to be whole."""
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(_stored(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return int(tensor.numel() * tensor.element_size())
