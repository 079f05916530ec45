"""The average of two models."""

from __future__ import annotations

import pytest
import torch

from aix_lsp.training.averaging import AveragingError, average_into


def linear(seed: int, width: int = 3) -> torch.nn.Linear:
    torch.manual_seed(seed)
    return torch.nn.Linear(2, width)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_is_the_mean_by_the_share(share: float) -> None:
    model, other = linear(0), linear(1)
    wanted = (1 - share) * linear(0).weight + share * linear(1).weight
    average_into(model, other, share)
    assert torch.allclose(model.weight, wanted)
    assert torch.equal(other.weight, linear(1).weight)


def test_models_of_different_shapes_are_refused() -> None:
    with pytest.raises(AveragingError, match="different shapes"):
        average_into(linear(0), linear(1, width=4), 0.5)


def test_a_share_outside_is_refused() -> None:
    with pytest.raises(AveragingError, match="not between"):
        average_into(linear(0), linear(1), 1.5)
