"""Weights in eight bits for the passes over a few tokens, on a processor.

A pass over one token reads every weight once and computes little with it, so its time is that of reading: a quarter of
the bytes, a fraction of the time. The kernel is PyTorch's own (`_weight_int8pack_mm`); it takes bfloat16 rows, and is
vectorised for them on AVX2, AVX-512 and 64-bit ARM only, which is why other processors keep their weights whole.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FEW = 4
"""Rows up to which the kernel beats a product with packed bfloat16 weights (measured, docs/log.md)."""

WHOLE_STEPS = 32
"""Inputs of a product that the kernel takes are a multiple of this: it reads whole vectors, and beyond the end of the
last row (seen: the process dies) where they do not come out even."""

_SHORTLIST = 48


def has_kernel() -> bool:
    """Whether this processor has a vectorised kernel for eight-bit weights."""
    import torch

    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64")


def fits_kernel(inputs: int) -> bool:
    """Whether the kernel may multiply rows of so many numbers."""
    return inputs % WHOLE_STEPS == 0


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones: AVX512-BF16 or AMX."""
    import torch

    looks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(look is not None and bool(look()) for look in looks)


def quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers from -127 to 127, shape (outputs, inputs), and one scale for each output, in bfloat16.

    Symmetrical. The numbers are rounded with the scale that the kernel will use, so that the scale's own rounding
    costs nothing.
    """
    import torch

    wide = weight.detach().float()
    scale = (wide.abs().amax(dim=1) / 127).clamp_min(1e-10).bfloat16()
    numbers = (wide / scale.float()[:, None]).round_().clamp_(-127, 127)
    return numbers.to(torch.int8).contiguous(), scale


class Int8Linear:
    """`rows -> rows @ weight.T + bias` with eight-bit weights; (rows, inputs) in any format to (rows, outputs) in
    bfloat16, or float32 with a bias."""

    __slots__ = ("_bias", "_numbers", "_product", "_scale")

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        import torch

        self._numbers, self._scale = quantized(weight)
        self._bias = None if bias is None else bias.detach().float()
        self._product = torch._weight_int8pack_mm

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return self._numbers.numel()

    def move(self, room: Tensor) -> None:
        """Lay the weights into so many bytes of a larger tensor."""
        self._numbers = room.copy_(self._numbers.view(-1)).view_as(self._numbers)

    def __call__(self, rows: Tensor) -> Tensor:
        made: Tensor = self._product(rows.bfloat16(), self._numbers, self._scale)
        return made if self._bias is None else made + self._bias


def lay_together(linears: Sequence[Int8Linear]) -> None:
    """Put weights into one piece of memory, in the order in which a pass reads them: a few percent faster."""
    import torch

    room = torch.empty(sum(linear.size for linear in linears), dtype=torch.int8)
    start = 0
    for linear in linears:
        linear.move(room[start : start + linear.size])
        start += linear.size


class Packed16:
    """A product with bfloat16 weights in the order that oneDNN wants: for more than a few rows the fastest there is on
    a processor that computes bfloat16. (rows, inputs) in any format to (rows, outputs) in bfloat16."""

    __slots__ = ("_bias", "_product", "_weight")

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        import torch

        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16(), 1)
        self._bias = None if bias is None else bias.detach().bfloat16()
        self._product = torch.ops.mkldnn._linear_pointwise

    def __call__(self, rows: Tensor) -> Tensor:
        made: Tensor = self._product(rows.bfloat16(), self._weight, self._bias, "none", [], "")
        return made


def can_pack() -> bool:
    """Whether this PyTorch has oneDNN's packed products."""
    import torch

    found = hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return found and bool(torch._C._has_mkldnn)


def half_product(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor] | None:
    """A product of float32 rows with half-precision weights and float32 sums (FBGEMM, x86 only): half the bytes to read
    and the same numbers, since weights that were saved in bfloat16 have so few digits. None where any would change."""
    import torch

    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return None
    wide = weight.detach().float()
    # What is smaller than half precision's least step is nothing beside the other weights.
    if not bool(((wide.half().float() - wide).abs() <= 2**-24).all()):
        return None
    packed = torch.ops.quantized.linear_prepack_fp16(wide.contiguous(), None if bias is None else bias.float())
    product = torch.ops.quantized.linear_dynamic_fp16
    return lambda rows: product(rows.float(), packed)


def head_for(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """The last linear layer for few rows, to float32 scores that tell the likeliest tokens apart: in half precision
    where that changes nothing, else `Int8Head`, or as it is where that cannot be."""
    from torch import nn

    half = half_product(weight, bias)
    if half is not None or fits_kernel(weight.shape[1]):
        return half or Int8Head(weight, bias)
    return lambda rows: nn.functional.linear(rows.to(weight.dtype), weight, bias).float()


class Int8Head:
    """The last linear layer: scores of all tokens with eight-bit weights, those of the likeliest with whole ones.

    bfloat16 scores have three digits, and the likeliest tokens tie; so the best 48 are computed once more, which
    costs as much as reading 48 rows.
    """

    __slots__ = ("_bias", "_rough", "_weight")

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._rough = Int8Linear(weight, bias)
        self._weight = weight
        self._bias = bias

    def __call__(self, rows: Tensor) -> Tensor:
        logits: Tensor = self._rough(rows).float()
        best = logits.topk(min(_SHORTLIST, logits.shape[1]), dim=1, sorted=False).indices
        exact = (self._weight[best] @ rows.to(self._weight.dtype)[:, :, None])[:, :, 0].float()
        if self._bias is not None:
            exact += self._bias[best]
        return logits.scatter_(1, best, exact)
