"""Training pieces: what a branch asks is what the server would ask."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.prompt.build import build_prompt
from aix_lsp.prompt.fim import FimFamily, family_of
from aix_lsp.prompt.layout import file_header
from aix_lsp.settings import PromptSettings
from aix_lsp.training.pieces import Branch, Frame, Part, Piece, WindowEncoder
from aix_lsp.types import DocumentSnapshot, ModelInfo, Tokenizer

TEXT = '''"""Prices."""

from shop import Item


def total(items: list[Item], discount: float = 0.0) -> float:
    """What all of them cost, é and 漢 too."""
    amount = sum(item.price * item.count for item in items)
    if discount:
        amount -= amount * discount
    return round(amount, 2)
'''
HEALED = PromptSettings(token_healing=True, max_tokens=4096)
PLAIN = PromptSettings(token_healing=False, max_tokens=4096)


@cache
def tools() -> tuple[Tokenizer, FimFamily]:
    source = embedded().source
    assert isinstance(source, Path)
    tokenizer = load_tokenizer(source)
    family = family_of(tokenizer)
    assert family is not None
    return tokenizer, family


def frame(name: str = "shop/pricing.py") -> Frame:
    tokenizer, family = tools()
    return Frame((), tuple(tokenizer.encode(file_header(family, name))))


def prompt(offset: int, end: int, order: str, healed: bool) -> tuple[tuple[int, ...], str]:
    """What the server sends for a cursor at `offset` in the text without the hole, and what must come again."""
    tokenizer, _ = tools()
    document = DocumentSnapshot("file:///a.py", TEXT[:offset] + TEXT[end:], "python", 0, "shop/pricing.py")
    wanted = (HEALED if healed else PLAIN).model_copy(update={"format": order})
    info = ModelInfo("m", 8192)
    found = build_prompt(tokenizer, info, document, offset, (), wanted, 16)
    return found.ids, found.required


def alone(piece: Piece, branch: Branch) -> tuple[int, ...]:
    return (*piece.ids[: branch.attach], *branch.ids)


spans = st.tuples(st.integers(1, len(TEXT) - 2), st.integers(1, 60)).map(
    lambda span: (span[0], min(span[0] + span[1], len(TEXT) - 1))
)


@settings(max_examples=120, deadline=None)
@given(span=spans, healed=st.booleans())
def test_a_branch_behind_its_trunk_is_the_servers_prompt_and_the_answer(span: tuple[int, int], healed: bool) -> None:
    start, end = span
    tokenizer, family = tools()
    encoder = WindowEncoder(tokenizer, family, healing=float(healed))
    piece = encoder.prefix_first(TEXT, [(start, end, TEXT[end:])], frame(), random.Random(0))
    asked, required = prompt(start, end, "psm", healed)
    answer = (*tokenizer.encode(required + TEXT[start:end]), 2)
    assert alone(piece, piece.branches[0]) == (*asked, *answer)
    assert [part for part in piece.branches[0].parts if part != Part.GIVEN] == [
        Part.PSM_FIRST,
        *[Part.PSM] * (len(answer) - 1),
    ]


@settings(max_examples=60, deadline=None)
@given(span=spans, healed=st.booleans())
def test_suffix_first_is_the_servers_prompt_and_the_answer(span: tuple[int, int], healed: bool) -> None:
    start, end = span
    tokenizer, family = tools()
    encoder = WindowEncoder(tokenizer, family, healing=float(healed))
    piece = encoder.suffix_first(TEXT, span, TEXT[end:], frame(), random.Random(0))
    asked, required = prompt(start, end, "spm", healed)
    assert piece.ids == (*asked, *tokenizer.encode(required + TEXT[start:end]), 2)
    assert len(piece.parts) == len(piece.ids)


def test_text_from_left_to_right_ends_with_the_end_only_where_the_file_does() -> None:
    tokenizer, family = tools()
    encoder = WindowEncoder(tokenizer, family)
    whole = encoder.text(TEXT, frame(), whole=True)
    part = encoder.text(TEXT, frame(), whole=False)
    assert whole.ids == (*part.ids, 2)
    assert tokenizer.decode(whole.ids).endswith(TEXT)


def test_header_and_snippets_are_told_apart_from_the_text() -> None:
    tokenizer, family = tools()
    snippet = (1, *tokenizer.encode("# other.py\nx = 1\n"), 2)
    piece = WindowEncoder(tokenizer, family).text(TEXT, Frame(snippet, frame().header), whole=False)
    kinds = [Part(part) for part in piece.parts]
    assert kinds[0] == Part.GIVEN
    assert set(kinds[1 : len(snippet)]) == {Part.SNIPPET}
    assert kinds[len(snippet)] == Part.GIVEN  # the file's own beginning
    assert kinds.count(Part.HEADER) == len(frame().header)
    assert kinds[-1] == Part.TEXT


def test_branches_that_do_not_fit_are_left_out_and_one_without_a_suffix_too() -> None:
    tokenizer, family = tools()
    encoder = WindowEncoder(tokenizer, family, healing=0.0)
    holes = [(40, 60, TEXT[60:]), (70, 90, ""), (100, 110, "\n")]
    trunk = len(encoder.prefix_first(TEXT, [], frame(), random.Random(0)))
    piece = encoder.prefix_first(TEXT, holes, frame(), random.Random(0), most=trunk + 20)
    assert len(piece.branches) == 1
    assert len(piece) <= trunk + 20
    assert len(encoder.prefix_first(TEXT, holes, frame(), random.Random(0)).branches) == 2


def test_a_tokenizer_without_markers_is_refused_in_one_line() -> None:
    tokenizer, _ = tools()
    with pytest.raises(ValueError, match="lacks a marker"):
        WindowEncoder(tokenizer, FimFamily("plain", "inline"))
