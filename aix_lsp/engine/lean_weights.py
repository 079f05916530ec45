"""The weights of transformers' layers as the lean forward uses them: joined where one product does the work of three.

Nothing is kept twice: joined weights take the place of the modules' own, which become views of them. A module that is
not a plain linear layer (quantized by bitsandbytes, with an adapter inside, with hooks) is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.int8 import Int8Linear, Packed16, can_pack, fits_kernel, half_product

if TYPE_CHECKING:
    from torch import Tensor

Product = Callable[["Tensor"], "Tensor"]
"""(rows, inputs) to (rows, outputs)."""


@dataclass(frozen=True, slots=True)
class Products:
    """The four products of a layer. `down` takes what the activation left of `up` (which holds gate and up, joined,
    in a gated layer)."""

    qkv: Product
    out: Product
    up: Product
    down: Product

    def in_order(self) -> tuple[Product, ...]:
        """As a pass runs them."""
        return self.qkv, self.out, self.up, self.down


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: products for a few rows and for many, the norms, the activation, and how far back it looks."""

    few: Products
    many: Products
    norm: Product
    second_norm: Product
    activate: Product
    window: int | None


def layer_of(
    module: Any, *, window: int | None, int8: bool, wide: Any, plain_norms: bool, columns: bool, halves: bool
) -> Layer:
    """A decoder layer of transformers. With `int8` the products for few rows have eight-bit weights, those for many
    have weights in `wide`, a number format, where that is not None. `columns`: see `joined`. With `halves` the two
    large products for few rows read weights of half the size where that changes no number."""
    attention, feed = module.self_attn, module.mlp
    parts = ([attention.q_proj, attention.k_proj, attention.v_proj], [attention.o_proj], *_feed(feed))
    groups = [joined(part, columns=columns) for part in parts]
    many = Products(*(group.product(wide) for group in groups))
    few = many
    if int8:
        few = Products(*(group.few() for group in groups))
    elif halves:
        few = Products(many.qkv, many.out, groups[2].half() or many.up, groups[3].half() or many.down)
    return Layer(
        few,
        many,
        norm_of(module.input_layernorm, plain=plain_norms),
        norm_of(module.post_attention_layernorm, plain=plain_norms),
        _activation(feed),
        window,
    )


def _feed(feed: Any) -> tuple[list[Any], list[Any]]:
    if hasattr(feed, "gate_proj"):
        return [feed.gate_proj, feed.up_proj], [feed.down_proj]
    return [feed.c_fc], [feed.c_proj]


def _activation(feed: Any) -> Product:
    import torch

    if not hasattr(feed, "gate_proj"):
        activate: Product = feed.act
        return activate
    inner = feed.act_fn
    if type(inner) is torch.nn.SiLU or type(inner).__name__ == "SiLUActivation":
        inner = torch.nn.functional.silu

    def gated(rows: Tensor) -> Tensor:
        gate, up = rows.chunk(2, dim=-1)
        made: Tensor = inner(gate)
        return made.mul_(up)

    return gated


def norm_of(module: Any, *, plain: bool) -> Product:
    """A norm, by PyTorch's own function; `plain` for float32 rows, whatever the weights are."""
    import torch

    functional = torch.nn.functional
    if type(module) is torch.nn.LayerNorm:
        shape, epsilon = tuple(module.normalized_shape), module.eps
        parts: list[Any] = [module.weight, module.bias]
        weight, bias = (None if part is None else part.detach().float() if plain else part.detach() for part in parts)
        return lambda rows: functional.layer_norm(rows, shape, weight, bias, epsilon)
    scale: Tensor = module.weight.detach().float() if plain else module.weight.detach()
    size, tiny = tuple(scale.shape), module.variance_epsilon
    if not plain or scale.device.type != "cpu":
        return lambda rows: functional.rms_norm(rows, size, scale, tiny)
    # One row times itself is the sum of its squares: half the time of the function, on a processor.
    whole = scale * size[0] ** 0.5
    least = torch.full((1, 1), size[0] * tiny)

    def norm(rows: Tensor) -> Tensor:
        if rows.shape[0] > 1:
            return functional.rms_norm(rows, size, scale, tiny)
        made: Tensor = (rows * whole).mul_(torch.addmm(least, rows, rows.t()).rsqrt_())
        return made

    return norm


