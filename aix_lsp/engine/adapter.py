"""Low-rank adapters (Hu et al. 2021, "LoRA", section 4.1) in peft's layout, put into a model's weights at load.

A weight W of shape (out, in) becomes W + scale * B A, with A of shape (rank, in) and B of (out, rank): this is done
here with plain PyTorch, because peft would bring packages that only training needs, and afterwards the decode loop
runs as it always does. A model that is quantized here takes them in before its weights are rounded
(`quantized_loading.py`); a weight that bitsandbytes has quantized keeps the two factors beside it.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import Checkpoint, read_json

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
NOTES: Final = "aix.json"

_FACTOR: Final = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
_MORE_THAN_FACTORS: Final = (
    *("modules_to_save", "trainable_token_indices", "alora_invocation_tokens", "layer_replication"),
    *("target_parameters", "arrow_config", "kasa_config", "monteclora_config", "lora_bias"),
)
_SAMPLED_BYTES: Final = 64
_LARGEST_HEADER: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's folder as far as it can be read without PyTorch.

    `shapes` maps the name of a module to (out, in, rank) of the factors; `scales` to what their product is multiplied
    with. `base` is the model that it was made from: a catalog or hub name, or a folder's bare name; `fingerprint` is
    that of its weights ("" for adapters of other programs). `languages` are those it was trained on.
    """

    folder: Path
    base: str
    fingerprint: str
    languages: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int, int]]
    scales: Mapping[str, float]
    transposed: bool

    @property
    def name(self) -> str:
        """What it is called where a model is named."""
        return self.folder.resolve().name

    @property
    def parameters(self) -> int:
        """Numbers in all factors."""
        return sum((out + in_) * rank for out, in_, rank in self.shapes.values())

    def check_layer(self, name: str, weight: Any, model: str) -> None:
        """Raises ModelError when a layer's weight is missing (None) in `model` or of another size.

        Quantized weights have shapes of their own and are not looked at.
        """
        if weight is None:
            raise ModelError(f"the adapter {self.folder} was made from another kind of model: this one has no {name}")
        out, in_, _ = self.shapes[name]
        if weight.is_floating_point() and tuple(weight.shape) != ((in_, out) if self.transposed else (out, in_)):
            raise _misfit(self, str(model or "this model"), name, tuple(weight.shape))


class Factors:
    """The two factors of each layer, and what they add to its weight."""

    def __init__(self, adapter: Adapter, tensors: Mapping[str, Any]) -> None:
        self._adapter = adapter
        self._pairs: dict[str, dict[str, Any]] = {}
        for key, tensor in tensors.items():
            if match := _FACTOR.fullmatch(key):
                self._pairs.setdefault(match["module"], {})[match["side"]] = tensor

    @classmethod
    def read(cls, adapter: Adapter) -> Factors:
        """Raises ModelError for a file that cannot be read and for numbers that are none."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(adapter.folder / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{adapter.folder / WEIGHTS} cannot be read: {error}") from error
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise ModelError(f"the adapter {adapter.folder} holds numbers that are none (NaN); train it again")
        return cls(adapter, tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._pairs

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def pair(self, name: str, device: Any) -> tuple[Any, Any]:
        """B and A of a layer in float32, shapes (out, rank) and (rank, in)."""
        pair = self._pairs[name]
        return pair["B"].to(device).float(), pair["A"].to(device).float()

    def added(self, name: str, weight: Any) -> Any:
        """A layer's weight, float32, with the product of its factors added."""
        up, down = self.pair(name, weight.device)
        product = up @ down * self._adapter.scales[name]
        return weight + (product.T if self._adapter.transposed else product)


