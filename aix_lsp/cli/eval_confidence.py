"""`aix-lsp eval workspace --confidence`: how sure the model must be, on a project's own lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.cli.eval_progress import progress, say
from aix_lsp.cli.failure import UsageError
from aix_lsp.files import replaced_file

if TYPE_CHECKING:
    from aix_lsp.evaluation.confidence_curve import Curve, Judged
    from aix_lsp.types import Calibration, ModelInfo

_FEWEST = 50
"""Offers, and of them a few right and a few wrong, without which nothing is fitted."""
_FEWEST_OF_A_KIND = 5


def check_options(
    models: Sequence[str] | None,
    adapters: Sequence[Path] | None,
    retrieval: str,
    languages: str,
    out: Path | None,
    *,
    tests: bool,
    gate: bool,
) -> None:
    """Raises UsageError for options that mean nothing here."""
    given = {
        "more than one --model": len(models or ()) > 1,
        "--adapter": bool(adapters),
        "--retrieval": bool(retrieval),
        "--languages": bool(languages),
        "--tests": tests,
        "--no-gate": not gate,
        "--out": out is not None,
    }
    if any(given.values()):
        named = ", ".join(name for name, is_given in given.items() if is_given)
        raise UsageError(
            f"--confidence and --fit go without {named}: they ask one model, as shipped, at rests of lines"
        )


def run(
    *, folders: Sequence[Path], model: str, limit: int, seed: int, threads: int, as_json: bool, calibration: Path | None
) -> None:
    """Ask at `limit` places, and show or print what came out; `calibration` is the file for fitted numbers."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder")
    notes = {} if calibration is None else _notes(calibration)  # a file that cannot be used is told before the work
    from aix_lsp.evaluation.confidence_curve import judged
    from aix_lsp.evaluation.confidence_places import answers_in
    from aix_lsp.evaluation.confidence_report import data_of, tables_of

    with progress(model, limit) as advance:
        info, answers = answers_in(
            folders,
            model=model,
            limit=limit,
            seed=seed,
            threads=threads,
            on_answer=lambda total: advance(total=total),
        )
    cases = judged(answers)
    if calibration is not None:
        _check_enough(cases)
    curves, fitted = _curves(info, cases, fit_too=calibration is not None)
    data = {"seed": seed, **data_of(info, answers, cases, curves, fitted)}
    if calibration is not None and fitted is not None:
        with replaced_file(calibration) as file:
            file.write((json.dumps({**notes, "confidence": _rounded(fitted)}, indent=2) + "\n").encode())
        say(f"{calibration} has the calibration; put it into the model's aix.json")
    if as_json:
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
        return
    from rich.console import Console

    console = Console(width=max(Console().width, 120), highlight=False)  # also where the output is a file
    for table in tables_of(data):
        console.print(table)
    console.print(_advice(info, data["confidence"]["recommended"]))


def _curves(info: ModelInfo, cases: Sequence[Judged], *, fit_too: bool) -> tuple[list[Curve], Calibration | None]:
    """The way of judging that the threshold is read from comes first: what is fitted here, what the model has, or the
    mean probability."""
    from aix_lsp.evaluation.confidence_curve import cross_validated, curve, fit

    curves: list[Curve] = []
    if fit_too:
        curves.append(curve("a calibration fitted to the other answers", cases, cross_validated(cases)))
    if info.calibration is not None:
        curves.append(curve("the model's calibration", cases, [info.calibration] * len(cases)))
    if fit_too or info.calibration is None:
        curves.append(curve("the mean probability", cases, [None] * len(cases)))
    return curves, fit(cases, curves[0].recommended()) if fit_too else None


def _check_enough(cases: Sequence[Judged]) -> None:
    right = sum(case.exact for case in cases)
    if len(cases) < _FEWEST or not _FEWEST_OF_A_KIND <= right <= len(cases) - _FEWEST_OF_A_KIND:
        raise ValueError(
            f"{len(cases)} offers with scores, {right} of them right, are too few to fit a calibration to; "
            "raise --limit"
        )


def _notes(path: Path) -> dict[str, Any]:
    """What a file has besides a calibration. Raises UsageError for one that is not of the kind of aix.json."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{path} is there, and no JSON object; it stays as it is")
    return found


def _rounded(calibration: Calibration) -> dict[str, float]:
    return {name: round(value, 2) for name, value in asdict(calibration).items()}


def _advice(info: ModelInfo, recommended: float | None) -> str:
    if recommended is None:
        return f"{info.name} does not tell how likely its tokens are, or offered nothing: there is no gate to set."
    if info.calibration is not None:
        return (
            f"Recommended here: {recommended:.2f}; {info.name} comes with {info.calibration.threshold:.2f} "
            "(completion.min_confidence sets another one)."
        )
    return f"Recommended here: completion.min_confidence {recommended:.2f}, or a calibration of its own (--fit FILE)."
