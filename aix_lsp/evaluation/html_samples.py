"""Samples to look at: the worst answers and some drawn at random, each with what was wanted and where."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from aix_lsp.evaluation.benchmark import Metric, Output, Result, Sample
from aix_lsp.evaluation.html_marks import LEGEND, around, plain_text, side_by_side
from aix_lsp.evaluation.html_page import Html, counted, element, joined, milliseconds, section, value_of
from aix_lsp.evaluation.run_folder import RunData

SHOWN: Final = 15
"""Samples of each kind."""

MOST_BYTES: Final = 150_000
"""Of each kind in the page, whatever models write."""

_CHIPS: Final = 2
"""Scores beside a sample's name; the others are inside."""

_OTHER_TEXTS: Final = 3


def surrounded(run: RunData, samples: Iterable[Sample]) -> RunData:
    """A run whose samples have their texts around the place again, which the folder of a run does not keep. Samples
    that the data no longer has stay as they are."""
    known = {sample.id: sample for sample in samples}
    return RunData(
        run.config,
        [replace(result, sample=known.get(result.sample.id, result.sample)) for result in run.results],
    )


def sample_sections(results: Sequence[Result], metrics: Sequence[Metric], seed: int) -> Iterator[Html]:
    """Two cards of samples that fold away. The first is open."""
    legend = element("p", LEGEND, class_="note")
    bad = worst(results, metrics, seed)
    if bad:
        yield section(
            "The worst answers",
            element("p", "By the first measure, and among equals by the others.", class_="note"),
            legend,
            kept((_sample(result, metrics, is_open=not number) for number, result in enumerate(bad)), len(bad)),
        )
    drawn = drawn_at_random(results, seed, bad)
    if drawn:
        yield section(
            "Answers drawn at random",
            element("p", f"{counted(len(drawn), 'sample')} of all others, drawn with seed {seed}.", class_="note"),
            None if bad else legend,
            kept((_sample(result, metrics, is_open=not bad and not n) for n, result in enumerate(drawn)), len(drawn)),
        )


def worst(results: Sequence[Result], metrics: Sequence[Metric], seed: int = 0, count: int = SHOWN) -> list[Result]:
    """The answers that the first metric with a direction likes least, then all others with one together. Answers that
    are as good as can be are none of them, nor are samples without a score or an answer. Among equals `seed` decides,
    or all would be of the first language."""
    judging = [metric for metric in metrics if metric.better]
    if not judging:
        return []
    tops = {metric.name: _span(results, metric) for metric in judging}

    def badness(result: Result) -> tuple[float, float]:
        each = [_part_of(result, metric, tops[metric.name]) for metric in judging]
        return each[0] or 0.0, sum(part for part in each[1:] if part is not None)

    scored = [result for result in results if not result.output.error and _score(result, judging[0]) is not None]
    random.Random(seed).shuffle(scored)
    found = sorted(scored, key=badness, reverse=True)
    return [result for result in found if badness(result)[0] > 0][:count]


def drawn_at_random(results: Sequence[Result], seed: int, but: Sequence[Result], count: int = SHOWN) -> list[Result]:
    """Answers drawn evenly, the same for the same seed, in the order of the run; none of `but`."""
    left_out = {result.sample.id for result in but}
    rest = [result for result in results if result.sample.id not in left_out and not result.output.error]
    chosen = set(random.Random(seed).sample(range(len(rest)), min(count, len(rest))))
    return [result for number, result in enumerate(rest) if number in chosen]


def kept(parts: Iterable[Html], count: int, most: int = MOST_BYTES) -> Html:
    """As many parts as have room in `most` bytes, the first one always, and how many of `count` were left out."""
    shown: list[Html] = []
    size = 0
    for part in parts:
        size += len(part.encode("utf-8", "replace"))
        if shown and size > most:
            break
        shown.append(part)
    left = count - len(shown)
    words = f"{counted(left, 'more sample')} left out, to keep this page small."
    return joined((*shown, element("p", words, class_="note") if left else ""))


def folded(name: str, chips: Iterable[str], *parts: object, is_open: bool = False) -> Html:
    """A sample that folds away under its name; longer names are cut."""
    short = name if len(name) <= 160 else f"{name[:159]}…"
    head = joined((element("b", short), *(element("span", chip, class_="chip") for chip in chips if chip)))
    return element("details", element("summary", head), *parts, open=True if is_open else None)


def columns(pairs: Iterable[tuple[str, Html]]) -> Html:
    """Texts with their names, side by side where there is room."""
    return element(
        "div",
        *(element("div", element("p", label, class_="label"), text) for label, text in pairs),
        class_="columns",
    )


def _sample(result: Result, metrics: Sequence[Metric], *, is_open: bool) -> Html:
    sample, output = result.sample, result.output
    wanted, written = side_by_side(sample.wanted, output.text)
    pairs = [("written", written), ("wanted", wanted)]
    if sample.before or sample.after:
        pairs.insert(
            0, (f"the place, in {sample.name}" if sample.name else "the place", around(sample.before, sample.after))
        )
    scores = list(_scores(result, metrics))
    chips = [sample.language, sample.scenario, *scores[:_CHIPS], output.finish]
    if output.milliseconds > 0:
        chips.append(milliseconds(output.milliseconds))
    return folded(
        sample.id,
        [chip[:60] for chip in chips],
        _inside(scores[_CHIPS:]),
        columns(pairs),
        _others(output),
        is_open=is_open,
    )


def _inside(scores: Sequence[str]) -> Html:
    return element("p", "; ".join(scores), class_="label") if scores else Html()


def _scores(result: Result, metrics: Sequence[Metric]) -> Iterator[str]:
    for metric in metrics:
        score = _score(result, metric)
        if score is not None:
            yield f"{metric.title} {value_of(metric, score)}"


def _others(output: Output) -> Html:
    """Further answers where a protocol draws several; of the service, what it would have offered without its gate."""
    texts = output.texts[1:]
    if not texts:
        return Html()
    name = "without the gate" if "by the gate" in output.finish else counted(len(texts), "more answer")
    shown = [plain_text(text) for text in texts[:_OTHER_TEXTS]]
    more = len(texts) - len(shown)
    rest = [element("p", f"and {more} more", class_="label")] if more else []
    return element("details", element("summary", name), *shown, *rest)


def _score(result: Result, metric: Metric) -> float | None:
    score = result.scores.get(metric.name)
    return None if score is None or not math.isfinite(score) else score


def _span(results: Sequence[Result], metric: Metric) -> tuple[float, float]:
    """The lowest and the highest that the metric can be, or was where that is open."""
    scores = [score for result in results if (score := _score(result, metric)) is not None]
    if metric.unit in ("percent", "points"):
        return 0.0, 1.0 if metric.unit == "percent" else 100.0
    return min(scores, default=0.0), max(scores, default=0.0)


def _part_of(result: Result, metric: Metric, span: tuple[float, float]) -> float | None:
    """How bad a score is, from 0 to 1."""
    score = _score(result, metric)
    if score is None or span[1] <= span[0]:
        return None
    part = (score - span[0]) / (span[1] - span[0])
    return 1 - part if metric.better == "higher" else part
