"""What a confidence gate would do at each threshold, and the calibration by which it judges.

The answers of `confidence_places.py` were given without a gate. Here every one of them goes through the product's own
gate and fitting rules again, once for each threshold: what is offered then, and how often it is right. A calibration is
fitted to the whole lines and to the beginnings of lines that the gate might cut them to; on a project it is judged by
answers that it was not fitted to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aix_lsp.completion.confidence import SHORTEST_PART, Features, features_of, first_line, gate, probability
from aix_lsp.completion.place import Place
from aix_lsp.completion.postprocess import fit as fitted
from aix_lsp.completion.whole_parts import cuts
from aix_lsp.evaluation.confidence_places import PlaceAnswer
from aix_lsp.settings import CompletionSettings
from aix_lsp.types import Calibration, Generation, ModelInfo

THRESHOLDS: Final = tuple(step / 50 for step in range(46))
KEPT_SHARE: Final = 2 / 3
"""Of the places with an offer, those that keep one at the threshold that is recommended: a gate that took more would be
a silence to wonder at, and one that took less would leave in most of what is wrong."""

_FOLDS: Final = 5
_BINS: Final = 10
_RIDGE: Final = 1e-2
_STEPS: Final = 50
_FIRST_WORD = re.compile(r"\s*(\w+|[^\w\s]+)")


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with an offer: the features of its first line, and whether that line is right."""

    answer: PlaceAnswer
    generation: Generation
    fitting: Place
    features: Features
    exact: bool


@dataclass(frozen=True, slots=True)
class Point:
    """The gate at one threshold. `offered` is the share of the places with an offer that keep one, `shortened` the
    share that keep a part; of what is offered, `exact` is the rest of the line as it was written, `right` that or a
    true beginning of it, `first_word` begins with the right word."""

    threshold: float
    offered: float
    shortened: float
    exact: float
    right: float
    first_word: float


@dataclass(frozen=True, slots=True)
class Curve:
    """All points, and how far the probabilities are from the shares that are right: the mean distance over tenths of
    the answers (expected calibration error), and the mean squared one (Brier 1950)."""

    name: str
    points: tuple[Point, ...]
    calibration_error: float
    brier: float

    def recommended(self) -> float:
        """The highest threshold at which `KEPT_SHARE` of the offers are still made."""
        return max((point.threshold for point in self.points if point.offered >= KEPT_SHARE), default=0.0)


def judged(answers: Sequence[PlaceAnswer]) -> list[Judged]:
    """Those answers that have an offer and scores."""
    found: list[Judged] = []
    for answer in answers:
        generation, fitting = answer.generation, answer.fitting
        line = first_line(generation.text, fitting) if answer.offer and generation and fitting else None
        if line is None or generation is None or fitting is None:
            continue
        features = features_of(generation.scores, *line, whole=True)
        if features is not None:
            found.append(Judged(answer, generation, fitting, features, is_exact(answer.offer, answer.place.wanted)))
    return found


def curve(name: str, answers: Sequence[Judged], calibrations: Sequence[Calibration | None]) -> Curve:
    """The curve of these answers, each judged by a calibration of its own (None: the mean probability)."""
    offers: dict[tuple[int, str], str] = {}

    def offer_of(number: int, threshold: float) -> str:
        case = answers[number]
        text = _gated(case, calibrations[number], threshold)
        if text == case.generation.text:
            return case.answer.offer
        if (number, text) not in offers:
            offers[number, text] = fitted(text, replace(case.fitting, unfinished=False)).text if text else ""
        return offers[number, text]

    points = []
    for threshold in THRESHOLDS:
        shown = [(case, offer) for number, case in enumerate(answers) if (offer := offer_of(number, threshold)).strip()]
        points.append(_point(threshold, shown, len(answers)))
    chances = [probability(case.features, own) for case, own in zip(answers, calibrations, strict=True)]
    exact = [case.exact for case in answers]
    return Curve(name, tuple(points), calibration_error(chances, exact), _brier(chances, exact))


def _gated(case: Judged, calibration: Calibration | None, threshold: float) -> str:
    if not threshold:
        return case.generation.text
    model = ModelInfo("", 0, calibration=calibration)
    settings = CompletionSettings(min_confidence=threshold)
    return gate(case.generation, case.fitting, model, settings, "automatic").text


def _point(threshold: float, shown: Sequence[tuple[Judged, str]], total: int) -> Point:
    exact = right = first = shortened = 0
    for case, offer in shown:
        wanted, line = case.answer.place.wanted, offer.split("\n")[0].rstrip()
        is_part = len(offer) < len(case.answer.offer) and line != case.answer.offer.split("\n")[0].rstrip()
        shortened += is_part
        exact += line == wanted
        right += line == wanted or (is_part and is_beginning(line, wanted))
        first += first_word(line) == first_word(wanted)
    count = max(len(shown), 1)
    places = max(total, 1)
    return Point(threshold, len(shown) / places, shortened / places, exact / count, right / count, first / count)


