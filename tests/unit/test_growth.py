"""A grown model says what the smaller one said, and can learn with all its layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aix_lsp.training.growth import GrowthError, grown


def small(layers: int = 2, **more: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=layers, num_key_value_heads=2, **more)).float()


@pytest.mark.parametrize("tied", [True, False])
def test_a_grown_model_computes_the_same(tied: bool) -> None:
    model = small(tie_word_embeddings=tied)
    larger = grown(model, 5)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.allclose(model(ids).logits, larger(ids).logits, atol=1e-6)
    assert larger.config.num_hidden_layers == 5
    assert len(model.model.layers) == 2


def test_every_new_layer_gets_a_gradient() -> None:
    larger = grown(small(), 4)
    ids = torch.arange(12)[None]
    larger(ids, labels=ids).loss.backward()
    for layer in larger.model.layers[2:]:
        assert layer.self_attn.o_proj.weight.grad.abs().sum() > 0
        assert layer.mlp.down_proj.weight.grad.abs().sum() > 0


def test_a_model_cannot_shrink() -> None:
    with pytest.raises(GrowthError, match="has 2 layers"):
        grown(small(), 1)
