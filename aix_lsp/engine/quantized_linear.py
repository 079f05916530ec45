"""Linear layers whose weights stay in 8 or 4 bits: single tokens read them as they are, long prompts unpack them first.

One token through a linear layer costs reading its weights, so it is as fast as the weights are small. PyTorch's packed
kernels do that for a few rows; with many rows the arithmetic costs more than the reading, and a layer is turned back
into plain numbers for the time of one multiplication. Which kernel a device has is tried out once, against plain
arithmetic.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from aix_lsp.engine.hardware import processor_bf16
from aix_lsp.engine.int8 import fits_kernel
from aix_lsp.engine.rounding import dequantize4, dequantize8, quantize4, quantize8

FEW_ROWS = {"cpu": 12, "cuda": 16, "mps": 16}
"""Rows up to which the packed int8 kernel is the faster one: on a processor it is twice as fast as unpacking with four
rows and as fast with twelve (docs/log.md); a GPU's tiles have 16 rows. int4 has the same limit on a GPU; a processor
runs all rows packed."""

_BLOCK = 2**20
"""Weights that a processor unpacks at once: they are multiplied while its caches still hold them."""

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(rows, codes, scale) to outputs."""

_TILES = {"cpu": (64, 1), "cuda": (8, 128)}
"""Rows and columns of the blocks in which packed int4 weights lie one after another. What happens within a block is
found out (`_tile_order`)."""

_MPS_TILE = 32
"""Rows and columns that Apple's int8 kernel multiplies at once; it does not look where a layer ends."""

_INNER_TILES = 8
"""Of 16 columns each: what CUDA's int4 kernel reads at once."""


