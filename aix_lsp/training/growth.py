"""A deeper model from a shallower one: layers that change nothing at first.

Behind the last layer come copies of it whose two output matrices are zero, so that each adds nothing to what goes
through, and the grown model says exactly what the smaller one said (block expansion, LLaMA Pro, Wu et al. 2024, section
3.2). Training then fills them. Depth is what prefix-suffix-middle costs a small model: the answer's first token must
look at the suffix marker, which must have looked at the prefix's end, each one layer later than the prefix's own end.
"""

from __future__ import annotations

from typing import Any


class GrowthError(ValueError):
    """A model cannot be grown like this; the message is one line for a person."""


def grown(model: Any, layers: int) -> Any:
    """A Llama-style causal model with `layers` layers in all that computes what `model` computes. `model` is not
    changed. Raises GrowthError when it has more layers already, or is of another kind."""
    from copy import deepcopy

    import torch
    from transformers import AutoModelForCausalLM

    config = deepcopy(model.config)
    have = config.num_hidden_layers
    if layers < have:
        raise GrowthError(f"the model has {have} layers; it cannot be grown to {layers}")
    inner = getattr(getattr(model, "model", None), "layers", None)
    if inner is None or not all(hasattr(inner[-1], name) for name in ("self_attn", "mlp")):
        raise GrowthError(f"models of type {config.model_type} cannot be grown")
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = [*config.layer_types, *([config.layer_types[-1]] * (layers - have))]
    larger: Any = AutoModelForCausalLM.from_config(config, dtype=model.dtype)
    weights = dict(model.state_dict())
    for number in range(have, layers):
        for name, weight in inner[-1].state_dict().items():
            silent = name in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
            weights[f"model.layers.{number}.{name}"] = torch.zeros_like(weight) if silent else weight.clone()
    larger.load_state_dict(weights)
    return larger
