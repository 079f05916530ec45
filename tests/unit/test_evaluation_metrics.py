"""Measures over texts and counts, with values worked out by hand."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.evaluation.metrics import bleu
from aix_lsp.evaluation.metrics.bleu import bleu4, smoothed_bleu4, tokens
from aix_lsp.evaluation.metrics.pass_at_k import pass_at_k
from aix_lsp.evaluation.metrics.text import correct_prefix, edit_similarity, exact, length_ratio

TEXTS = st.text(alphabet="ab (=.,\n1é", max_size=30)


@pytest.mark.parametrize(
    ("text", "wanted", "same"),
    [
        ("x = 1", "x = 1", 1.0),
        ("  x = 1\n", "x = 1", 1.0),
        ("a\r\nb", "a\nb", 1.0),
        ("x  = 1", "x = 1", 0.0),
        ("", "  \n", 1.0),
        ("", "x", 0.0),
    ],
)
def test_exact_looks_past_white_space_around_and_the_kind_of_line_break_alone(
    text: str, wanted: str, same: float
) -> None:
    assert exact(text, wanted) == same


def test_edit_similarity_is_twice_the_common_subsequence_over_both_lengths() -> None:
    # "abcd" and "abxd": a, b and d are common, 2 * 3 / (4 + 4)
    assert edit_similarity("abcd", " abxd ") == 75.0
    assert edit_similarity("abc", "xyz") == 0.0
    assert edit_similarity("", "") == 100.0


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_edit_similarity_is_symmetric_and_100_for_the_same_text_alone(text: str, wanted: str) -> None:
    assert edit_similarity(text, wanted) == edit_similarity(wanted, text)
    assert (edit_similarity(text, wanted) == 100.0) == (exact(text, wanted) == 1.0)


def test_the_length_ratio_is_over_stripped_characters_and_says_nothing_where_nothing_was_wanted() -> None:
    assert length_ratio("  abc\n", "abcdef") == 0.5
    assert length_ratio("", "ab") == 0.0
    assert length_ratio("ab", " \n") is None


def test_the_correct_prefix_ends_at_the_first_wrong_character() -> None:
    assert correct_prefix("return self.b", "return self.a") == len("return self.")
    assert correct_prefix(" x", "x") == 0
    assert correct_prefix("ab", "abc") == correct_prefix("abc", "ab") == 2
    assert correct_prefix("é1", "é2") == 1


def test_tokens_are_words_numbers_and_single_signs() -> None:
    assert tokens("x.y = f(1.5, [a-1]);\n") == ["x", ".", "y", "=", "f", "(", "1.5", ",", "[", "a-1", "]", ")", ";"]


def test_bleu4_by_hand() -> None:
    # Wanted a b c d e f, written a b c d x y: 4/6 words, 3/5 pairs, 2/4 triples and 1/3 quadruples are right, and
    # the lengths agree: (4/6 * 3/5 * 2/4 * 1/3) ** (1/4) = (1/15) ** 0.25.
    assert bleu4("a b c d x y", "a b c d e f") == pytest.approx(100 * (1 / 15) ** 0.25)
    # All n-grams of a b c d are right, but the answer is two tokens short: exp(1 - 6/4).
    assert bleu4("a b c d", "a b c d e f") == pytest.approx(100 * math.exp(-0.5))


def test_bleu4_takes_no_longer_n_grams_than_what_was_wanted_has() -> None:
    # Wanted a b: orders 1 and 2 alone. Of a b c two of three words and one of two pairs are right.
    assert bleu4("a b c", "a b") == pytest.approx(100 * math.sqrt(2 / 3 * 1 / 2))
    assert bleu4("x", "x") == 100.0


def test_bleu4_of_nothing() -> None:
    assert bleu4("", "") == 100.0
    assert bleu4("x", "") == bleu4("", "x") == 0.0


def test_an_answer_without_a_common_quadruple_has_no_bleu4_but_a_smoothed_one() -> None:
    assert bleu4("a b c x e", "a b c d e") == 0.0
    # 4/5 words, 2/4 pairs, 1/3 triples, 0.1 of 2 quadruples
    assert smoothed_bleu4(["a", "b", "c", "x", "e"], ["a", "b", "c", "d", "e"]) == pytest.approx(
        100 * (4 / 5 * 2 / 4 * 1 / 3 * 0.1 / 2) ** 0.25
    )


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_bleu_lies_between_0_and_100_and_the_same_text_has_100(text: str, wanted: str) -> None:
    assert 0.0 <= bleu4(text, wanted) <= 100.0
    assert 0.0 <= smoothed_bleu4(tokens(text), tokens(wanted)) <= 100.0
    assert bleu4(text, text) == 100.0
    assert smoothed_bleu4(tokens(text), tokens(text)) == 100.0


def test_a_text_of_which_the_tokenizer_leaves_nothing_has_a_score() -> None:
    assert bleu4("x", "<skipped>") == 0.0
    assert bleu4("<skipped>", "x") == 0.0


def test_without_sacrebleu_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    bleu._bleu.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match=r"^BLEU needs the package sacrebleu: pip install"):
            bleu4("a", "b")
    finally:
        bleu._bleu.cache_clear()


def test_pass_at_1_is_the_share_that_passed() -> None:
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(1, 1, 1) == 1.0
    assert pass_at_k(1, 0, 1) == 0.0


def test_pass_at_k_by_hand() -> None:
    # Of 5 answers 2 passed. Of the 10 pairs, 3 hold no passing one.
    assert pass_at_k(5, 2, 2) == pytest.approx(0.7)
    # Whoever draws 4 of 5 has one of the two at least.
    assert pass_at_k(5, 2, 4) == 1.0


@settings(deadline=None)
@given(st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_passing_answer(data: st.DataObject) -> None:
    samples = data.draw(st.integers(1, 8))
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    draws = list(combinations([True] * correct + [False] * (samples - correct), k))
    assert pass_at_k(samples, correct, k) == pytest.approx(sum(any(draw) for draw in draws) / len(draws), abs=1e-12)


@settings(deadline=None)
@given(st.data())
def test_pass_at_k_keeps_its_digits_for_many_answers(data: st.DataObject) -> None:
    samples = data.draw(st.integers(1, 2000))
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    exact_value = 1 - Fraction(math.comb(samples - correct, k), math.comb(samples, k))
    assert pass_at_k(samples, correct, k) == pytest.approx(float(exact_value), rel=1e-9)


@pytest.mark.parametrize(("samples", "correct", "k"), [(5, 2, 6), (5, 6, 1), (5, -1, 1), (0, 0, 1), (5, 2, 0)])
def test_pass_at_k_refuses_what_says_nothing(samples: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match=r"answers"):
        pass_at_k(samples, correct, k)
