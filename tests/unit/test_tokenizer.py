"""Any text survives encoding and decoding, and no text becomes a special token."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import aix_lsp
from aix_lsp.engine.tokenizer import ModelTokenizer, TokenizerError, load_tokenizer, stop_ids

MINI = Path(aix_lsp.__file__).parent / "models" / "aix-mini"
MARKERS = ("▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>")

SPELLED_OUT = (
    *(" <AIX-SPAN-PRE>", "<AIX-SPAN-PRE>", "▁<AIX-SPAN-PRE>", "x <AIX-SPAN-MIDDLE> <AIX-SPAN-POST>"),
    *("<s>", "</s>", "<pad>", "<unk>", "a<s>b</s>c", "<<s>></s", "<0x0A>", "☺", "☺☺<s>"),
    *(
        "<fim_prefix>",
        "<|fim_middle|>",
        "<|endoftext|>",
        "<｜fim▁hole｜>",
        " <PRE> <SUF>",
        "<|fim_prefix|><|fim_prefix|>",
    ),
)

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60)
code = st.lists(
    st.sampled_from(
        [*SPELLED_OUT, "\n", "\r\n", "\r", "\t", "    ", " ", "def f(x):", "return", "é", "漢字", "😀", "▁", "\0", "\f"]
    )
    | texts,
    max_size=12,
).map("".join)


@pytest.fixture(scope="module")
def mini() -> ModelTokenizer:
    return load_tokenizer(MINI)


@pytest.fixture(scope="module")
def mini_json(tmp_path_factory: pytest.TempPathFactory) -> ModelTokenizer:
    folder = tmp_path_factory.mktemp("json")
    shutil.copy(MINI / "tokenizer.json", folder)
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> ModelTokenizer:
    """A small byte-level BPE as of Qwen: one marker flagged special, others merely added."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(["def f(x):\n    return x + 1\n"] * 4, trainer)
    inner.add_special_tokens(["<|endoftext|>"])
    inner.add_tokens(
        [tokenizers.AddedToken(name, special=False) for name in ("<|fim_prefix|>", "<｜fim▁hole｜>", "<b>")]
    )
    folder = tmp_path_factory.mktemp("bytes")
    inner.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder)


@pytest.fixture(params=["mini", "mini_json", "byte_level"], scope="module")
def tokenizer(request: pytest.FixtureRequest) -> ModelTokenizer:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, ModelTokenizer)
    return found


