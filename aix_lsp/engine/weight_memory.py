"""Bytes that a model's weights take in each precision, counted before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from aix_lsp.engine.hardware import GIB

Quantization = Literal["none", "int8", "int4"]

PRECISIONS: Final[tuple[Quantization, ...]] = ("none", "int8", "int4")
"""Best first. `none` is the number format of the device, 16 bits on a GPU."""

GROUP: Final = 128
"""Weights of a row that share a scale and a zero in int4; 64 or 32 where the row is no multiple of it."""

_DTYPE_BYTES: Final = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_BITSANDBYTES: Final = {"int8": 1.25, "int4": 0.8}
"""Bytes per parameter after the published figures of aiXcoder-7B (9.0 and 5.7 GB), which keep more in 16 bits."""


@dataclass(frozen=True, slots=True)
class WeightCounts:
    """Numbers in a model's weights, by what quantization does with them.

    `linear` are those of the layers' matrices, `head` those of the matrix that makes logits, `other` embeddings, norms
    and biases. With `tied`, `head` is the embedding itself, which `other` counts already.
    """

    linear: int
    head: int
    other: int
    tied: bool = False

    @property
    def parameters(self) -> int:
        """All different numbers."""
        return self.linear + self.other + (0 if self.tied else self.head)


def weight_bytes(counts: WeightCounts, dtype: str, quantization: str, quantizer: str = "torch") -> int:
    """Bytes of the weights as `quantized_linear` keeps them, or bitsandbytes.

    int8 has one byte per weight and a scale per row; int4 half a byte, and a scale and a zero in 16 bits per group. The
    head has 8 bits in both, a copy of its own where it is tied to the embedding, which stays as it is.
    """
    plain = _DTYPE_BYTES[dtype]
    if quantization == "none":
        return counts.parameters * plain
    if quantizer == "bitsandbytes":
        return int(counts.parameters * _BITSANDBYTES[quantization])
    per_weight = 1.0 if quantization == "int8" else 0.5 + 4 / GROUP
    return int(counts.linear * per_weight + counts.head + counts.other * plain)


def bytes_per_token(counts: WeightCounts, dtype: str, quantization: str) -> int:
    """Bytes of weights that a processor reads for one more token: all but the embedding, of which it reads a row.

    In int8 also where the model itself is not quantized: single tokens then run over an int8 copy of the weights.
    """
    if quantization == "none" and dtype == "float32":
        return counts.linear + counts.head
    per_weight = {"none": _DTYPE_BYTES[dtype], "int8": 1.0, "int4": 0.5 + 4 / GROUP}[quantization]
    return int(counts.linear * per_weight + counts.head * (per_weight if quantization == "none" else 1))


def memory_needed(counts: WeightCounts, dtype: str, quantization: str, device: str, quantizer: str = "torch") -> int:
    """Bytes that a model takes, with room to work.

    The room: on a GPU kernels, activations, and the key-value cache of a few thousand tokens. A processor keeps an int8
    copy of float32 weights for single tokens.
    """
    room = GIB // 4 if device == "cpu" else GIB
    copy = counts.linear + counts.head if device == "cpu" and quantization == "none" and dtype == "float32" else 0
    return weight_bytes(counts, dtype, quantization, quantizer) + copy + room


def fitting(
    counts: WeightCounts, wanted: str, dtype: str, device: str, free: int | None, quantizer: str = "torch"
) -> Quantization | None:
    """The best precision of those that `wanted` allows (`auto`: all) whose memory is free; None if none fits.

    Where free memory cannot be told, the best one is taken to fit. bitsandbytes quantizes on NVIDIA GPUs only.
    """
    for precision in PRECISIONS:
        if wanted not in ("auto", precision):
            continue
        if wanted == "auto" and precision != "none" and quantizer == "bitsandbytes" and device != "cuda":
            continue
        if free is None or memory_needed(counts, dtype, precision, device, quantizer) <= free:
            return precision
    return None
