"""A trained tokenizer: its layout, that text survives and can be cut at line starts, and its second file."""

from __future__ import annotations

import io
import json
import random
import shutil
import string
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

import aix_lsp
from aix_lsp.engine.tokenizer import ModelTokenizer, TokenizerError, load_tokenizer, stop_ids
from aix_lsp.training.tokenizer import BLOCK, FIRST_LEARNED, MARKERS, TokenizerTrainingError, train_tokenizer
from aix_lsp.training.tokenizer_export import Difference, differences, is_ours, probes, summary, write_tokenizer_json
from tests.unit.tiny_models import embedded_folder

PACKAGE = Path(aix_lsp.__file__).parent
EMBEDDED = embedded_folder()
ROOMS = ("engine", "prompt", "retrieval")
TEXTS = [path.read_text("utf-8") for room in ROOMS for path in sorted((PACKAGE / room).glob("*.py"))]
PIECES = 1024

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)
ODD = (
    *("\n", "\r\n", "\r", "\t", "    ", " ", " " * 17, "def f(x):", "return x_1", "self.append(", "12345", "=" * 9),
    *("é", "漢字", "😀", "▁", "☺", "\0", "\f", "<s>", " <AIX-SPAN-PRE>", "<0x0A>", '"""'),
)
code = st.lists(st.sampled_from(ODD) | texts, max_size=12).map("".join)
plain_code = code.filter(lambda text: not any(name in text for name in ("<s>", "</s>", "<pad>", "<unk>")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = train_tokenizer(TEXTS, tmp_path_factory.mktemp("tokenizer"), pieces=PIECES)
    write_tokenizer_json(out, positions=512)
    return out


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> ModelTokenizer:
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def pieces(folder: Path) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return list(processor.id_to_piece(list(range(processor.vocab_size()))))


def test_the_pieces_are_laid_out_as_the_embedded_models(pieces: list[str]) -> None:
    embedded = sentencepiece.SentencePieceProcessor(model_file=str(EMBEDDED / "tokenizer.model"))
    assert pieces[:10] == ["<unk>", "<s>", "</s>", "<pad>", *MARKERS, "\n", "\t", "☺"]
    assert pieces[10:25] == [BLOCK * count for count in range(2, 17)]
    assert pieces[:FIRST_LEARNED] == embedded.id_to_piece(list(range(FIRST_LEARNED)))
    assert len(pieces) == PIECES


def test_no_learned_piece_joins_a_word_to_punctuation_a_digit_or_a_line(pieces: list[str]) -> None:
    for piece in pieces[FIRST_LEARNED:]:
        text = piece.removeprefix(BLOCK)
        kinds = {
            "word" if character == "_" or character.isalpha() else "digit" if character.isdigit() else "other"
            for character in text
        }
        assert len(kinds) <= 1
        assert len(text) == 1 or "digit" not in kinds
        assert not {"\n", "\r", "\t", "☺", BLOCK} & set(text)


def test_every_printable_character_has_a_piece(pieces: list[str]) -> None:
    assert set(string.punctuation + string.ascii_letters + string.digits) <= set(pieces[FIRST_LEARNED:])


def test_markers_and_ends_steer_the_model(tokenizer: ModelTokenizer) -> None:
    assert [tokenizer.special(name) for name in MARKERS] == [4, 5, 6]
    assert stop_ids(tokenizer) == {0, 1, 2, 3, 4, 5, 6}


@settings(max_examples=120, deadline=None)
@given(text=code)
def test_any_text_comes_back_and_none_becomes_a_special_token(tokenizer: ModelTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.special_ids.isdisjoint(ids)


@settings(max_examples=120, deadline=None)
@given(lines=st.lists(st.tuples(code, st.sampled_from(["\n", "\r\n", "\r"])).map("".join), min_size=2, max_size=6))
def test_cutting_at_a_line_start_changes_no_ids(tokenizer: ModelTokenizer, lines: list[str]) -> None:
    assert [token for line in lines for token in tokenizer.encode(line)] == tokenizer.encode("".join(lines))


def test_real_files_cut_at_every_line_start_have_the_same_ids(tokenizer: ModelTokenizer) -> None:
    for text in TEXTS[:10]:
        apart = [token for line in text.splitlines(keepends=True) for token in tokenizer.encode(line)]
        assert apart == tokenizer.encode(text)


def test_the_same_texts_and_seed_give_the_same_file(tmp_path: Path) -> None:
    first, second, other = (
        (train_tokenizer(TEXTS, tmp_path / name, pieces=600, seed=seed, most_characters=60_000) / "tokenizer.model")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_a_cap_takes_from_everywhere_and_a_stream_is_read_once(tmp_path: Path) -> None:
    # The word is in the last quarter only: a cap that took the first lines would never see it.
    stream = (f"zebra_crossing = {number}\n" * 20 if number >= 300 else TEXTS[number % 9] for number in range(400))
    out = train_tokenizer(stream, tmp_path / "out", pieces=1024, most_characters=100_000)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    assert "zebra" in processor.id_to_piece(list(range(1024)))


def test_training_again_replaces_the_tokenizer_and_what_was_derived_from_it(tmp_path: Path) -> None:
    out = train_tokenizer(TEXTS, tmp_path / "out", pieces=600)
    write_tokenizer_json(out)
    (out / "mine.txt").write_text("kept")
    train_tokenizer(TEXTS, out, pieces=700)
    assert sorted(path.name for path in out.iterdir()) == ["mine.txt", "tokenizer.model"]
    assert load_tokenizer(out).vocabulary_size == 700
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("given_texts", "wanted", "words"),
    [
        ([], 1024, "no text"),
        (["", " \n\t\n"], 1024, "no text"),
        (["x" * 5000], 1024, "no text"),
        (["def f(x):\n    return x\n"] * 3, 8192, r"at most \d+ pieces and 8192 are wanted"),
        (["".join(chr(code) for code in range(0x4E00, 0x4E00 + 400))] * 9, 512, "more distinct characters"),
        (["x = 1"], 12, "pieces is 12; choose 512 to 65536"),
    ],
)
def test_what_gives_no_tokenizer_is_one_clear_line(
    tmp_path: Path, given_texts: list[str], wanted: int, words: str
) -> None:
    with pytest.raises(TokenizerTrainingError, match=words) as raised:
        train_tokenizer(given_texts, tmp_path / "out", pieces=wanted)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_folders_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(TokenizerTrainingError, match="is a file"):
        train_tokenizer(TEXTS, tmp_path / "out", pieces=600)


def test_odd_characters_in_the_text_do_no_harm(tmp_path: Path) -> None:
    odd = ["a▁b ▅ \ue001 \ud800 \0 ☺ <s> ▁<AIX-SPAN-PRE>\r\n" * 30]
    tokenizer = load_tokenizer(train_tokenizer(TEXTS + odd, tmp_path, pieces=600))
    assert tokenizer.decode(tokenizer.encode("▅\ue001☺▁")) == "▅\ue001☺▁"


def test_both_files_give_the_same_ids_on_real_texts(folder: Path) -> None:
    # a file that quotes special tokens is another test's business
    plain = [text for text in TEXTS if not any(name in text for name in ("<s>", "</s>", "<pad>", "<unk>"))]
    assert len(plain) > 0.8 * len(TEXTS)
    assert differences(folder, plain) == []


def test_both_files_differ_on_probes_only_where_a_special_token_is_spelled_out(folder: Path) -> None:
    tried = list(probes(folder))
    found = differences(folder, tried)
    assert {tried[difference.text] for difference in found} == {"a<unk>b", "a<s>b", "a</s>b", "a<pad>b"}
    assert {difference.kind for difference in found} == {"special"}


@settings(max_examples=30, deadline=None)
@given(several=st.lists(plain_code, min_size=5, max_size=15))
def test_both_files_give_the_same_ids_on_any_text(folder: Path, several: list[str]) -> None:
    assert differences(folder, several) == []


def test_the_embedded_models_two_files_are_made_equal_too(tmp_path: Path) -> None:
    shutil.copy(EMBEDDED / "tokenizer.model", tmp_path)
    assert is_ours(tmp_path)
    write_tokenizer_json(tmp_path)
    assert {difference.kind for difference in differences(tmp_path, [*TEXTS, *list(probes(tmp_path))[::3]])} == {
        "special"
    }


def test_the_second_file_alone_is_a_whole_tokenizer(folder: Path, tokenizer: ModelTokenizer, tmp_path: Path) -> None:
    shutil.copy(folder / "tokenizer.json", tmp_path)
    alone = load_tokenizer(tmp_path)
    assert alone.special_ids == tokenizer.special_ids
    for text in (*TEXTS[:5], "x = '<s>' <0x0A>\r\n\t▁😀"):
        assert alone.decode(alone.encode(text)) == text


def test_stock_transformers_reads_the_second_file(folder: Path) -> None:
    from transformers import AutoTokenizer

    stock = AutoTokenizer.from_pretrained(folder)
    text = "  def f(x):\n\treturn 'é😀'\n"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    assert stock(text)["input_ids"] == processor.encode(text)
    assert stock.decode(stock(text)["input_ids"]) == text
    assert (stock.bos_token_id, stock.eos_token_id, stock.pad_token_id) == (1, 2, 3)
    assert stock.model_max_length == 512


def test_a_difference_says_where_and_what(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "tokenizer.model", tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    content["model"]["merges"] = [merge for merge in content["model"]["merges"] if "".join(merge) != "def"]
    content["model"]["ignore_merges"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    (found,) = differences(tmp_path, ["x = 1\n", "x = 2\ndef f", "é"])
    assert (found.text, found.offset, found.kind) == (1, 6, "other")
    assert found.by_model[0] == "def"
    assert found.by_json[0] in ("d", "de")
    told = summary([found, Difference(2, 0, ("<",), ("<s>",), "special")], 3)
    assert "3 texts; in 2 they differ" in told
    assert "text 1 at character 6: `'def'" in told
    assert "`<s>`" in told
    assert (
        summary([], 12_345)
        == "`tokenizer.json` gives the same ids as `tokenizer.model` in all of 12,345 texts compared."
    )


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is not a sentencepiece model"), (b"", "is empty"), (b"no model", "sentencepiece")]
)
def test_a_missing_or_broken_model_file_is_one_clear_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(TokenizerError, match=words) as raised:
        write_tokenizer_json(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_tokenizer_of_another_layout_gets_no_second_file(tmp_path: Path) -> None:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("".join(TEXTS[:5]).splitlines()),
        model_writer=written,
        model_type="bpe",
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        minloglevel=2,
    )
    (tmp_path / "tokenizer.model").write_bytes(written.getvalue())
    assert not is_ours(tmp_path)
    with pytest.raises(TokenizerError, match="is not laid out as"):
        write_tokenizer_json(tmp_path)
    assert not (tmp_path / "tokenizer.json").exists()


def test_an_unreadable_second_file_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TokenizerError, match="cannot be read"):
        differences(tmp_path, ["x"])


def test_random_pieces_in_a_row_merge_alike_in_both_files(folder: Path, pieces: list[str]) -> None:
    """Sequences of pieces without sense reach merges that source code never does."""
    draw = random.Random(0)
    rows = ["".join(draw.choices(pieces[FIRST_LEARNED:], k=12)).replace(BLOCK, " ") for _ in range(2000)]
    assert [found for found in differences(folder, rows) if found.kind == "other"] == []