def calibration_error(chances: Sequence[float], right: Sequence[bool]) -> float:
    """The mean distance of probability and share of right ones over tenths of equal size (Naeini et al. 2015)."""
    if not chances:
        return 0.0
    order = np.argsort(np.asarray(chances), kind="stable")
    ours, theirs = np.asarray(chances)[order], np.asarray(right, dtype=np.float64)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), _BINS) if len(part)]
    return float(sum(abs(ours[part].mean() - theirs[part].mean()) * len(part) for part in parts) / len(order))


def _brier(chances: Sequence[float], right: Sequence[bool]) -> float:
    if not chances:
        return 0.0
    return float(np.mean((np.asarray(chances) - np.asarray(right, dtype=np.float64)) ** 2))


def fit(answers: Sequence[Judged], threshold: float = 0.0) -> Calibration:
    """The calibration that makes these answers likeliest; with this threshold."""
    rows: list[Features] = []
    right: list[bool] = []
    weights: list[float] = []
    for case in answers:
        rows.append(case.features)
        right.append(case.exact)
        weights.append(1.0)
        beginnings = _beginnings(case)
        rows += [features for features, _ in beginnings]
        right += [true for _, true in beginnings]
        # a long line is not to count for more than a short one
        weights += [1 / len(beginnings) for _ in beginnings]
    base, total, least, tokens, whole = _logistic(rows, right, weights)
    return Calibration(base, total, least, tokens, whole, threshold)


def cross_validated(answers: Sequence[Judged]) -> list[Calibration]:
    """For each answer a calibration that was fitted to the answers of the other folders; where there is one folder
    only, to those of other files."""
    groups = {case.answer.place.group for case in answers}
    if len(groups) > 1:
        folds = [case.answer.place.group for case in answers]
    else:
        paths = sorted({case.answer.place.path for case in answers})
        folds = [str(paths.index(case.answer.place.path) % _FOLDS) for case in answers]
    pairs = list(zip(answers, folds, strict=True))
    by_fold = {fold: fit([case for case, own in pairs if own != fold]) for fold in sorted(set(folds))}
    return [by_fold[fold] for fold in folds]


def _beginnings(case: Judged) -> list[tuple[Features, bool]]:
    """The parts that the gate might cut an answer's first line to, and whether they are right."""
    text = case.generation.text
    line = first_line(text, case.fitting)
    if line is None:
        return []
    start, end = line
    found = []
    for cut in cuts(text[start:end], case.fitting.around.before if start == 0 else ""):
        part = text[start : start + cut]
        features = features_of(case.generation.scores, start, start + cut, whole=False)
        if features is not None and sum(not character.isspace() for character in part) >= SHORTEST_PART:
            found.append((features, start == 0 and is_beginning(part, case.answer.place.wanted)))
    return found


def _logistic(rows: Sequence[Features], right: Sequence[bool], weights: Sequence[float]) -> list[float]:
    """Weighted logistic regression by Newton's method, held by a trace of ridge."""
    numbers = np.array([[1, row.sum, row.least, np.log(row.tokens), row.whole] for row in rows], dtype=np.float64)
    numbers = numbers.reshape(-1, 5)
    truth, weight = np.asarray(right, dtype=np.float64), np.asarray(weights)
    found = np.zeros(5)
    for _ in range(_STEPS):
        chance = (1 + np.tanh(numbers @ found / 2)) / 2
        slope = numbers.T @ (weight * (truth - chance)) - _RIDGE * found
        curvature = (numbers * (weight * chance * (1 - chance))[:, None]).T @ numbers + _RIDGE * np.eye(5)
        step = np.linalg.solve(curvature, slope)
        found += step
        if np.abs(step).max() < 1e-8:
            break
    return [float(value) for value in found]


def is_beginning(part: str, wanted: str) -> bool:
    """Whether a text begins with this part, and no word goes on behind it."""
    following = wanted[len(part) : len(part) + 1]
    in_word = bool(part) and (part[-1].isalnum() or part[-1] == "_") and (following.isalnum() or following == "_")
    return wanted.startswith(part) and not in_word


def is_exact(offer: str, wanted: str) -> bool:
    """Whether an offer's first line is the rest of the line as it was written."""
    return offer.split("\n")[0].rstrip() == wanted


def first_word(text: str) -> str:
    """The first word or sign of a text, blanks before it apart."""
    match = _FIRST_WORD.match(text)
    return match.group(1) if match else ""
