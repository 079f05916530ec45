"""How sure the model is of what it wrote, and what is kept back because it is not.

The engine gives the logarithm of each token's probability. A logistic function of a few numbers about them, fitted to
places where the truth is known (Platt 1999, Probabilistic outputs for support vector machines), makes a probability of
being right of them that means the same for short and for long texts. Where that is below the model's threshold the
offer is shortened to a part that is sure and whole, or not made. A model without a calibration is not judged, unless
the user sets `completion.min_confidence`: then the geometric mean of the tokens' probabilities serves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aix_lsp.completion.place import Place
from aix_lsp.completion.whole_parts import cuts, is_closed
from aix_lsp.settings import CompletionSettings
from aix_lsp.text import line_spans
from aix_lsp.types import Calibration, Generation, ModelInfo, TokenScore, TriggerKind

KEPT_BACK: Final = "keep back what the model is unsure of"
SHORTENED: Final = "end where the model is unsure"
"""Names of what the gate did, for the trace."""

SHORTEST_PART: Final = 4
"""Characters, blanks aside, that the beginning of an unsure line must have to be worth showing."""

_LEAST: Final = -50.0
"""Smaller logarithms count as this one: a token that cannot be has minus infinity."""


@dataclass(frozen=True, slots=True)
class Gated:
    """What is left of a generation's text (empty: nothing), the probability that its first line is right (None: the
    model cannot tell), the name of what was done for the trace, and why nothing is left, in one sentence."""

    text: str
    confidence: float | None = None
    change: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of a stretch of text: the logarithms of its tokens' probabilities, summed up and the smallest, how
    many tokens, and whether it is meant as all of a line."""

    sum: float
    least: float
    tokens: int
    whole: bool


def gate(
    generation: Generation, place: Place, model: ModelInfo | None, settings: CompletionSettings, trigger: TriggerKind
) -> Gated:
    """What may be offered of a generation. What the user asked for explicitly is never kept back. Pure."""
    calibration = model.calibration if model is not None else None
    threshold = settings.min_confidence or (calibration.threshold if calibration else 0.0)
    text, scores = generation.text, generation.scores
    line = first_line(text, place)
    if line is None or not scores or (calibration is None and not threshold):
        return Gated(text)
    judge = _Judge(scores, calibration)
    confidence = judge.confidence(*line, whole=True)
    if confidence is None or trigger == "invoked" or settings.confidence == "off":
        return Gated(text, confidence)
    if confidence < threshold:
        return _beginning(text, line, judge, place, threshold, confidence)
    if place.amount == "line":
        return Gated(text, confidence)
    kept, least = _sure_lines(text, judge, place, threshold)
    if kept == text:
        return Gated(text, confidence)
    if kept.strip():
        return Gated(kept, confidence, SHORTENED)
    return Gated("", confidence, KEPT_BACK, _unsure(least, threshold))


def features_of(scores: Sequence[TokenScore], start: int, end: int, *, whole: bool) -> Features | None:
    """The features of text[start:end]; a token that lies in it only in part counts. Of a `whole` line the token that
    ends it counts too: whether it ends here is part of the question. None where no token lies there."""
    found: list[float] = []
    begin = 0
    for score in scores:
        # a token without text of its own holds a part of the next one's first character
        inside = begin < end and (score.end > start or begin >= start)
        if inside or (whole and begin == end and found):
            found.append(max(score.log_probability, _LEAST))
        if begin >= end:
            break
        begin = score.end
    return Features(max(math.fsum(found), _LEAST), min(found), len(found), whole) if found else None


def probability(features: Features, calibration: Calibration | None) -> float:
    """The calibrated probability of being right, from 0 to 1; the geometric mean without a calibration."""
    if calibration is None:
        return math.exp(features.sum / features.tokens)
    score = (
        calibration.base
        + calibration.sum * features.sum
        + calibration.least * features.least
        + calibration.tokens * math.log(features.tokens)
        + calibration.whole * features.whole
    )
    # the same for scores of any size, where exp alone would overflow
    return (1 + math.tanh(score / 2)) / 2


@dataclass(frozen=True, slots=True)
class _Judge:
    scores: Sequence[TokenScore]
    calibration: Calibration | None

    def confidence(self, start: int, end: int, *, whole: bool) -> float | None:
        features = features_of(self.scores, start, end, whole=whole)
        return None if features is None else probability(features, self.calibration)


def _beginning(
    text: str, line: tuple[int, int], judge: _Judge, place: Place, threshold: float, confidence: float
) -> Gated:
    """The longest sure part of an unsure line, or nothing."""
    start, end = line
    for cut in cuts(text[start:end], place.around.before if start == 0 else ""):
        part = text[start : start + cut]
        if sum(not character.isspace() for character in part) < SHORTEST_PART:
            break
        sure = judge.confidence(start, start + cut, whole=False)
        if sure is not None and sure >= threshold:
            return Gated(text[:start] + part, sure, SHORTENED)
    return Gated("", confidence, KEPT_BACK, _unsure(confidence, threshold))


def _sure_lines(text: str, judge: _Judge, place: Place, threshold: float) -> tuple[str, float]:
    """The lines before the first unsure one, without those at their end that would leave something open; and how sure
    the model is of that one."""
    sure = 0.0
    ends: list[int] = []
    for start, end, _ in line_spans(text):
        if text[start:end].strip():
            found = judge.confidence(start, end, whole=True)
            sure = found if found is not None else 0.0
            if sure < threshold:
                break
        ends.append(end)
    else:
        return text, sure
    while ends and not is_closed(text[: ends[-1]], place.around.before):
        ends.pop()
    return text[: ends[-1]] if ends else "", sure


def first_line(text: str, place: Place) -> tuple[int, int] | None:
    """Start and end of the line that is judged first; None where the offer has none. The rest of a line that has begun
    ends at the first line break, whatever follows it."""
    if place.amount == "line" and place.around.before.strip():
        start, end, _ = next(line_spans(text))
        return (start, end) if text[:end].strip() else None
    return next(((start, end) for start, end, _ in line_spans(text) if text[start:end].strip()), None)


def _unsure(confidence: float, threshold: float) -> str:
    """Rounded down, so that what is too little never reads like the threshold itself."""
    return f"the model is unsure; {math.floor(confidence * 100) / 100:.2f} of the {threshold:.2f} that it takes"