class QuantizedLinear(nn.Module):
    """A linear layer with `bits` bits per weight, made from a full-precision one.

    `group` is the number of weights in a row that share a scale in 4 bits (0 with 8 bits: one scale per row). It takes
    (..., in_features) in any floating-point type and gives (..., out_features) in the same. All buffers are fixed and
    nothing waits for the device, so that it can be part of a CUDA graph (`graph_safe`).
    """

    graph_safe = True

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, bits: int, group: int = 0) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bits = bits
        self.group = group
        self.compute, self.unpacked = _compute_types(weight.device.type, weight.dtype, bits)
        self.few_rows = FEW_ROWS.get(weight.device.type, 0)
        if bits == 4 and weight.device.type == "cpu":
            self.few_rows = sys.maxsize
        self.packed = _fits_kernel(weight, bits) and kernel_works(weight.device.type, weight.dtype, bits, group)
        self.kernel = few_rows8(weight.device.type, self.compute) if self.packed and bits == 8 else None
        codes: torch.Tensor
        if bits == 8:
            codes, scale = quantize8(weight)
            self.register_buffer("scale", scale.to(self.compute), persistent=False)
        else:
            codes, scale, zero = quantize4(weight, group)
            # the kernels' own order: (groups, rows, scale and zero)
            pairs = torch.stack([scale, zero], dim=-1).transpose(0, 1).contiguous()
            self.register_buffer("scale", pairs.to(self.compute), persistent=False)
            codes = _pack4(codes) if self.packed else _pair(codes)
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.scale: torch.Tensor
        self.codes: torch.Tensor
        self.bias: torch.Tensor | None

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        tensors = (self.codes, self.scale, self.bias)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)

    def weight(self) -> torch.Tensor:
        """The weights as plain numbers, shape (out_features, in_features)."""
        if self.bits == 8:
            return dequantize8(self.codes, self.scale)
        scale, zero = self.scale.transpose(0, 1).unbind(-1)
        codes = _unpack4(self.codes, self.out_features, self.in_features) if self.packed else _unpair(self.codes)
        return dequantize4(codes, scale, zero)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """`inputs` times the transposed weights, plus the bias."""
        rows = inputs.reshape(-1, self.in_features)
        if self.packed and rows.shape[0] <= self.few_rows:
            given = self._few(rows.to(self.compute).contiguous())
        elif self.bits == 8:
            given = self._many8(rows.to(self.unpacked))
        else:
            given = nn.functional.linear(rows.to(self.unpacked), self.weight().to(self.unpacked))
        given = given.to(inputs.dtype)
        if self.bias is not None:
            given = given + self.bias.to(inputs.dtype)
        return given.view(*inputs.shape[:-1], self.out_features)

    def _few(self, rows: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor
        if self.kernel is not None:
            given = self.kernel(rows, self.codes, self.scale)
        elif rows.device.type == "cpu":
            given = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self.codes, self.group, self.scale)
        else:
            given = torch.ops.aten._weight_int4pack_mm(rows, self.codes, self.group, self.scale)
        return given

    def _many8(self, rows: torch.Tensor) -> torch.Tensor:
        """Unpacked: codes are whole numbers that any of the types holds exactly, and the scale comes after the sum."""
        if rows.device.type != "cpu":
            return nn.functional.linear(rows, self.codes.to(rows.dtype)) * self.scale
        given = rows.new_empty(rows.shape[0], self.out_features)
        step = max(1, _BLOCK // self.in_features)
        for begin in range(0, self.out_features, step):
            block = slice(begin, begin + step)
            given[:, block] = nn.functional.linear(rows, self.codes[block].to(rows.dtype))
        return given * self.scale

    def extra_repr(self) -> str:
        """For print(model)."""
        kernel = "packed" if self.packed else "unpacked"
        return f"{self.in_features}, {self.out_features}, bits={self.bits}, group={self.group}, {kernel}"


def group_for(in_features: int, wanted: int) -> int:
    """The largest group up to `wanted` that divides a row; 0 when even 32 does not, so that 8 bits are taken."""
    return next((group for group in (128, 64, 32) if group <= wanted and in_features % group == 0), 0)


def _compute_types(device: str, dtype: torch.dtype, bits: int) -> tuple[torch.dtype, torch.dtype]:
    """What the packed kernel multiplies in, and what is multiplied in without it.

    On a processor the kernels want bfloat16 (they are many times slower in float32), while long prompts go in float32
    where the processor has no instructions for bfloat16. Everything else in the model keeps its own type. On a GPU it
    is the model's type; the int4 kernel knows bfloat16 alone.
    """
    if device == "cpu":
        return torch.bfloat16, torch.bfloat16 if processor_bf16() else torch.float32
    return torch.bfloat16 if bits == 4 else dtype, dtype


def _fits_kernel(weight: torch.Tensor, bits: int) -> bool:
    rows, columns = weight.shape
    device = weight.device.type
    if bits == 8 and device == "mps":
        return rows % _MPS_TILE == 0 and columns % _MPS_TILE == 0
    if bits == 8:
        return device != "cpu" or fits_kernel(columns)
    height, width = _TILES.get(device, (0, 0))
    return height > 0 and rows % height == 0 and columns % width == 0


@lru_cache
def kernel_works(device: str, dtype: torch.dtype, bits: int, group: int) -> bool:
    """Whether this PyTorch has the packed kernel for the device and it computes what plain arithmetic does.

    `dtype` is the model's; `group` is of no account with 8 bits.
    """
    compute, _ = _compute_types(device, dtype, bits)
    if bits == 8:
        return few_rows8(device, compute) is not None
    if device not in _TILES:
        return False
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 256, generator=generator).to(device, compute)
    rows = torch.randn(1, 256, generator=generator).to(device, compute)
    layer = QuantizedLinear.__new__(QuantizedLinear)
    nn.Module.__init__(layer)
    layer.bits, layer.group, layer.bias, layer.kernel = bits, group, None, None
    try:
        codes, scale, zero = quantize4(weight, group)
        layer.scale = torch.stack([scale, zero], dim=-1).transpose(0, 1).contiguous().to(compute)
        layer.codes = _pack4(codes)
        if not torch.equal(_unpack4(layer.codes, 64, 256), codes):
            return False
        plain = dequantize4(codes, *layer.scale.transpose(0, 1).unbind(-1))
        return _close(layer._few(rows), rows, plain)
    except (RuntimeError, NotImplementedError, AttributeError):
        return False