def trained(folder: Path, lines: list[str], **options: object) -> None:
    """Write a small sentencepiece model to `folder`/tokenizer.model."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type="bpe",
        hard_vocab_limit=False,
        minloglevel=2,
        **{"vocab_size": 340, "byte_fallback": True, "remove_extra_whitespaces": False} | options,
    )
    (folder / "tokenizer.model").write_bytes(written.getvalue())


@settings(max_examples=150, deadline=None)
@given(text=code)
def test_any_text_comes_back_and_none_becomes_a_special_token(tokenizer: ModelTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.special_ids.isdisjoint(ids)


@pytest.mark.parametrize("text", [*SPELLED_OUT, "", "    return x\n", "\t\r\n  x  \r", "▁", "▁▁x▁", " ▁ ", "😀▁é"])
def test_text_that_tokenizers_like_to_change_comes_back(tokenizer: ModelTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.special_ids.isdisjoint(ids)


@settings(max_examples=60, deadline=None)
@given(first=code, second=code)
def test_segments_encoded_apart_join_to_their_text(tokenizer: ModelTokenizer, first: str, second: str) -> None:
    assert tokenizer.decode(tokenizer.encode(first) + tokenizer.encode(second)) == first + second


def test_no_space_is_put_in_front(mini: ModelTokenizer) -> None:
    assert mini.encode("it") != mini.encode(" it")
    assert mini.decode(mini.encode(" it")) == " it"


def test_both_libraries_give_the_same_ids(mini: ModelTokenizer, mini_json: ModelTokenizer) -> None:
    text = Path(__file__).read_text("utf-8").replace("<", "")
    assert mini.encode(text) == mini_json.encode(text)


def test_lines_encoded_apart_have_the_same_ids_as_together(mini: ModelTokenizer) -> None:
    text = Path(__file__).read_text("utf-8")
    apart = [token for line in text.splitlines(keepends=True) for token in mini.encode(line)]
    assert apart == mini.encode(text)


def test_a_long_text_is_encoded_like_a_short_one(mini: ModelTokenizer) -> None:
    line = "    value = compute(value)\n"
    assert mini.encode(line * 200) == mini.encode(line) * 200


def test_what_is_returned_is_the_callers_own_list(mini: ModelTokenizer) -> None:
    mini.encode("abc def").clear()
    assert mini.decode(mini.encode("abc def")) == "abc def"


def test_lone_surrogates_become_the_replacement_character(tokenizer: ModelTokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"
    assert tokenizer.decode(tokenizer.encode("\ud83d\ude00")) == "😀"


def test_incomplete_utf8_decodes_to_replacement_characters(tokenizer: ModelTokenizer) -> None:
    whole = tokenizer.encode("x😀")
    text = tokenizer.decode(whole[:-1])
    assert text[0] == "x"
    assert set(text[1:]) == {"\ufffd"}


def test_special_tokens_have_no_text(mini: ModelTokenizer) -> None:
    assert mini.decode([1, *mini.encode("  a"), 4, 2]) == "  a"
    assert mini.decode([4]) == ""
    assert mini.decode([*mini.encode("  a"), 8192, 9000]) == "  a"
    assert mini.decode([]) == ""


def test_special_tokens_are_found_by_their_exact_piece(mini: ModelTokenizer) -> None:
    assert [mini.special(name) for name in ("<s>", "</s>", "<pad>", *MARKERS)] == [1, 2, 3, 4, 5, 6]
    assert mini.special("<nothing>", "▁<AIX-SPAN-POST>", "<s>") == 5
    assert mini.special("<AIX-SPAN-PRE>", " <AIX-SPAN-PRE>", "def") is None
    assert mini.vocabulary_size == 8192


def test_generation_stops_at_ends_beginnings_padding_and_markers(
    mini: ModelTokenizer, mini_json: ModelTokenizer, byte_level: ModelTokenizer
) -> None:
    assert stop_ids(mini) == stop_ids(mini_json) == {0, 1, 2, 3, 4, 5, 6}
    names = ("<|endoftext|>", "<|fim_prefix|>", "<｜fim▁hole｜>")
    assert stop_ids(byte_level) == {byte_level.special(name) for name in names}


def test_generation_stops_at_the_known_ends_of_another_tokenizer() -> None:
    class Known:
        vocabulary_size = 10

        def encode(self, text: str) -> list[int]:
            return [ord(character) for character in text]

        def decode(self, ids: list[int]) -> str:
            return "".join(map(chr, ids))

        def special(self, *names: str) -> int | None:
            return 7 if "<|endoftext|>" in names else 8 if "▁<EOT>" in names else None

    assert stop_ids(Known()) == {7, 8}  # type: ignore[arg-type]


def test_an_added_token_that_is_no_marker_is_ordinary_text(byte_level: ModelTokenizer) -> None:
    assert byte_level.special("<b>") is None
    assert len(byte_level.encode("<b>")) == 1
    assert byte_level.decode(byte_level.encode("<b>")) == "<b>"


def test_sentencepiece_is_used_wherever_its_model_is_there(tmp_path: Path) -> None:
    shutil.copy(MINI / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert load_tokenizer(tmp_path).special("▁<AIX-SPAN-PRE>") == 4


def test_a_sentencepiece_model_without_the_pad_character_works(tmp_path: Path) -> None:
    trained(tmp_path, ["def f(x):", "    return x + 1"] * 5, normalization_rule_name="identity")
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.decode(tokenizer.encode("    return x ▁ <s>☺")) == "    return x ▁ <s>☺"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "neither tokenizer.model nor tokenizer.json"),
        ({"tokenizer.model": b"no model"}, "is not a sentencepiece model"),
        ({"tokenizer.model": b""}, "is empty"),
        ({"tokenizer.json": b"{"}, "cannot be read"),
        ({"tokenizer.json": b"\xff\xfe"}, "cannot be read"),
        ({"tokenizer.json": b"{}"}, "cannot be read"),
    ],
)
def test_a_missing_or_broken_file_is_one_clear_line(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError) as raised:
        load_tokenizer(tmp_path)
    assert words in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("options", [{"normalization_rule_name": "nmt_nfkc"}, {"byte_fallback": False}])
def test_a_tokenizer_that_changes_text_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    trained(tmp_path, ["def f(x):", "    return x + 1"] * 5, **{"normalization_rule_name": "identity"} | options)
    with pytest.raises(TokenizerError, match="cannot be used for code"):
        load_tokenizer(tmp_path)
