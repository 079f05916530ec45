"""Writes weights of the Megatron form in Hugging Face's layout: safetensors shards, a configuration, the tokenizer.

Everything goes into a folder beside the result, which gets its name when all is written, so that nothing half-done can
be taken for a model.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import Checkpoint, inspect
from aix_lsp.engine.known_models import KNOWN
from aix_lsp.engine.megatron import MegatronWeights, Sizes, read_megatron, split_groups
from aix_lsp.engine.tokenizer import TokenizerError, load_tokenizer

if TYPE_CHECKING:
    import torch

SHARD_BYTES: Final = 2_000_000_000
"""Size of a shard, and about the memory that converting takes."""

_SPARE: Final = 50_000_000
_TOKENIZER: Final = "tokenizer.model"


@dataclass(frozen=True, slots=True)
class Known:
    """What shapes do not tell: aiXcoder-7B's own values by default."""

    heads: int = 32
    rope_theta: float = 256_000.0
    norm_eps: float = 1e-5
    positions: int = 32_768


Progress = Callable[[int, int], None]
"""Told how many shards are written, and how many there will be."""


def convert(
    source: Path,
    out: Path,
    known: Known | None = None,
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = lambda done, of: None,
) -> Checkpoint:
    """Convert the folder `source` to the new folder `out`; returns what lies there then.

    Raises ModelError with one line; `out` is then as it was before.
    """
    known = known or Known()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} is there already; name a new or empty folder")
    if source.is_dir() and not (source / _TOKENIZER).is_file():
        raise ModelError(f"{source} has no {_TOKENIZER}; it belongs beside the weights")
    weights = read_megatron(source)
    sizes = weights.sizes(known.heads)
    shards = _shards(weights, sizes, shard_bytes)
    total = sum(size for shard in shards for _, size in shard)
    _check_disk(out, total)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".unfinished", dir=out.parent))
    try:
        _write(weights, sizes, shards, part, progress)
        shutil.copyfile(source / _TOKENIZER, part / _TOKENIZER)
        _write_json(part / "config.json", _configuration(weights, sizes, known, part))
        _write_json(part / "aix.json", {"format": "psm", "licence": KNOWN[0].licence + ".", "made_by": "aix-lsp"})
        part.chmod(0o755)
        checkpoint = inspect(part)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelError(f"the disk of {out.parent} is full; nothing was kept, make room and try again") from error
        raise ModelError(f"{error.filename or out} cannot be written: {error.strerror or error}") from error
    except TokenizerError as error:
        raise ModelError(str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    files = tuple(out / path.name for path in checkpoint.weights)
    return Checkpoint(out, checkpoint.config, files, checkpoint.counts)


_Shards = list[list[tuple[str, int]]]
"""For each shard its Megatron tensors with their bytes."""


def _shards(weights: MegatronWeights, sizes: Sizes, most: int) -> _Shards:
    shards: _Shards = [[]]
    filled = 0
    for name in _in_order(sizes):
        size = weights.dtype.itemsize
        for side in weights.shape(name):
            size *= side
        if filled and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append((name, size))
        filled += size
    return shards


def _in_order(sizes: Sizes) -> Iterator[str]:
    yield "tok_embeddings.weight"
    for number in range(sizes.layers):
        for part in ("attention_norm", "attention.query_key_value", "attention.wo", "ffn_norm"):
            yield f"layers.{number}.{part}.weight"
        for matrix in ("w1", "w3", "w2"):
            yield f"layers.{number}.feed_forward.{matrix}.weight"
    yield "norm.weight"
    yield "output.weight"


_NAMES: Final = {
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def _renamed(weights: MegatronWeights, sizes: Sizes, name: str) -> dict[str, torch.Tensor]:
    """What one Megatron tensor becomes."""
    part = name.removesuffix(".weight")
    layer = ""
    if part.startswith("layers."):
        _, number, part = part.split(".", 2)
        layer = f"model.layers.{number}."
    tensor = weights.tensor(name)
    if part == "attention.query_key_value":
        names = (f"{layer}self_attn.{letter}_proj.weight" for letter in "qkv")
        return dict(zip(names, split_groups(tensor, sizes), strict=True))
    return {f"{layer}{_NAMES[part]}.weight": tensor.clone().contiguous()}


def _write(weights: MegatronWeights, sizes: Sizes, shards: _Shards, out: Path, progress: Progress) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    places: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
        tensors: dict[str, torch.Tensor] = {}
        for name, _ in shard:
            tensors |= _renamed(weights, sizes, name)
        try:
            save_file(tensors, out / file, {"format": "pt"})
        except SafetensorError as error:
            # The library wraps the system's error in its own, with its number in the text.
            full = "No space left" in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(out / file)) from error
        places |= dict.fromkeys(tensors, file)
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        progress(number, len(shards))
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        _write_json(out / "model.safetensors.index.json", index)


def _configuration(weights: MegatronWeights, sizes: Sizes, known: Known, folder: Path) -> dict[str, Any]:
    """What transformers wants to know of a Llama model."""
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocabulary_size > sizes.vocabulary:
        raise ModelError(
            f"{_TOKENIZER} has {tokenizer.vocabulary_size:,} pieces and the weights {sizes.vocabulary:,}; it is of "
            "another model"
        )
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.feed_forward,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "head_dim": sizes.head_size,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": known.norm_eps,
        "rope_theta": known.rope_theta,
        "rope_parameters": {"rope_theta": known.rope_theta, "rope_type": "default"},
        "max_position_embeddings": known.positions,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.special("<s>"),
        "eos_token_id": tokenizer.special("</s>"),
        "dtype": str(weights.dtype).removeprefix("torch."),
    }


def _check_disk(out: Path, needed: int) -> None:
    nearest = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    if free < needed + _SPARE:
        raise ModelError(
            f"the result takes {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free in {nearest}; make room, or "
            "name a folder on another disk"
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
