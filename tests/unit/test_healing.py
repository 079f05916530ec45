"""Token healing: the unfinished word goes back to the model."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.prompt.healing import take_back

MINI = load_tokenizer(Path(str(files("aix_lsp").joinpath("models", "aix-mini"))))


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("total = compute_grand_", "compute_grand_"),
        ("return ", " "),
        ("f(", "("),
        ("x = self.", "."),
        ("    ", ""),
        ("x = 1\n", ""),
        ("x = 1\n    ", ""),
        ("", ""),
        ("x = 1\r", ""),
    ],
)
def test_the_last_word_blank_or_sign_is_taken_back(text: str, required: str) -> None:
    ids, taken = take_back(MINI, MINI.encode(text), text)
    assert taken.strip(" ") == required.strip(" ")
    assert MINI.decode(ids) + taken == text


@given(st.text(st.sampled_from("ab_ ().\n\té漢\U0001f600=1"), max_size=30))
def test_nothing_is_lost(text: str) -> None:
    ids, taken = take_back(MINI, MINI.encode(text), text)
    assert MINI.decode(ids) + taken == text
    assert "\n" not in taken


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(MINI)


@pytest.mark.parametrize("required", ["comp", " ", "compute_grand_", "(", "x" * 30])
def test_a_required_text_can_be_spelled_with_what_is_allowed(vocabulary: Vocabulary, required: str) -> None:
    allowed = vocabulary.beginnings(required)
    texts = [MINI.decode([token]) for token in allowed]
    assert texts
    assert all(text and (text.startswith(required) or required.startswith(text)) for text in texts)
    assert len(set(allowed)) == len(allowed)


def test_every_token_that_fits_is_allowed(vocabulary: Vocabulary) -> None:
    def fits(text: str) -> bool:
        return bool(text) and "\ufffd" not in text and (text.startswith("re") or "re".startswith(text))

    expected = {token for token in range(MINI.vocabulary_size) if fits(MINI.decode([token]))}
    assert set(vocabulary.beginnings("re")) == expected


def test_a_character_outside_the_vocabulary_allows_nothing(vocabulary: Vocabulary) -> None:
    assert vocabulary.beginnings("\U0001f9ff") == ()


def test_tokens_know_how_much_of_a_required_text_they_spell(vocabulary: Vocabulary) -> None:
    (token,) = MINI.encode("return")[-1:]
    text = MINI.decode([token])
    assert vocabulary.rest(token, text + "x") == "x"
    assert vocabulary.rest(token, text[:2]) == ""


def test_healing_changes_only_the_split() -> None:
    text = "value = order_total"
    ids, taken = take_back(MINI, MINI.encode(text), text)
    assert MINI.encode(text)[: len(ids)] == list(ids)
    assert taken


@pytest.mark.parametrize("text", ["prén", "naïve_cou", "größe_t", "x = '漢"])
def test_a_word_with_a_character_that_the_vocabulary_lacks_is_left_alone_or_spelled(text: str) -> None:
    ids, taken = take_back(MINI, MINI.encode(text), text)
    assert MINI.decode(ids) + taken == text
    assert all("\ufffd" not in MINI.decode([token]) for token in MINI.encode(taken))
