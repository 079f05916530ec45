"""What `eval workspace --confidence` found, as data for a file and as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from aix_lsp.evaluation.confidence_curve import Curve, Judged, first_word, is_exact
from aix_lsp.evaluation.confidence_places import PlaceAnswer
from aix_lsp.evaluation.statistics import mean_of
from aix_lsp.types import Calibration, ModelInfo

_SHOWN_EVERY = 5


def data_of(
    model: ModelInfo,
    answers: Sequence[PlaceAnswer],
    judged: Sequence[Judged],
    curves: Sequence[Curve],
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """Everything as JSON. `offers` are those without a gate, by language; the first of the `curves` is the one that the
    recommended threshold is read from; `calibration` was fitted to these answers."""
    languages = sorted({answer.place.language for answer in answers})
    return {
        "model": model.name,
        "places": len(answers),
        "offers": {
            language: _offers([answer for answer in answers if answer.place.language == language])
            for language in languages
        },
        "confidence": {
            "judged": len(judged),
            "now": None if model.calibration is None else asdict(model.calibration),
            "recommended": curves[0].recommended() if curves and judged else None,
            "curves": {
                curve.name: {
                    "calibration_error": curve.calibration_error,
                    "brier": curve.brier,
                    "points": [asdict(point) for point in curve.points],
                }
                for curve in curves
            },
            "fitted": None if calibration is None else asdict(calibration),
        },
    }


def _offers(answers: Sequence[PlaceAnswer]) -> dict[str, Any]:
    """Shares with standard errors: of places with an offer, and of offers that are right."""
    offers = [answer for answer in answers if answer.offer]
    exact = [float(is_exact(answer.offer, answer.place.wanted)) for answer in offers]
    first = [float(first_word(answer.offer) == first_word(answer.place.wanted)) for answer in offers]
    return {
        "places": len(answers),
        "offered": asdict(mean_of([float(bool(answer.offer)) for answer in answers])),
        "exact": asdict(mean_of(exact)),
        "first_word": asdict(mean_of(first)),
        "median_ms": median(answer.milliseconds for answer in answers),
    }


def tables_of(data: Mapping[str, Any]) -> list[Table]:
    """The offers by language, and the gate at some thresholds by each way of judging."""
    offers = Table(title=f"{data['model']} at {data['places']} places, without a confidence gate", title_justify="left")
    for column in ("language", "places", "offered", "rest of line right", "first word right", "median ms"):
        offers.add_column(column, justify="left" if column == "language" else "right")
    for language, row in data["offers"].items():
        shares = [f"{row[name]['value']:.1%} ± {row[name]['error']:.1%}" for name in ("offered", "exact", "first_word")]
        offers.add_row(language, str(row["places"]), *shares, f"{row['median_ms']:.0f}")
    confidence = data["confidence"]
    return [offers, *(_curve(name, found, confidence) for name, found in confidence["curves"].items())]


def _curve(name: str, found: Mapping[str, Any], confidence: Mapping[str, Any]) -> Table:
    error = f"calibration error {found['calibration_error']:.3f}, Brier {found['brier']:.3f}"
    table = Table(title=f"gate by {name}, {confidence['judged']} offers ({error})", title_justify="left")
    for column in ("threshold", "still offered", "shortened", "right so far", "rest of line right", "first word right"):
        table.add_column(column, justify="right")
    for number, point in enumerate(found["points"]):
        chosen = name == next(iter(confidence["curves"])) and point["threshold"] == confidence["recommended"]
        if number % _SHOWN_EVERY and not chosen:
            continue
        shares = (point[key] for key in ("offered", "shortened", "right", "exact", "first_word"))
        mark = "→ " if chosen else ""
        table.add_row(f"{mark}{point['threshold']:.2f}", *(f"{share:.1%}" for share in shares))
    return table
