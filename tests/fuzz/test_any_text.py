"""Texts of any characters at all, half surrogate pairs among them, in every step from a document to an offer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.place import place_at
from aix_lsp.completion.postprocess import fit
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.syntax_edits import document, parse
from aix_lsp.text import Encoding, TextBuffer
from aix_lsp.types import DocumentSnapshot, ModelInfo
from aix_lsp.workspace.secrets import contains_secret

# categories by name, since the default leaves half pairs out, which JSON can carry
CHARACTERS = st.characters(categories=("L", "M", "N", "P", "S", "Z", "C"))
PIECES = st.sampled_from(
    ["def f(a):\n    ", "\r\n", "\r", "\t", '"""', "if x:\n", "}", "({[", "'\\", "\ud83d", "\x00", "▁<AIX-SPAN-PRE>"]
)
TEXTS = st.lists(PIECES | st.text(CHARACTERS, max_size=8), max_size=12).map("".join)
LANGUAGES = st.sampled_from(["python", "javascript", "go", "rust", "markdown", "none"])
ENCODINGS: st.SearchStrategy[Encoding] = st.sampled_from(["utf-8", "utf-16", "utf-32"])


def snapshot(text: str, language: str) -> DocumentSnapshot:
    return DocumentSnapshot("untitled:a", text, language, 1, "a")


@given(TEXTS, TEXTS, LANGUAGES, st.sampled_from(["line", "block"]), st.booleans(), st.data())
def test_an_offer_at_any_place_is_a_part_of_what_was_said_in_the_documents_line_breaks(
    text: str, said: str, language: str, amount: str, unfinished: bool, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, len(text)))
    place = place_at(snapshot(text, language), offset, amount, 24)  # type: ignore[arg-type]
    fitted = fit(said, replace(place, unfinished=unfinished)).text
    assert "".join(fitted.split()) in "".join(said.split())
    assert fitted.strip() or not fitted
    assert not contains_secret(fitted)
    rest = fitted.replace(place.line_break, "")
    assert "\n" not in rest
    assert "\r" not in rest


_tokenizers: list[ModelTokenizer] = []


def tokenizer() -> ModelTokenizer:
    """The embedded model's, loaded once."""
    if not _tokenizers:
        _tokenizers.append(load_tokenizer(Path(str(embedded().source))))
    return _tokenizers[0]


@given(TEXTS, LANGUAGES, st.booleans(), st.data())
def test_any_text_has_a_prompt_within_its_budget_that_can_be_sent(
    text: str, language: str, healing: bool, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, len(text)))
    prompt = build_prompt(
        tokenizer(),
        ModelInfo("mini", 256, data.draw(st.sampled_from(["psm", "spm"]))),
        snapshot(text, language),
        offset,
        [],
        PromptSettings(token_healing=healing),
        32,
    )
    assert len(prompt.ids) + 32 <= 256
    assert all(0 <= token < tokenizer().vocabulary_size for token in prompt.ids)
    assert prompt.required.encode() or not prompt.required


@given(TEXTS, ENCODINGS, st.data())
def test_every_place_between_two_characters_has_a_position_that_leads_back(
    text: str, encoding: Encoding, data: st.DataObject
) -> None:
    buffer = TextBuffer(text)
    offset = data.draw(st.integers(0, len(text)))
    if text[offset - 1 : offset + 1] == "\r\n" and offset:
        offset -= 1
    assert buffer.offset(*buffer.position(offset, encoding), encoding) == offset


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), TEXTS), max_size=8), LANGUAGES)
def test_a_tree_made_from_the_tree_before_is_that_of_the_whole_text(
    edits: list[tuple[int, int, str]], language: str
) -> None:
    if language in ("markdown", "none"):
        return
    text = "def f(a):\n    return {a: [1, 2]}\n" * 4
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
        raw = text.encode("utf-8", "replace")
        found, fresh = document(raw, language), parse(language, raw)
        assert found.data == raw
        assert found.tree.root_node.end_byte == fresh.root_node.end_byte
        # tree-sitter mends errors by where it came from; a tree without any has one form
        if not fresh.root_node.has_error and not found.tree.root_node.has_error:
            assert str(found.tree.root_node) == str(fresh.root_node)
