"""Trains a model's tokenizer: byte-pair encoding over source code, laid out as aiXcoder-7B's and aix-mini's.

Sentencepiece learns the pieces (Kudo and Richardson 2018; the merges are those of Sennrich et al. 2016) with byte
fallback and no normalization, so every text comes back. Newlines, tabs and runs of spaces are pieces of their own that
nothing is ever joined to: text can be cut at any line start and its ids stay the same on either side. Digits stand
alone. A piece is either a word or punctuation, never both, because a cursor mostly stands where one meets the other.
"""

from __future__ import annotations

import heapq
import io
import random
import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from aix_lsp.engine.tokenizer import TokenizerError, load_tokenizer
from aix_lsp.files import replaced_file

BLOCK: Final = "\u2581"
"""Sentencepiece's sign for a space."""

CONTROL: Final = ("<unk>", "<s>", "</s>", "<pad>")
MARKERS: Final = (f"{BLOCK}<AIX-SPAN-PRE>", f"{BLOCK}<AIX-SPAN-POST>", f"{BLOCK}<AIX-SPAN-MIDDLE>")
PAD_CHARACTER: Final = "☺"
LONGEST_RUN: Final = 16
"""Spaces in the longest piece that holds nothing else; longer runs take several pieces."""

OWN: Final = (*MARKERS, "\n", "\t", PAD_CHARACTER, *(BLOCK * count for count in range(2, LONGEST_RUN + 1)))
"""Pieces that are given and not learned, in the order of their ids, which begin behind those of CONTROL."""

FIRST_BYTE: Final = len(CONTROL) + len(OWN)
FIRST_LEARNED: Final = FIRST_BYTE + 256
FEWEST_PIECES: Final = 512
MOST_PIECES: Final = 65_536

# Every one of them gets a piece, however rare it is in the text.
_ALWAYS = "".join(chr(code) for code in range(ord("!"), ord("~") + 1))
# What goes beyond becomes bytes. Of source code a higher share would spend hundreds of pieces on rare letters.
_COVERAGE = 0.9998
_DELIMITER = "\ue001"
# The sign for a space, the trainer's own sign for a border (it skips any sentence that has one), and ours.
_RESERVED = str.maketrans(dict.fromkeys(f"{BLOCK}\u2585{_DELIMITER}"))
# Between any two of these the trainer joins nothing. A word may bring underscores and one space in front of it.
_WORD = re.compile(r" {2,}| ?(?:_*[^\W\d_]+|_+|[^\w\s]+)|\d|\s")
_TOO_FEW = re.compile(r"Please set it to a value <= (\d+)")
_CHUNK_CHARACTERS = 2_000
_LONGEST_LINE = 500


class TokenizerTrainingError(ValueError):
    """No tokenizer can be made of what was given; the message is one line for a person."""


def train_tokenizer(
    texts: Iterable[str], out: Path, *, pieces: int = 8192, seed: int = 0, most_characters: int = 30_000_000
) -> Path:
    """Learn `pieces` pieces from whole files and write `out/tokenizer.model`; returns `out`.

    `texts` is read once. Of more than `most_characters` a random share of its line groups is taken (the same for the
    same texts and `seed`). Lines of more than 500 characters are data and left out. An older tokenizer in `out` is
    replaced when the new one is whole; other files there are let be.

    Raises TokenizerTrainingError when there is no text, when the text does not give that many pieces, or when the
    result would change text (`engine.tokenizer.load_tokenizer` decides).
    """
    if not FEWEST_PIECES <= pieces <= MOST_PIECES:
        raise TokenizerTrainingError(f"pieces is {pieces}; choose {FEWEST_PIECES} to {MOST_PIECES}")
    if most_characters < 1:
        raise TokenizerTrainingError(f"most_characters is {most_characters}; choose at least 1")
    if out.exists() and not out.is_dir():
        raise TokenizerTrainingError(f"{out} is a file; the tokenizer wants a folder")
    chunks = _sample(texts, seed, most_characters)
    if not chunks:
        raise TokenizerTrainingError("there is no text to learn a tokenizer from")
    content = _learn(chunks, pieces)
    _check(content)
    out.mkdir(parents=True, exist_ok=True)
    with replaced_file(out / "tokenizer.model") as file:
        file.write(content)
        for derived in ("tokenizer.json", "tokenizer_config.json"):
            # They told of the tokenizer that is about to go.
            (out / derived).unlink(missing_ok=True)
    return out


