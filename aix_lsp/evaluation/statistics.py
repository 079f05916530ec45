"""Means with standard errors, and ratios of two schemes with a lower bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SAMPLES = 4_000
_LOWER_PERCENT = 2.5


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean, its standard error, and of how many values."""

    value: float
    error: float
    count: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of two means over the same cases, and the lower end of its 95 % interval."""

    value: float
    lower: float


def mean_of(values: Sequence[float]) -> Mean:
    """The mean; the error of fewer than two values is 0, the mean of none too."""
    if not values:
        return Mean(0.0, 0.0, 0)
    array = np.asarray(values, dtype=np.float64)
    error = float(array.std(ddof=1) / len(array) ** 0.5) if len(array) > 1 else 0.0
    return Mean(float(array.mean()), error, len(array))


def ratio_of(values: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Ratio | None:
    """mean(values) / mean(base) of paired values, with a paired bootstrap's lower bound (Efron's percentile method).

    None where the base is nothing.
    """
    ours, theirs = np.asarray(values, dtype=np.float64), np.asarray(base, dtype=np.float64)
    if not len(theirs) or theirs.sum() <= 0:
        return None
    draws = np.random.default_rng(seed).integers(0, len(theirs), size=(_SAMPLES, len(theirs)))
    below = theirs[draws].sum(axis=1)
    above = ours[draws].sum(axis=1)
    ratios = above[below > 0] / below[below > 0]
    return Ratio(float(ours.sum() / theirs.sum()), float(np.percentile(ratios, _LOWER_PERCENT)))
