"""Measures over characters: exact match, edit similarity, length, and how much of an answer is right from its start.

White space around an answer is no part of it for the first three: every published protocol strips both texts, as a
hole in the middle of a line leaves it open on which side its spaces lie.
"""

from __future__ import annotations


def _plain(text: str) -> str:
    """Stripped, and with the line feed as the only line break: which one a file has is not the model's choice."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def exact(text: str, wanted: str) -> float:
    """1.0 where the answer is what was wanted but for white space around it, else 0.0.

    As in aiXcoder's FIM evaluation (`run_evaluate.py` of aiXcoder-FIM-Evaluation) and, for one line, SantaCoder's
    single-line infilling (Ben Allal et al. 2023, SantaCoder: don't reach for the stars!). CrossCodeEval
    also drops comments and compares line by line; its benchmark does that before it asks here.
    """
    return float(_plain(text) == _plain(wanted))


def edit_similarity(text: str, wanted: str) -> float:
    """How alike two texts are, 0 to 100; 100 only for the same text, also for two empty ones.

    Twice the length of the longest common subsequence over the sum of both lengths: `fuzz.ratio` as CrossCodeEval
    uses it (Ding et al. 2023, section 3.2 and `scripts/eval_utils.py`), over stripped texts. It rounds each sample to
    a whole number; here nothing is rounded, which moves a mean by 0.5 at most.
    """
    from rapidfuzz import fuzz

    return float(fuzz.ratio(_plain(text), _plain(wanted)))


def length_ratio(text: str, wanted: str) -> float | None:
    """Characters written over characters wanted, both stripped; None where nothing was wanted.

    aiXcoder's tables show both mean lengths ("Pred/Ref"), which `summary.Row` has. A model that does not know when to
    stop has ratios above 1.
    """
    length = len(_plain(wanted))
    return len(_plain(text)) / length if length else None


def correct_prefix(text: str, wanted: str) -> int:
    """How many characters of the answer are right before the first that is not; none is stripped here.

    What a person who takes an offer word by word could have kept: a measure of use without people. It counts code
    points.
    """
    for place, (ours, theirs) in enumerate(zip(text, wanted, strict=False)):
        if ours != theirs:
            return place
    return min(len(text), len(wanted))
