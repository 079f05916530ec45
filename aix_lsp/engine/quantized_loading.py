"""Builds a quantized model layer by layer, so that at no time more than one layer is there in full precision.

The model is made without memory for its weights; then each tensor of the checkpoint is read, gets what an adapter adds
to it, is rounded on the device where it will stay, and takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from aix_lsp.engine.adapter import Adapter, Factors
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import Checkpoint
from aix_lsp.engine.quantized_linear import QuantizedLinear, group_for
from aix_lsp.engine.weight_memory import GROUP

Progress = Callable[[float], None]
"""Told which share of the weights is in place."""


def load_quantized(
    checkpoint: Checkpoint,
    build: Callable[[], Any],
    *,
    bits: int,
    device: torch.device,
    dtype: torch.dtype,
    adapter: Adapter | None = None,
    progress: Progress = lambda share: None,
) -> Any | None:
    """The model that `build` makes, with the checkpoint's weights in `bits` bits per weight, on `device`.

    What is not a linear layer stays in `dtype`; the matrix that makes logits has 8 bits in any case. None when the
    checkpoint's names are not those of the model, so that it has to be read by transformers. Raises ModelError.
    """
    with _without_memory():
        model = build()
    expected = set(dict(model.named_parameters()))
    names = _names(checkpoint)
    if not expected - _tied(model) <= names:
        return None
    filler = _Filler(model, bits, device, dtype, Factors.read(adapter) if adapter else None)
    if adapter is not None:
        filler.check(adapter)
    done = 0
    for path in checkpoint.weights:
        with safe_open(path, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118
                filler.put(key, tensors.get_tensor(key))
                done += 1
                progress(done / len(names))
    filler.finish(checkpoint)
    return model


def quantize_in_place(model: Any, bits: int, device: torch.device) -> Any:
    """Quantize a model that is in main memory, moving it to `device` layer by layer. Raises ModelError."""
    head = _head_name(model)
    linears = _linears(model)
    _check_worth(model, linears)
    for name, layer in linears.items():
        bias = None if layer.bias is None else layer.bias.detach().to(device)
        weight = layer.weight.detach()
        _replace(model, name, _quantized(weight.to(device), bias, 8 if name == head else bits))
    return model.to(device)


class _Filler:
    """Puts tensors into a model that has no memory for them yet."""

    def __init__(self, model: Any, bits: int, device: torch.device, dtype: torch.dtype, factors: Factors | None):
        self._model = model
        self._bits = bits
        self._device = device
        self._dtype = dtype
        self._factors = factors
        self._head = _head_name(model)
        self._linears = _linears(model)
        self._biases: dict[str, torch.Tensor] = {}
        _check_worth(model, self._linears)

    def check(self, adapter: Adapter) -> None:
        """Raises ModelError when the adapter has layers that this model lacks, or of another size."""
        modules = dict(self._model.named_modules())
        for name in adapter.shapes:
            adapter.check_layer(name, getattr(modules.get(name), "weight", None), self._model.config.name_or_path)

    def put(self, key: str, tensor: torch.Tensor) -> None:
        """Give one tensor its place. Keys that the model does not have are left out."""
        name, _, leaf = key.rpartition(".")
        try:
            module = self._model.get_submodule(name)
        except AttributeError:
            return
        place = module._parameters.get(leaf)
        if place is None or place.device.type != "meta":
            self._put_buffer(module, leaf, tensor)
            return
        if place.shape != tensor.shape:
            raise ModelError(
                f"{key} has the shape {tuple(tensor.shape)}, and the model's configuration wants {tuple(place.shape)}; "
                "download the model again"
            )
        if name in self._linears and leaf == "weight":
            _replace(self._model, name, self._rounded(name, tensor))
        elif name in self._linears and leaf == "bias":
            self._biases[name] = tensor.to(self._device, self._dtype)
        else:
            module._parameters[leaf] = nn.Parameter(self._plain(name, leaf, tensor), requires_grad=False)

    def finish(self, checkpoint: Checkpoint) -> None:
        """Biases, and the head that is the embedding; raises ModelError when something has no weights."""
        for name, bias in self._biases.items():
            layer = self._model.get_submodule(name)
            if isinstance(layer, QuantizedLinear):
                layer.bias = bias
        head = self._model.get_output_embeddings()
        if self._head and head.weight is not None and not isinstance(head, QuantizedLinear):
            embedding = self._model.get_input_embeddings().weight
            if embedding.device.type != "meta":
                _replace(self._model, self._head, _quantized(embedding.detach(), None, 8))
        gaps = sorted(name for name, value in self._model.named_parameters() if value.device.type == "meta")
        if gaps:
            raise ModelError(
                f"the weights in {checkpoint.folder} lack {len(gaps)} parts of the model ({gaps[0]}); download it again"
            )
        self._model.to(self._device)

    def _rounded(self, name: str, tensor: torch.Tensor) -> QuantizedLinear:
        # A processor rounds from what the file has; a GPU's kernels follow the model's type.
        weight = tensor.to(self._device) if self._device.type == "cpu" else tensor.to(self._device, self._dtype)
        if self._factors is not None and name in self._factors:
            weight = self._factors.added(name, weight.float()).to(weight.dtype)
        return _quantized(weight, None, 8 if name == self._head else self._bits)

    def _plain(self, name: str, leaf: str, tensor: torch.Tensor) -> torch.Tensor:
        if leaf == "weight" and self._factors is not None and name in self._factors:
            tensor = self._factors.added(name, tensor.to(self._device).float())
        return tensor.to(self._device, self._dtype)

    def _put_buffer(self, module: nn.Module, leaf: str, tensor: torch.Tensor) -> None:
        persistent = leaf in module._buffers and leaf not in module._non_persistent_buffers_set
        if persistent and not isinstance(module, QuantizedLinear):
            module._buffers[leaf] = tensor.to(self._device)


def _quantized(weight: torch.Tensor, bias: torch.Tensor | None, bits: int) -> QuantizedLinear:
    group = group_for(weight.shape[1], GROUP) if bits == 4 else 0
    return QuantizedLinear(weight, bias, bits if group else 8, group)


def _linears(model: Any) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if type(module) is nn.Linear}


def _head_name(model: Any) -> str:
    head = model.get_output_embeddings()
    return next((name for name, module in model.named_modules() if module is head), "")


def _tied(model: Any) -> set[str]:
    """Parameters that are others under a second name: a checkpoint need not have them."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = head is not None and bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))
    names = {name for name, module in model.named_modules() if tied and module in (head, embedding)}
    present = {f"{name}.weight" for name in names}
    # one of the two has to be there
    return present - {next((f"{name}.weight" for name, module in model.named_modules() if module is embedding), "")}


