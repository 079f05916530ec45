"""Small random models on disk, made in the test: the layout of the Hugging Face hub, the embedded tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from aix_lsp.engine.catalog import embedded

VOCABULARY = 8192
"""That of the embedded model's tokenizer."""


def embedded_folder() -> Path:
    """The folder of the embedded model."""
    return Path(embedded().source)


def tiny_config(kind: str = "llama", **changes: Any) -> Any:
    """A configuration of a few thousand parameters. `kind` is transformers' model type."""
    from transformers import AutoConfig

    options: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        # Larger than usual, so that the likeliest token stands out from the second.
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
    }
    return AutoConfig.for_model(kind, **(options | changes))


def tiny_model(kind: str = "llama", *, seed: int = 0, **changes: Any) -> Any:
    """A random causal language model in float32, the same for the same arguments."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(tiny_config(kind, **changes), attn_implementation="sdpa").eval()


def save_model(folder: Path, model: Any | None = None, *, tokenizer: bool = True, **options: Any) -> Path:
    """Write `model` (by default a tiny Llama) with the embedded tokenizer to `folder`; returns the folder."""
    (model if model is not None else tiny_model()).save_pretrained(folder, **options)
    if tokenizer:
        shutil.copy(embedded_folder() / "tokenizer.model", folder)
    return folder
