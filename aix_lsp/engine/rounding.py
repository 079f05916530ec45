"""Weights rounded to 8 and 4 bits, and back.

8 bits: symmetric, one scale per row. 4 bits: groups of a row's neighbours have a scale and a zero of their own, and the
range of a group is narrowed when that makes its squared error smaller: a lone outlier then costs the others less (range
search as in Lin et al. 2023, "AWQ", section 3.2, and in Banner et al. 2019).
"""

from __future__ import annotations

from typing import Final

import torch

_NARROWED: Final = (1.0, 0.92, 0.84, 0.76)
"""Shares of a group's range that are tried. Twice as many make the error 1 % smaller (docs/log.md)."""

_AT_ONCE: Final = {"cpu": 2**17}
"""Weights that are looked at together: on a processor as many as its caches hold."""

_AT_ONCE_ON_A_GPU: Final = 2**23


def quantize8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes from -127 to 127, int8 of the weight's shape, and a scale per row, bfloat16 of shape (rows,)."""
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scale = torch.empty(weight.shape[0], dtype=torch.bfloat16, device=weight.device)
    for rows in _pieces(weight):
        piece = weight[rows].float()
        largest = piece.abs().amax(dim=1).clamp_min(1e-12) / 127
        scale[rows] = largest.to(torch.bfloat16)
        codes[rows] = (piece / scale[rows].float()[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    return codes, scale


def dequantize8(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The inverse of `quantize8`, in the scale's type."""
    return codes.to(scale.dtype) * scale[:, None]


def quantize4(weight: torch.Tensor, group: int, *, search: bool = True) -> tuple[torch.Tensor, ...]:
    """Codes from 0 to 15, uint8 of the weight's shape, and for each group a scale and a zero, bfloat16 (rows, groups).

    A weight is (code - 8) * scale + zero. `search` looks for the range with the smallest squared error per group.
    """
    rows, columns = weight.shape
    codes = torch.empty(weight.shape, dtype=torch.uint8, device=weight.device)
    scale = torch.empty(rows, columns // group, dtype=torch.bfloat16, device=weight.device)
    zero = torch.empty_like(scale)
    for part in _pieces(weight):
        groups = weight[part].float().view(-1, columns // group, group)
        least, most = groups.amin(-1), groups.amax(-1)
        best, error = (least, most), None
        for share in _NARROWED if search else ():
            difference = _rounded(groups, least * share, most * share)[0].sub_(groups).square_().sum(-1)
            better = difference < error if error is not None else torch.ones_like(difference, dtype=torch.bool)
            error = torch.where(better, difference, error) if error is not None else difference
            best = (torch.where(better, least * share, best[0]), torch.where(better, most * share, best[1]))
        _, found, scale[part], zero[part] = _rounded(groups, *best)
        codes[part] = found.view(-1, columns).to(torch.uint8)
    return codes, scale, zero


def dequantize4(codes: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """The inverse of `quantize4`, in the scale's type."""
    rows, columns = codes.shape
    groups = codes.view(rows, scale.shape[1], -1).to(scale.dtype)
    return groups.sub_(8).mul_(scale[..., None]).add_(zero[..., None]).view(rows, columns)


def _rounded(groups: torch.Tensor, least: torch.Tensor, most: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What groups become when 16 steps span `least` to `most`: values, codes, and scale and zero in bfloat16."""
    scale = ((most - least) / 15).clamp_min(1e-12).to(torch.bfloat16)
    zero = (least + 8 * scale.float()).to(torch.bfloat16)
    codes = groups.sub(zero.float()[..., None]).div_(scale.float()[..., None]).round_().add_(8).clamp_(0, 15)
    return (codes - 8).mul_(scale.float()[..., None]).add_(zero.float()[..., None]), codes, scale, zero


def _pieces(weight: torch.Tensor) -> list[slice]:
    rows, columns = weight.shape
    step = max(1, _AT_ONCE.get(weight.device.type, _AT_ONCE_ON_A_GPU) // columns)
    return [slice(begin, min(begin + step, rows)) for begin in range(0, rows, step)]
