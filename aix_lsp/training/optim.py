"""Optimizers and the course of the learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

Schedule = Literal["cosine", "trapezoid"]


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """Rates and how they go.

    With `muon` the matrices of the layers are updated by Muon (Jordan et al. 2024: momentum, orthogonalised by
    Newton-Schulz steps) at the rate `muon_rate`, and the rest (embedding, norms) by AdamW at `rate`; otherwise all by
    AdamW. `warmup` and `flat` are shares of the run: "trapezoid" rises, stays, then falls in a line to nothing;
    "cosine" rises, then falls along a cosine (Loshchilov & Hutter 2017).
    """

    rate: float = 2e-3
    muon: bool = True
    muon_rate: float = 0.02
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    schedule: Schedule = "trapezoid"
    warmup: float = 0.03
    flat: float = 0.4


def optimizers(model: nn.Module, settings: OptimizerSettings) -> list[torch.optim.Optimizer]:
    """The optimizers of all weights that need a gradient. Each group remembers its full rate as `peak`."""
    import torch

    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            in_layer = ".layers." in f".{name}"
            (matrices if settings.muon and weight.ndim == 2 and in_layer else others).append(weight)
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(torch.optim.Muon(matrices, lr=settings.muon_rate, weight_decay=settings.weight_decay))
    if others:
        decay = 0.0 if settings.muon else settings.weight_decay
        found.append(torch.optim.AdamW(others, lr=settings.rate, betas=settings.betas, weight_decay=decay, fused=True))
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return found


def factor(progress: float, settings: OptimizerSettings) -> float:
    """The share of the full rate at `progress` (0 to 1) of a run."""
    progress = min(max(progress, 0.0), 1.0)
    if progress < settings.warmup:
        return max(progress / settings.warmup, 0.02)
    rest = (progress - settings.warmup) / max(1 - settings.warmup, 1e-9)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    after = (progress - settings.flat) / max(1 - settings.flat, 1e-9)
    return 1.0 if after <= 0 else 1.0 - after


def set_rate(listed: list[torch.optim.Optimizer], share: float) -> None:
    """Give every group this share of its full rate."""
    for optimizer in listed:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