def _check_worth(model: Any, linears: dict[str, nn.Linear]) -> None:
    """Refuse models whose matrices are in layers of other kinds: nothing would become smaller."""
    ends = (_head_name(model), model.get_input_embeddings())
    inside = sum(layer.weight.numel() for name, layer in linears.items() if name != ends[0])
    rest = sum(
        parameter.numel()
        for name, module in model.named_modules()
        for parameter in module.parameters(recurse=False)
        if name not in linears and module is not ends[1]
    )
    if inside < rest:
        raise ModelError(
            f"models of the type {model.config.model_type} have no linear layers that PyTorch's kernels could keep in "
            "8 or 4 bits; set model.quantization to none"
        )


def _replace(model: Any, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer.eval())


def _names(checkpoint: Checkpoint) -> set[str]:
    names: set[str] = set()
    for path in checkpoint.weights:
        with safe_open(path, framework="pt") as tensors:
            names.update(tensors.keys())
    return names


@contextmanager
def _without_memory() -> Iterator[None]:
    """Modules made in here have parameters without memory, and buffers as ever (positions are computed in them)."""
    register = nn.Module.register_parameter

    def put_nowhere(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, parameter)
        if parameter is not None:
            module._parameters[name] = nn.Parameter(parameter.to("meta"), requires_grad=False)

    nn.Module.register_parameter = put_nowhere  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
