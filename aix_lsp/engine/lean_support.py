"""Which models the lean forward computes exactly. Whatever is not certain runs through transformers' own forward."""

from __future__ import annotations

from typing import Any

_CLASSES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Starcoder2ForCausalLM": "starcoder2",
}

# Their angles depend on the position alone. The others (dynamic, longrope) change with the length of the text.
_FIXED_ANGLES = ("default", "linear", "llama3", "yarn")


def objection(model: Any) -> str:
    """Why the lean forward must not run this model; empty when it may."""
    name = type(model).__name__
    config = getattr(model, "config", None)
    kind = getattr(config, "model_type", name)
    if config is None or _CLASSES.get(name) != kind:
        return f"{kind} is not one of {', '.join(sorted(_CLASSES.values()))}"
    if "forward" in vars(model) and not hasattr(model, "_hf_hook"):
        return "its forward was replaced"
    if (rope := getattr(model.model.rotary_emb, "rope_type", "?")) not in _FIXED_ANGLES:
        return f"its positions are scaled in a way ({rope}) that depends on the text's length"
    return _odd_shape(model) or _odd_place(model)


def _odd_shape(model: Any) -> str:
    body, config = model.model, model.config
    attention = body.layers[0].self_attn
    head = attention.head_dim
    if 2 * body.rotary_emb.inv_freq.numel() != head:
        return "only a part of each head is rotated"
    if config.num_attention_heads % config.num_key_value_heads:
        return "its query heads do not divide into groups"
    if len(body.layers) != config.num_hidden_layers:
        return "its layers are not those of its configuration"
    for layer in body.layers:
        attends = layer.self_attn
        if attends.head_dim != head or attends.scaling != attention.scaling:
            return "its layers differ in shape"
        if any(hasattr(attends, extra) for extra in ("q_norm", "k_norm", "sinks")):
            return "its attention has parts that the lean forward does not know"
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds <= {"full_attention", "sliding_attention"}:
        return f"its layers are of other kinds ({', '.join(sorted(kinds))})"
    if config.model_type == "llama" and getattr(config, "sliding_window", None):
        return "its window is not known"
    if getattr(config, "logit_scale", None) or getattr(config, "final_logit_softcapping", None):
        return "its scores are changed at the end"
    return ""


def _odd_place(model: Any) -> str:
    """Weights on several devices, or not there at all, are moved about by hooks that the lean forward goes past."""
    places = {parameter.device for parameter in model.parameters()}
    if len(places) != 1 or next(iter(places)).type == "meta":
        return "its weights are spread over several devices"
    return ""


def windows(config: Any) -> list[int | None]:
    """How many tokens each layer looks back, itself included; None for all of them."""
    window = getattr(config, "sliding_window", None)
    layers = config.num_hidden_layers
    if not window or config.model_type == "llama":
        return [None] * layers
    if config.model_type == "qwen2":
        kinds = config.layer_types
        return [window if kinds[number] == "sliding_attention" else None for number in range(layers)]
    return [window] * layers
