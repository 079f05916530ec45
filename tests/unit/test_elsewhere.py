"""What a prompt has no room for reaches the engine that asks for it, whole and once."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt.build import build_prompt
from aix_lsp.prompt.elsewhere import MOST_TOKENS, left_out
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, ModelInfo, Prompt, Snippet
from tests.unit.tiny_models import embedded_folder

LINES = "".join(f"def function_{i}(first, second):\n    return first + second * {i}\n" for i in range(160))


@lru_cache(maxsize=1)
def tokenizer() -> ModelTokenizer:
    return load_tokenizer(embedded_folder())


@given(st.text("ab \n\r\t", max_size=60), st.text("ab \n", max_size=60))
def test_short_texts_are_left_out_whole(before: str, after: str) -> None:
    found = left_out(tokenizer(), before, after)
    assert [tokenizer().decode(segment) for segment in found] == [text for text in (after, before) if text]


def test_of_long_texts_what_is_next_to_the_prompt_stays() -> None:
    text = "".join(f"x{i} = {i}\n" for i in range(4000))
    after, before = (tokenizer().decode(segment) for segment in left_out(tokenizer(), text, text))
    assert text.startswith(after)
    assert text.endswith(before)
    for kept in (after, before):
        assert kept.endswith("\n")
        assert MOST_TOKENS * 0.9 < len(tokenizer().encode(kept)) <= MOST_TOKENS


def prompt(order: str, *, looks_up: bool = True, snippets: tuple[Snippet, ...] = (), positions: int = 1024) -> Prompt:
    document = DocumentSnapshot("file:///a.py", LINES, "python", 1, "a.py")
    return build_prompt(
        tokenizer(),
        ModelInfo("a model", positions, looks_up=looks_up),
        document,
        len(LINES) // 2,
        snippets,
        PromptSettings.model_validate({"format": order, "max_tokens": 20_000}),
        48,
    )


@pytest.mark.parametrize("order", ["psm", "spm", "l2r"])
def test_document_and_prompt_make_up_the_text_in_every_order(order: str) -> None:
    made = prompt(order)
    after, before = (tokenizer().decode(segment) for segment in made.elsewhere)
    half = len(LINES) // 2
    assert LINES[:half].startswith(before)
    assert LINES[half:].endswith(after)
    kept = {part.role: part.tokens for part in made.parts}
    shown = tokenizer().encode(LINES[len(before) : half])
    assert 0 <= len(shown) - kept["prefix"] <= 4  # token healing took the unfinished word back
    between = LINES[half : len(LINES) - len(after)]
    assert (len(tokenizer().encode(between)) if between else 0) == kept.get("suffix", 0)


def test_a_model_that_does_not_look_up_gets_nothing_and_the_prompt_stays_the_same() -> None:
    plain = prompt("spm", looks_up=False)
    assert plain.elsewhere == ()
    assert replace(prompt("spm"), elsewhere=()) == plain
    assert prompt("spm", positions=20_000).elsewhere == ()


def test_snippets_without_room_are_looked_up_in() -> None:
    snippets = tuple(Snippet(f"{name}.py", 1, 30, 1.0, "similar", f"# {name}\n" + LINES[:900]) for name in "bcde")
    made = prompt("spm", snippets=snippets)
    quoted = [snippet.path for snippet in made.snippets]
    texts = [tokenizer().decode(segment) for segment in made.elsewhere]
    assert 0 < len(quoted) < 4
    assert [snippet.path for snippet in snippets if snippet.text in texts] == [
        snippet.path for snippet in snippets if snippet.path not in quoted
    ]
