"""CodeBLEU: n-grams, n-grams in which keywords count more, syntax trees and data flow, a quarter each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aix_lsp.languages import language_of
from aix_lsp.syntax_tree import Parsed, encode, parsed_text

from .bleu import ORDER, smoothed_bleu4, tokens
from .codebleu_flow import data_flow_match
from .codebleu_trees import syntax_match

_OTHER_WORDS = 0.2
"""The weight of a word beside a keyword's 1: "5 times", Ren et al. 2020, section 3.1."""
_NO_MATCH = 0.1
_CAPITAL_KEYWORDS = frozenset(("True", "False", "None"))


@dataclass(frozen=True, slots=True)
class CodeBleu:
    """The four parts, 0 to 100 each. `syntax` and `data_flow` are None where what was wanted has no tree inside of
    the hole, or no data flow."""

    ngrams: float
    weighted_ngrams: float
    syntax: float | None
    data_flow: float | None

    @property
    def score(self) -> float:
        """The mean of the four, 0 to 100 (Ren et al. 2020, section 3, with 0.25 each as in aiXcoder's evaluation).

        A part that the wanted text does not have counts as matched, as in the codebleu package and aiXcoder's
        evaluation, so that the same text has 100 and short texts, which rarely have a data flow, stay comparable with
        published figures.
        """
        return (self.ngrams + self.weighted_ngrams + _or_full(self.syntax) + _or_full(self.data_flow)) / 4

    @property
    def published_score(self) -> float:
        """`score` with the peculiarity of aiXcoder's evaluation (and of the codebleu package) that a data flow of
        which nothing matches counts as matched too: `dataflow_match_score or 1`. For tables beside their figures."""
        return (self.ngrams + self.weighted_ngrams + _or_full(self.syntax) + (self.data_flow or 100.0)) / 4


def codebleu(text: str, wanted: str, language: str, *, context: tuple[str, str] = ("", "")) -> float | None:
    """CodeBLEU of an answer, 0 to 100; None for a language without a grammar. `codebleu_parts(...).score`.

    `language` is an LSP identifier. `context` is the text before and after the hole: with it both texts are parsed
    where they stand, which tells a statement from a member of a class, and subtrees and data flow inside the hole
    alone are counted. The published figures are of texts without their context, the default.
    """
    parts = codebleu_parts(text, wanted, language, context=context)
    return None if parts is None else parts.score


def codebleu_parts(text: str, wanted: str, language: str, *, context: tuple[str, str] = ("", "")) -> CodeBleu | None:
    """The four parts of CodeBLEU; None for a language without a grammar.

    Ren et al. 2020, CodeBLEU: a Method for Automatic Evaluation of Code Synthesis, section 3, on this project's
    grammars. N-grams are of sacrebleu's `13a` tokens over stripped texts, as in aiXcoder's FIM evaluation; the first
    implementation splits at spaces, as its data are tokenized. Each part says in its own file where it keeps to the
    paper and where to the implementation.
    """
    facts = language_of("", language)
    if facts.grammar is None:
        return None
    ours, our_bytes = _parsed(text, context, facts.grammar)
    theirs, their_bytes = _parsed(wanted, context, facts.grammar)
    our_tokens, their_tokens = tokens(text), tokens(wanted)
    return CodeBleu(
        smoothed_bleu4(our_tokens, their_tokens),
        100 * weighted_ngram_match(our_tokens, their_tokens, facts.keywords),
        _percent(syntax_match(ours, theirs, our_bytes, their_bytes)),
        _percent(data_flow_match(ours, theirs, our_bytes, their_bytes)),
    )


def weighted_ngram_match(text: Sequence[str], wanted: Sequence[str], keywords: frozenset[str]) -> float:
    """BLEU-4 over tokens in which a keyword counts five times as much as another word, 0 to 1.

    Ren et al. 2020, section 3.1. The weights are for single tokens alone. As in the implementation
    (microsoft/CodeXGLUE, `weighted_ngram_match.py`) the share is of the wanted n-grams that the answer has, where the
    paper's equation divides by the answer's; an order without a match counts 0.1 n-grams; and there is no brevity
    penalty (the code there has one, but takes 2 for the length of every wanted text): what an answer lacks lowers the
    shares already. Other than there, orders of which the wanted text has none are left out, and the sum of weights is
    not raised to 1: otherwise the same short text would not have 100. Keywords are those of `data/keywords.json`,
    which are in lower case: a word counts as it is written, and Python's `True`, `False` and `None` too.
    """
    if list(text) == list(wanted):
        return 1.0
    if not text or not wanted:
        return 0.0
    logarithms = []
    for order in range(1, min(ORDER, len(wanted)) + 1):
        theirs = _ngrams(wanted, order)
        found = _ngrams(text, order) & theirs
        if order == 1 and not found:
            return 0.0
        share = _weight(found, keywords, order) / _weight(theirs, keywords, order)
        logarithms.append(math.log(share or _NO_MATCH / theirs.total()))
    return math.exp(sum(logarithms) / len(logarithms))


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))


def _weight(ngrams: Counter[tuple[str, ...]], keywords: frozenset[str], order: int) -> float:
    if order > 1:
        return ngrams.total()
    return math.fsum(
        count * (1.0 if _is_keyword(word, keywords) else _OTHER_WORDS) for (word,), count in ngrams.items()
    )


def _is_keyword(word: str, keywords: frozenset[str]) -> bool:
    return word in keywords or (word in _CAPITAL_KEYWORDS and word.lower() in keywords)


def _parsed(text: str, context: tuple[str, str], grammar: str) -> tuple[Parsed, range]:
    """The tree of a text in its context, and the bytes that are the text's. Without one the text is stripped."""
    before, after = context
    whole = before + text + after if before or after else text.strip()
    parsed = parsed_text(whole, grammar)
    if parsed is None:  # `language_of` names grammars that there are
        raise ValueError(f"there is no grammar {grammar}")
    start = len(encode(before))
    return parsed, range(start, len(parsed.data) - len(encode(after)))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _or_full(part: float | None) -> float:
    return 100.0 if part is None else part
