"""BLEU-4 of one answer, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

ORDER: Final = 4


def tokens(text: str) -> list[str]:
    """The tokens of sacrebleu's `13a` (mteval-v13a): words, numbers, and each other sign of ASCII by itself."""
    return str(_bleu(ORDER).tokenizer(text.strip())).split()


def _sacrebleu() -> type[BLEU]:
    """Raises ModuleNotFoundError with one line that says how to get it."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("BLEU needs the package sacrebleu: pip install 'aix-lsp[eval]'") from error
    return BLEU


@cache
def _bleu(order: int) -> BLEU:
    return _sacrebleu()(tokenize="13a", smooth_method="none", max_ngram_order=order)


@cache
def _smoothed() -> BLEU:
    return _sacrebleu()(tokenize="none", smooth_method="floor", smooth_value=0.1, effective_order=True)


def bleu4(text: str, wanted: str) -> float:
    """Sentence BLEU-4, 0 to 100, as aiXcoder's FIM evaluation defines it (`run_evaluate.py` of
    aiXcoder-FIM-Evaluation, after Papineni et al. 2002, sections 2.1 to 2.3).

    Stripped texts; the tokens of `13a`; no smoothing, so that an answer without one common 4-gram has 0; the brevity
    penalty; and n-grams up to the number of tokens wanted where that is less than 4, since a wanted `i++` has no
    4-gram that could be found. The same text has 100, an empty one beside another 0. A mean of these is not corpus
    BLEU. Needs sacrebleu, of the extra `eval`.
    """
    ours, theirs = text.strip(), wanted.strip()
    if ours == theirs:
        return 100.0
    if not ours or not theirs:
        return 0.0
    order = max(1, min(ORDER, len(tokens(theirs))))
    # `corpus_score` over one text: `sentence_score` is the same, but advises another setting in a log line each time
    return _within(_bleu(order).corpus_score([ours], [[theirs]]).score)


def smoothed_bleu4(text: Sequence[str], wanted: Sequence[str]) -> float:
    """The n-gram match of CodeBLEU over tokens, 0 to 100: BLEU-4 in which an order without a match counts 0.1 n-grams.

    That is method 1 of Chen and Cherry 2014 (A Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU,
    section 3), which CodeBLEU's implementation takes (microsoft/CodeXGLUE, `bleu.py`). Other than there, orders of
    which an answer of fewer than four tokens has no n-gram at all are left out instead of smoothed: otherwise the same
    short text would not have 100. Nothing beside nothing has 100.
    """
    if list(text) == list(wanted):
        return 100.0
    return _within(_smoothed().corpus_score([" ".join(text)], [[" ".join(wanted)]]).score)


def _within(score: float) -> float:
    """Without what rounding adds to 100."""
    return min(100.0, max(0.0, score))
