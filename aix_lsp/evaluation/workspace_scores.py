"""What an offer is worth on a project's own code, and what the confidence gate did to it.

| score | over | is |
| --- | --- | --- |
| `exact` | all places | what was offered is what stood there; nothing offered is not |
| `offered` | all places | whether something was offered |
| `right` | offers | all of it is right: what stood there, or a beginning of it that ends with a word |
| `similarity` | offers | edit similarity, 0 to 100 |
| `prefix` | all places | characters that are right before the first that is not: what a person could have kept |
| `bleu`, `codebleu` | offers of blocks | BLEU-4 and CodeBLEU, 0 to 100; over a line they hang on single tokens |
| `held_back` | places where the model wrote something that fits | the gate kept all of it back, or a part |
| `held_right` | what was held back | it was what stood there |
| `ungated` | all places | `exact`, had the gate held back nothing |

Of what is offered for a statement or a line, as many lines count as stood there: what comes behind them is the next
statement, which nobody asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from aix_lsp.evaluation.benchmark import Metric, Sample
from aix_lsp.evaluation.confidence_curve import is_beginning
from aix_lsp.evaluation.metrics import text as measures
from aix_lsp.text import with_line_feeds

METRICS: Final = (
    Metric("exact", "exact match"),
    Metric("prefix", "correct characters", "characters"),
    Metric("offered", "offered", better=""),
    Metric("right", "of offers: right as far as they go"),
    Metric("similarity", "of offers: edit similarity", "points"),
    Metric("bleu", "of blocks offered: BLEU-4", "points"),
    Metric("codebleu", "of blocks offered: CodeBLEU", "points"),
    Metric("held_back", "held back or shortened by the gate", better=""),
    Metric("held_right", "exact match in what was held back", better="lower"),
    Metric("ungated", "exact match, were there no gate"),
)
"""The most telling one first: what flips between two runs is told by it."""

_NEED_EXTRA: Final = frozenset(("bleu", "codebleu"))
NOT_INSTALLED: Final = "BLEU-4 and CodeBLEU: not computed (they need the extra eval: pip install 'aix-lsp[eval]')"


def has_bleu() -> bool:
    """Whether the package is there that counts n-grams."""
    return find_spec("sacrebleu") is not None


def metrics() -> list[Metric]:
    """Those of `METRICS` that can be computed here."""
    return [metric for metric in METRICS if has_bleu() or metric.name not in _NEED_EXTRA]


@dataclass(frozen=True, slots=True)
class Offers:
    """What was offered at a place, and what would have been without the gate; empty where nothing."""

    shown: str
    ungated: str

    @property
    def held_back(self) -> bool:
        """Whether the gate made a difference."""
        return self.shown != self.ungated


def scores_of(sample: Sample, offers: Offers) -> dict[str, float | None]:
    """All scores by the names of `METRICS`; None where one says nothing."""
    shown, wanted = _judged(sample, offers.shown), with_line_feeds(sample.wanted)
    is_offer = bool(shown.strip())
    exact = measures.exact(shown, wanted)
    ungated = measures.exact(_judged(sample, offers.ungated), wanted)
    return {
        "exact": exact,
        "prefix": float(measures.correct_prefix(shown, wanted)),
        "offered": float(is_offer),
        "right": float(bool(exact) or is_beginning(shown.rstrip(), wanted)) if is_offer else None,
        "similarity": measures.edit_similarity(shown, wanted) if is_offer else None,
        **_block_scores(sample, shown, wanted),
        "held_back": float(offers.held_back) if offers.ungated.strip() else None,
        "held_right": ungated if offers.held_back and offers.ungated.strip() else None,
        "ungated": ungated,
    }


def _block_scores(sample: Sample, shown: str, wanted: str) -> dict[str, float | None]:
    if not has_bleu():
        return {}
    if sample.scenario != "block" or not shown.strip():
        return {"bleu": None, "codebleu": None}
    from aix_lsp.evaluation.metrics.bleu import bleu4
    from aix_lsp.evaluation.metrics.codebleu import codebleu

    # in its place: the lines of a block alone are not indented alike, and no grammar reads them
    around = with_line_feeds(sample.before), with_line_feeds(sample.after)
    return {"bleu": bleu4(shown, wanted), "codebleu": codebleu(shown, wanted, sample.language, context=around)}


def _judged(sample: Sample, offer: str) -> str:
    offer = with_line_feeds(offer)
    if sample.scenario == "block":
        return offer
    lines = with_line_feeds(sample.wanted).count("\n") + 1
    return "\n".join(offer.split("\n")[:lines])