class Joined:
    """Linear modules that take the same rows; their outputs stand side by side."""

    def __init__(self, modules: Sequence[Any], weight: Tensor | None, bias: Tensor | None) -> None:
        self._modules = modules
        self._weight = weight
        self._bias = bias

    @property
    def plain(self) -> bool:
        """Whether the weights are at hand."""
        return self._weight is not None

    def product(self, wide: Any = None) -> Product:
        """The product with the weights as they are, or in the number format `wide`."""
        import torch

        if self._weight is None:
            modules = self._modules
            if len(modules) == 1:
                only: Product = modules[0]
                return only
            return lambda rows: torch.cat([module(rows) for module in modules], dim=-1)
        weight, bias, linear = self._weight, self._bias, torch.nn.functional.linear
        if wide is None or wide == weight.dtype:
            return lambda rows: linear(rows, weight, bias)
        if wide is torch.bfloat16 and weight.device.type == "cpu" and can_pack():
            return Packed16(weight, bias)
        narrow = weight.to(wide)
        narrow_bias = None if bias is None else bias.to(wide)
        return lambda rows: linear(rows.to(wide), narrow, narrow_bias)

    def half(self) -> Product | None:
        """See `half_product`; None for modules of other kinds."""
        return None if self._weight is None else half_product(self._weight, self._bias)

    def few(self) -> Product:
        """The product with eight-bit weights; with the modules' own where these are not plain or the kernel cannot
        take them."""
        import torch

        if self._weight is None:
            return self.product()
        weight, bias, linear = self._weight, self._bias, torch.nn.functional.linear
        if not fits_kernel(weight.shape[1]):
            return lambda rows: linear(rows.to(weight.dtype), weight, bias)
        return Int8Linear(weight, bias)


def joined(modules: Sequence[Any], *, columns: bool = False) -> Joined:
    """Join linear modules, if all are plain; their weights become views of the joined one.

    With `columns` the joined weight lies in memory column by column (it is still (outputs, inputs) to everybody): the
    product of one float32 row with it runs along the memory, which was measured 2.5 to 3.7 times as fast on a
    processor as MKL's way through rows (docs/log.md), and products of many rows are as fast either way.
    """
    import torch

    if not all(is_plain(module) for module in modules):
        return Joined(modules, None, None)
    weights = [module.weight for module in modules]
    biases = [module.bias for module in modules]
    if len({bias is None for bias in biases}) != 1 or len({weight.dtype for weight in weights}) != 1:
        return Joined(modules, None, None)
    with torch.no_grad():
        weight = _joined_before(weights, columns)
        if weight is None:
            weight = torch.cat([part.detach() for part in weights]) if len(weights) > 1 else weights[0].detach()
            weight = weight.t().contiguous().t() if columns else weight
            start = 0
            for part in weights:
                rows = part.shape[0]
                part.data = weight[start : start + rows]
                start += rows
        bias = None if biases[0] is None else torch.cat([part.detach() for part in biases])
    return Joined(modules, weight, bias)


def _joined_before(weights: Sequence[Tensor], columns: bool) -> Tensor | None:
    """The joined weight that these are views of already, from an earlier look at the same model."""
    import torch

    first = weights[0].detach()
    rows, width = sum(weight.shape[0] for weight in weights), first.shape[1]
    stride = (1, rows) if columns else (width, 1)
    storage, place = first.untyped_storage().data_ptr(), first.storage_offset()
    for weight in weights:
        same = weight.untyped_storage().data_ptr() == storage and weight.storage_offset() == place
        if not same or weight.stride() != stride:
            return None
        place += weight.shape[0] * stride[0]
    return torch.as_strided(first, (rows, width), stride, first.storage_offset())


def is_plain(module: Any) -> bool:
    """Whether a module is PyTorch's own linear layer and nothing listens to it."""
    import torch

    if type(module) is not torch.nn.Linear or "forward" in vars(module):
        return False
    # Quantized weights may hide in a plain module as a kind of tensor of their own.
    whole = type(module.weight.data) is torch.Tensor and module.weight.is_floating_point()
    return whole and not module._forward_hooks and not module._forward_pre_hooks
