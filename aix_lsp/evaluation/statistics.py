"""Means with standard errors and bootstrap intervals, and ratios of two schemes with a lower bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 4_000
_LOWER_PERCENT = 2.5
_INTERVAL_SAMPLES = 2_000
_DRAWN_AT_ONCE = 4_000_000


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


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, the ends of its 95 % interval, and of how many values. Of one value, or of values that are all alike,
    the interval is the mean itself: resampling sees nothing but what was drawn."""

    mean: float
    low: float
    high: float
    count: int


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


def intervals_of(
    columns: Sequence[Sequence[float | None]], *, seed: int = 0, draws: int = _INTERVAL_SAMPLES
) -> list[Interval | None]:
    """The mean and the bootstrap's 95 % interval of each column; a column has one value per sample, None where there
    is none. None for a column without values.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3: the percentile interval of the mean
    over samples drawn with replacement. All columns are drawn together, so that a column over the differences of two
    runs is the paired bootstrap of Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation.
    The same seed and values give the same ends.
    """
    if not columns:
        return []
    values = np.array([[np.nan if value is None else value for value in column] for column in columns], np.float64).T
    size = len(values)
    known = ~np.isnan(values)
    # about the first value: sums of alike values are then 0 exactly, not 0 but for rounding
    base = [next((value for value in column if value is not None), 0.0) for column in columns]
    filled = np.where(known, values - base, 0.0)
    rows = [_drawn_means(filled, known, count, generator) for generator, count in _parts(size, draws, seed)]
    found: list[Interval | None] = []
    for column in range(len(columns)):
        count = int(known[:, column].sum()) if size else 0
        if not count:
            found.append(None)
            continue
        drawn = np.concatenate([row[:, column] for row in rows])
        low, high = np.nanpercentile(drawn, (_LOWER_PERCENT, 100 - _LOWER_PERCENT)) + base[column]
        mean = float(filled[:, column].sum() / count + base[column])
        found.append(Interval(mean, min(float(low), mean), max(float(high), mean), count))
    return found


def _parts(size: int, draws: int, seed: int) -> list[tuple[np.random.Generator, int]]:
    """The draws in parts that fit into memory, all from one generator."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // max(size, 1))
    return [(generator, min(at_once, draws - start)) for start in range(0, draws if size else 0, at_once)]


def _drawn_means(
    filled: NDArray[np.float64], known: NDArray[np.bool_], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """The columns' means over `count` samples with replacement, one row each; nan where none was known."""
    size = len(filled)
    # Counted draw by draw, in small numbers: large runs have hundreds of millions of draws
    kind = np.uint16 if size <= np.iinfo(np.uint16).max else np.int64
    times = np.empty((count, size))
    for row, drawn in enumerate(generator.integers(0, size, size=(count, size), dtype=kind)):
        times[row] = np.bincount(drawn, minlength=size)
    of = np.full((count, filled.shape[1]), float(size)) if known.all() else times @ known
    means = np.full(of.shape, np.nan)
    np.divide(times @ filled, of, out=means, where=of > 0)
    return means
