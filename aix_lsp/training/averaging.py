"""Between two models of one descent: the average of their weights."""

from __future__ import annotations

from typing import Any


class AveragingError(ValueError):
    """Two models cannot be averaged; the message is one line for a person."""


def average_into(model: Any, other: Any, share: float) -> None:
    """Make the weights of `model` the mean of both, `share` (0 to 1) of it those of `other`.

    For a model and the one that it was trained on from: the mean keeps much of what training brought and of what it
    cost (WiSE-FT, Wortsman et al. 2022, section 3). Raises AveragingError for models of different shapes.
    """
    import torch

    if not 0 <= share <= 1:
        raise AveragingError(f"a share of {share} is not between 0 and 1")
    own, others = dict(model.named_parameters()), dict(other.named_parameters())
    shapes = [{name: tuple(weight.shape) for name, weight in one.items()} for one in (own, others)]
    if shapes[0] != shapes[1]:
        raise AveragingError("models of different shapes have no average")
    with torch.no_grad():
        for name, weight in own.items():
            weight.lerp_(others[name].to(weight), share)