def has_own_layout(pieces: list[str]) -> bool:
    """Whether these pieces, in the order of their ids, begin as `train_tokenizer` lays them out."""
    names = [f"<0x{byte:02X}>" for byte in range(256)]
    return pieces[:FIRST_LEARNED] == [*CONTROL, *OWN, *names]


def _sample(texts: Iterable[str], seed: int, most_characters: int) -> list[str]:
    """Groups of lines, at most `most_characters` together, each as likely as any other, in the order they came.

    The groups with the smallest of random numbers stay (a reservoir), so that a stream of any length does.
    """
    draw = random.Random(seed).random
    kept: list[tuple[float, int, str]] = []
    total = 0
    for number, chunk in enumerate(chunk for text in texts for chunk in _chunks(text)):
        heapq.heappush(kept, (-draw(), number, chunk))
        total += len(chunk)
        while total > most_characters and len(kept) > 1:
            total -= len(heapq.heappop(kept)[2])
    return [chunk for _, _, chunk in sorted(kept, key=lambda entry: entry[1])]


def _chunks(text: str) -> Iterator[str]:
    """Whole lines of a text, some 2,000 characters at a time, without what the trainer cannot take.

    Carriage returns go: they must stay bytes, or a piece could reach across the middle of a line's end.
    """
    # lone surrogates have no UTF-8
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_RESERVED).encode("utf-8", "ignore").decode("utf-8")
    group: list[str] = []
    characters = 0
    for line in text.split("\n"):
        if not line.strip() or len(line) > _LONGEST_LINE:
            continue
        group.append(line)
        characters += len(line) + 1
        if characters >= _CHUNK_CHARACTERS:
            yield "\n".join(group)
            group, characters = [], 0
    if group:
        yield "\n".join(group)


def _learn(chunks: list[str], pieces: int) -> bytes:
    """The content of a tokenizer.model."""
    import sentencepiece

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            # The newline in front takes the space that sentencepiece puts before a sentence.
            sentence_iterator=("\n" + _DELIMITER.join(_WORD.findall(chunk)) for chunk in chunks),
            model_writer=written,
            model_type="bpe",
            vocab_size=pieces,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            user_defined_symbols=list(OWN),
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=3,
            split_digits=True,
            # `_WORD` decides what belongs together; by scripts, an underscore would stand alone.
            split_by_unicode_script=False,
            pretokenization_delimiter=_DELIMITER,
            character_coverage=_COVERAGE,
            required_chars=_ALWAYS,
            # longer sentences would be skipped without a word
            max_sentence_length=64 * _CHUNK_CHARACTERS,
            num_threads=1,
            minloglevel=3,
        )
    except RuntimeError as error:
        message = " ".join(str(error).split())
        found = _TOO_FEW.search(message)
        if found:
            raise TokenizerTrainingError(
                f"the text gives at most {found[1]} pieces and {pieces} are wanted; give more text or want fewer"
            ) from error
        if "required_chars" in message:
            raise TokenizerTrainingError(
                f"the text has more distinct characters than {pieces} pieces can hold; want more pieces"
            ) from error
        raise TokenizerTrainingError(f"sentencepiece could not learn from the text: {message}") from error
    return written.getvalue()


def _check(content: bytes) -> None:
    """Raises TokenizerTrainingError unless the new tokenizer is laid out as it should be and gives text back."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    if not has_own_layout(processor.id_to_piece(list(range(processor.vocab_size())))):
        raise TokenizerTrainingError("the installed sentencepiece lays pieces out in another order than expected")
    try:
        with TemporaryDirectory() as folder:
            (Path(folder) / "tokenizer.model").write_bytes(content)
            tokenizer = load_tokenizer(Path(folder))
        lossless = tokenizer.decode(tokenizer.encode(string.printable)) == string.printable
    except TokenizerError:
        lossless = False
    if not lossless:
        raise TokenizerTrainingError("the new tokenizer would change text; give it more ordinary source code")