def inspect_adapter(folder: Path) -> Adapter:
    """Read an adapter's configuration and the header of its weights. Raises ModelError with one line."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ModelError(f"the adapter folder {folder} does not exist")
    if not (folder / CONFIG).is_file():
        whole = " (it holds a whole model; say --model)" if (folder / "config.json").is_file() else ""
        raise ModelError(f"{folder} is no adapter: {CONFIG} is missing{whole}")
    config = read_json(folder / CONFIG)
    _refuse_other_kinds(config, folder)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"the adapter {folder} has no weights: {WEIGHTS} is missing; copy or train it again")
    factors: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, entry in _header(folder / WEIGHTS).items():
        match = _FACTOR.fullmatch(key)
        if match is None:
            raise ModelError(f"the adapter {folder} has {key}, which is no factor of a linear layer")
        factors.setdefault(match["module"], {})[match["side"]] = tuple(entry["shape"])
    shapes = {module: _shape(folder, module, pair) for module, pair in sorted(factors.items())}
    if not shapes:
        raise ModelError(f"the adapter {folder} is empty; train it again")
    notes = read_json(folder / NOTES) if (folder / NOTES).is_file() else {}
    try:
        scales = {module: _scale(config, module, shape[2]) for module, shape in shapes.items()}
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise ModelError(f"{folder / CONFIG} cannot be used: {error}") from error
    return Adapter(
        folder=folder,
        base=str(notes.get("base") or config.get("base_model_name_or_path") or ""),
        fingerprint=str(notes.get("base_fingerprint", "")),
        languages=tuple(str(name) for name in notes.get("languages", ())),
        shapes=shapes,
        scales=scales,
        transposed=bool(config.get("fan_in_fan_out")),
    )


def fingerprint(checkpoint: Checkpoint) -> str:
    """What tells a model's weights from others of the same shapes: a digest over the name, the type, the shape and the
    first bytes of every tensor. The same however they are spread over files, and quick (a page of each tensor is read).
    """
    parts: dict[str, bytes] = {}
    for path in checkpoint.weights:
        header = _header(path)
        with path.open("rb") as file:
            start = 8 + struct.unpack("<Q", file.read(8))[0]
            for key, entry in header.items():
                begin, end = entry["data_offsets"]
                # The middle: first rows are those of special tokens, which training may never have touched.
                file.seek(start + (begin + end) // 2 // 8 * 8)
                sample = file.read(min(_SAMPLED_BYTES, end - (begin + end) // 2))
                parts[key] = f"{entry['dtype']}{entry['shape']}".encode() + sample
    digest = blake2b(digest_size=16)
    for key in sorted(parts):
        digest.update(key.encode() + b"\0" + parts[key] + b"\0")
    return digest.hexdigest()


def check_base(adapter: Adapter, checkpoint: Checkpoint) -> None:
    """Raises ModelError when the adapter was made from another model: other weights, or other shapes."""
    if adapter.fingerprint and adapter.fingerprint != fingerprint(checkpoint):
        raise ModelError(
            f"the adapter {adapter.folder} was made from {adapter.base or 'another model'}, and the weights in "
            f"{checkpoint.folder} are others; name its own model with --model, or train it again from this one"
        )
    shapes = {key: tuple(entry["shape"]) for path in checkpoint.weights for key, entry in _header(path).items()}
    for module, (out, in_, _) in adapter.shapes.items():
        found = shapes.get(f"{module}.weight")
        if found is not None and found != ((in_, out) if adapter.transposed else (out, in_)):
            raise _misfit(adapter, checkpoint.folder.name, module, found)


def apply_adapter(model: Any, adapter: Adapter) -> None:
    """Put the adapter into a loaded model of transformers, in place.

    Floating-point weights take the product in, computed in float32; quantized ones get the factors beside them.
    Raises ModelError when the model has no such layer, or one of another size.
    """
    import torch

    factors = Factors.read(adapter)
    modules = dict(model.named_modules())
    # All are looked at before the first is changed.
    for name in adapter.shapes:
        adapter.check_layer(name, getattr(modules.get(name), "weight", None), model.config.name_or_path)
    for name in factors:
        weight = modules[name].weight
        if weight.is_floating_point():
            with torch.no_grad():
                weight.copy_(factors.added(name, weight.float()))
        else:
            _attach(modules[name], *factors.pair(name, weight.device), adapter.scales[name])


def _attach(module: Any, up: Any, down: Any, scale: float) -> None:
    """Add the product's effect to what a layer gives, leaving its own weight alone."""

    def beside(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        del layer
        given = inputs[0].to(down.dtype)
        return output + ((given @ down.T) @ up.T * scale).to(output.dtype)

    module.register_forward_hook(beside)


def _refuse_other_kinds(config: Mapping[str, Any], folder: Path) -> None:
    """Adapters that are more than two factors of linear layers."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ModelError(f"the adapter {folder} is of the kind {kind!r}; only LORA adapters can be served")
    extras = [name for name in _MORE_THAN_FACTORS if config.get(name)]
    extras += [name for name in config if name.startswith("use_") and name != "use_rslora" and config[name]]
    if config.get("bias", "none") != "none":
        extras.append("bias")
    # Other ways to begin change the base's own weights too (PiSSA, OLoRA, LoftQ and more).
    if config.get("init_lora_weights", True) not in (True, False, "gaussian", "eva", "orthogonal"):
        extras.append(f"init_lora_weights = {config['init_lora_weights']}")
    if extras:
        raise ModelError(
            f"the adapter {folder} uses {' and '.join(extras)}, which is not supported; merge it into its model with "
            "peft and name the merged model with --model"
        )


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """What the factors' product is multiplied with, as peft decides it: alpha / rank, by module if so configured."""
    alpha = float(config.get("lora_alpha") or rank)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(?:.*\.)?(?:{pattern})", module):
            alpha = float(value)
            break
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _shape(folder: Path, module: str, pair: Mapping[str, tuple[int, ...]]) -> tuple[int, int, int]:
    down, up = pair.get("A", ()), pair.get("B", ())
    if len(down) != 2 or len(up) != 2 or down[0] != up[1]:
        raise ModelError(f"the adapter {folder} is damaged: the two factors of {module} do not fit one another")
    return up[0], down[1], down[0]


def _misfit(adapter: Adapter, model: str, module: str, found: tuple[int, ...]) -> ModelError:
    out, in_, _ = adapter.shapes[module]
    made = f" (it was made from {adapter.base})" if adapter.base else ""
    return ModelError(
        f"the adapter {adapter.folder} does not fit {model}{made}: {module} is "
        f"{' x '.join(map(str, found))} there and {out} x {in_} in the adapter; name its own model with --model"
    )


def _header(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file: name to type, shape and place. Raises ModelError for a damaged file."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > _LARGEST_HEADER:
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
            if file.seek(0, 2) != end:
                raise ValueError("it is cut short")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(f"{path} is damaged or incomplete ({error}); copy or download it again") from error
    return header
