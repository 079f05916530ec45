"""A few rows times int8 weights on an NVIDIA or AMD GPU, in Triton: the weights are read once, in whole cache lines.

PyTorch's own int8 kernel for CUDA gives each output to one thread, which does not keep up with the memory. Triton comes
with PyTorch's CUDA and ROCm builds; without it this module cannot be imported, and the caller does without.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

MOST_ROWS = 16
"""One tile of the tensor cores."""

_COLUMNS = 16
_DEPTH = 256


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    rows,
    codes,
    scale,
    given,
    count,
    outputs,
    inputs,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """One program makes COLUMNS outputs of all rows, going through the inputs DEPTH at a time."""
    row = tl.arange(0, ROWS)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range(0, inputs, DEPTH):
        place = start + tl.arange(0, DEPTH)
        left = tl.load(
            rows + row[:, None] * inputs + place[None, :],
            mask=(row[:, None] < count) & (place[None, :] < inputs),
            other=0.0,
        )
        right = tl.load(
            codes + column[None, :].to(tl.int64) * inputs + place[:, None],
            mask=(column[None, :] < outputs) & (place[:, None] < inputs),
            other=0,
        )
        total += tl.dot(left, right.to(left.dtype))
    total *= tl.load(scale + column, mask=column < outputs, other=0.0).to(tl.float32)[None, :]
    tl.store(
        given + row[:, None] * outputs + column[None, :],
        total.to(given.dtype.element_ty),
        mask=(row[:, None] < count) & (column[None, :] < outputs),
    )


def few_rows(rows: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """`rows` (at most 16, inputs) in 16 bits times int8 `codes` (outputs, inputs), each output by its `scale`.

    All contiguous and on one GPU; gives (rows, outputs) in the type of `rows`. Sums are in float32.
    """
    count, inputs = rows.shape
    outputs = codes.shape[0]
    given = rows.new_empty(count, outputs)
    grid = (triton.cdiv(outputs, _COLUMNS),)
    _kernel[grid](
        rows,
        codes,
        scale,
        given,
        count,
        outputs,
        inputs,
        ROWS=MOST_ROWS,
        COLUMNS=_COLUMNS,
        DEPTH=_DEPTH,
        num_warps=4,
        num_stages=4,
    )
    return given