@lru_cache
def few_rows8(device: str, compute: torch.dtype) -> Kernel | None:
    """The quickest kernel that multiplies a few rows with int8 weights and computes what plain arithmetic does."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 256, generator=generator).to(device, compute)
    rows = torch.randn(1, 256, generator=generator).to(device, compute)
    codes, scale = quantize8(weight)
    scale = scale.to(compute)
    plain = dequantize8(codes, scale)
    right = []
    for kernel in _kernels8(device, compute):
        # Compilers and drivers fail with errors of their own, and a kernel that fails is only not used.
        try:
            if _close(kernel(rows, codes, scale), rows, plain):
                right.append(kernel)
        except Exception:  # noqa: BLE001
            continue
    if len(right) < 2:
        return right[0] if right else None
    return min(right, key=lambda kernel: _seconds(kernel, device, compute))


def _kernels8(device: str, compute: torch.dtype) -> list[Kernel]:
    kernels: list[Kernel] = [torch.ops.aten._weight_int8pack_mm]
    if device == "cuda" and compute != torch.float32:
        try:
            from aix_lsp.engine.triton_int8 import few_rows
        except ImportError:
            return kernels
        kernels.insert(0, few_rows)
    return kernels


def _seconds(kernel: Kernel, device: str, compute: torch.dtype) -> float:
    """Time of one row through a layer of 64 MB on a GPU, which takes longer than to begin it."""
    codes = torch.ones(8192, 8192, dtype=torch.int8, device=device)
    scale = torch.ones(8192, dtype=compute, device=device)
    rows = torch.ones(1, 8192, dtype=compute, device=device)
    for _ in range(3):
        kernel(rows, codes, scale)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        kernel(rows, codes, scale)
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _close(given: torch.Tensor, rows: torch.Tensor, plain: torch.Tensor) -> bool:
    wanted = rows.float() @ plain.float().T
    return bool((given.float() - wanted).abs().max() <= 0.02 * wanted.abs().max())


def _pair(codes: torch.Tensor) -> torch.Tensor:
    """Two codes of 4 bits in a byte: shape (rows, columns / 2)."""
    return (codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8)


def _unpair(pairs: torch.Tensor) -> torch.Tensor:
    return torch.stack([pairs >> 4, pairs & 15], dim=-1).flatten(1)


def _pack4(codes: torch.Tensor) -> torch.Tensor:
    """Codes of 4 bits, shape (rows, columns), in the order that the device's kernel reads."""
    if codes.device.type != "cpu":
        packed: torch.Tensor = torch.ops.aten._convert_weight_to_int4pack(_pair(codes), _INNER_TILES)
        return packed
    # In blocks: it wants 32 bits per code, and holes of that size between the layers are memory lost.
    rows, columns = codes.shape
    packed = torch.empty(rows, columns // 2, dtype=torch.uint8)
    height = _TILES["cpu"][0]
    step = max(height, _BLOCK // 4 // columns // height * height)
    for begin in range(0, rows, step):
        block = codes[begin : begin + step].to(torch.int32)
        packed[begin : begin + step] = torch.ops.aten._convert_weight_to_int4pack_for_cpu(block, 1)
    return packed


def _unpack4(packed: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The inverse of `_pack4`: codes of shape (rows, columns)."""
    height, width = _TILES[packed.device.type]
    order = _tile_order(packed.device)
    tiles = _nibbles(packed).view(rows // height * (columns // width), height * width)
    plain = tiles.index_select(1, order).view(rows // height, columns // width, height, width)
    return plain.transpose(1, 2).reshape(rows, columns)


@lru_cache
def _tile_order(device: torch.device) -> torch.Tensor:
    """For each place of a block (row by row) where packing puts it.

    PyTorch documents no order, so a block is packed whose places are numbered, four bits of the number at a time.
    """
    height, width = _TILES[device.type]
    columns = max(width, 128)
    places = torch.arange(height * width, device=device).view(height, width)
    source = torch.zeros(height * width, dtype=torch.long, device=device)
    for shift in range(0, 12, 4):
        codes = torch.zeros(height, columns, dtype=torch.uint8, device=device)
        codes[:, :width] = (places >> shift & 15).to(torch.uint8)
        source |= _nibbles(_pack4(codes))[: height * width].long() << shift
    return source.argsort()


def _nibbles(packed: torch.Tensor) -> torch.Tensor:
    """All groups of 4 bits in the order in which they lie in memory, low bits of a byte first."""
    octets = packed.contiguous().view(torch.uint8).flatten()
    return torch.stack([octets & 15, octets >> 4], dim=-1).flatten()
