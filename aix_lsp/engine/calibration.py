"""The numbers in a model's folder that tell how sure it must be of an offer."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final

from aix_lsp.engine.checkpoint import read_noted
from aix_lsp.types import Calibration

KEY: Final = "confidence"
_NAMES: Final = tuple(field.name for field in fields(Calibration))


def read_calibration(folder: Path) -> Calibration | None:
    """What a model's `aix.json` has under `confidence`; None where there is nothing. Raises ModelError."""
    return read_noted(folder, KEY, calibration_of)


def calibration_of(found: object) -> Calibration:
    """Checked numbers. Raises ValueError with one line."""
    if not isinstance(found, dict) or set(found) != set(_NAMES):
        raise ValueError(f"{KEY} wants the numbers {', '.join(_NAMES)}, and nothing else")
    for name, value in found.items():
        # true is a number to Python, and NaN is one to json
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1000:
            raise ValueError(f"{KEY}.{name} is {value!r}, not a number from -1000 to 1000")
    if not 0 <= found["threshold"] <= 1:
        raise ValueError(f"{KEY}.threshold is {found['threshold']!r}, not a probability")
    return Calibration(**{name: float(value) for name, value in found.items()})
