"""A model's tokenizer, such that any text comes back unchanged and no text ever becomes a special token.

Sentencepiece puts a space before what it encodes and drops one before what it decodes, which breaks
indentation at the borders of a prompt's segments. So a pad character goes in front and its ids are cut off
again. Markers written out in somebody's source, and U+2581 (sentencepiece's own sign for a space), would not
survive either; both are taken care of here.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from aix_lsp.text import one_line
from aix_lsp.types import Tokenizer

_BLOCK = "\u2581"
_PADS = ("☺", "\ue000")
_CACHED_CHARACTERS = 1024
_CACHED_STRINGS = 8192

# Pieces that steer a model but that its tokenizer may list among the ordinary ones: CodeLlama's and aiXcoder's
# are plain vocabulary entries, Qwen's and DeepSeek's are added tokens without the "special" flag.
_MARKER = re.compile(
    r"▁?<AIX-[A-Z-]+>"
    r"|▁<(?:PRE|SUF|MID|EOT)>"
    r"|<fim[_-](?:prefix|suffix|middle|pad)>"
    r"|<(?:repo_name|reponame|file_sep|start_of_turn|end_of_turn)>"
    r"|<[|｜][^\W\d_][\w▁]*[|｜]>"
)

# The `tokenizers` library takes the written name of a byte piece for the byte itself.
_BYTE_NAME = re.compile("<0x[0-9A-F]{2}>")

# What a lossless tokenizer gives back unchanged: leading, repeated and trailing spaces, every line ending,
# compatibility characters, characters outside any vocabulary, the sign for a space.
_PROBES = ("x", " x", "    return x\n", "\tif a:\r\n\t\tb  ", "\n\n", "e ｆ é 😀 漢", "▁x ▁")

_END_NAMES = (
    *("</s>", "<s>", "<pad>", "<unk>", "<eos>", "<bos>"),
    *("▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>"),
    *("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>", "<EOT>", "<|EOT|>"),
    *("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>", "<file_sep>", "<repo_name>"),
    *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"),
    *("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
)


MIDDLES = ("▁<AIX-SPAN-MIDDLE>", "▁<MID>", "<｜fim▁end｜>", "<|fim_middle|>", "<fim_middle>", "<fim-middle>")
"""The markers behind which each family of `prompt/fim.py` begins to fill in."""


class TokenizerError(ValueError):
    """A folder holds no usable tokenizer; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class _Library:
    """What differs between the two libraries: their plain calls, and what their vocabulary holds."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    pieces: Mapping[str, int]
    special: Mapping[str, int]
    size: int


class ModelTokenizer:
    """`aix_lsp.types.Tokenizer` over sentencepiece or the `tokenizers` library. Safe to use from any thread.

    `decode(encode(text)) == text` for any text; lone surrogates, which have no UTF-8, become U+FFFD.
    Only a tokenizer that itself normalizes text (Qwen's composes accents) may return an equivalent one.
    """

    def __init__(self, library: _Library) -> None:
        self._library = library
        self._special = dict(library.special)
        self.special_ids = frozenset(self._special.values())
        """All ids that steer the model: beginnings, ends, padding, markers. `encode` never returns one."""
        self._special_by_id = {token: piece for piece, token in self._special.items()}
        self._pad, self._pad_ids = _choose_pad(library)
        self._anchor = library.encode("x")
        self._anchor_length = len(library.decode(self._anchor))
        self._block_ids = _byte_ids(library, _BLOCK)
        self._takes_byte_names = library.decode(library.encode(f"{self._pad}<0x0A>")) != f"{self._pad}<0x0A>"
        # An array takes a tenth of a list's memory; lines of open files and snippets come again at every key.
        self._encode_cached = lru_cache(maxsize=_CACHED_STRINGS)(lambda text: array("I", self._encode(text)))

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id, special ones included."""
        return self._library.size

    @property
    def special_pieces(self) -> Mapping[int, str]:
        """The pieces of all special ids."""
        return self._special_by_id

    def special(self, *names: str) -> int | None:
        """Id of the first of these special tokens that the tokenizer has, by its exact piece; else None."""
        return next((self._special[name] for name in names if name in self._special), None)

    def encode(self, text: str) -> list[int]:
        """Ids of `text` alone: no space put in front, no special token, whatever the text spells out."""
        if len(text) <= _CACHED_CHARACTERS:
            return self._encode_cached(text).tolist()
        return self._encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids` that continue some earlier text. Incomplete UTF-8 is U+FFFD.

        Special ids have no text, nor have the ids that some models have beyond their tokenizer's vocabulary.
        """
        size = self._library.size
        plain = [token for token in ids if token < size and token not in self.special_ids]
        # Behind an ordinary letter no library drops a space.
        return self._library.decode(self._anchor + plain)[self._anchor_length :] if plain else ""

    def _encode(self, text: str) -> list[int]:
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if self._block_ids and _BLOCK in text:
                first, *rest = text.split(_BLOCK)
                ids = self._encode_part(first)
                for part in rest:
                    ids += self._block_ids
                    ids += self._encode_part(part)
                return ids
        return self._encode_part(text)

    def _encode_part(self, text: str) -> list[int]:
        if not text:
            return []
        ids = self._library.encode(self._pad + text)[len(self._pad_ids) :]
        spelled_out = [self._special_by_id[token] for token in self.special_ids.intersection(ids)]
        if self._takes_byte_names:
            spelled_out += _BYTE_NAME.findall(text)
        if not spelled_out:
            return ids
        parts = _cut_inside(text, spelled_out)
        if len(parts) == 1:
            # A normalizer made a special token out of other characters than its own.
            if len(text) == 1:
                return [token for token in ids if token not in self.special_ids]
            parts = [text[: len(text) // 2], text[len(text) // 2 :]]
        return [token for part in parts for token in self._encode_part(part)]


def load_tokenizer(folder: Path) -> ModelTokenizer:
    """The tokenizer in a model's folder: `tokenizer.model` by sentencepiece itself, else `tokenizer.json`.

    Raises TokenizerError, with one line for a person, when neither file is there, when the file cannot be
    read, or when the tokenizer changes text (and so cannot be used for code).
    """
    model, description = folder / "tokenizer.model", folder / "tokenizer.json"
    if model.is_file():
        library = _load_sentencepiece(model)
    elif description.is_file():
        library = _load_tokenizers(description)
    else:
        raise TokenizerError(f"{folder} holds no tokenizer: neither tokenizer.model nor tokenizer.json is there")
    tokenizer = ModelTokenizer(library)
    for probe in _PROBES:
        back = tokenizer.decode(tokenizer.encode(probe))
        if back != probe:
            raise TokenizerError(f"the tokenizer in {folder} cannot be used for code: {probe!r} came back as {back!r}")
    return tokenizer


def fills_in(tokenizer: Tokenizer) -> bool:
    """Whether a model can be shown what stands behind the cursor."""
    return tokenizer.special(*MIDDLES) is not None


def stop_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids at which generation ends: end, beginning and padding of a text, and any marker of any family."""
    if isinstance(tokenizer, ModelTokenizer):
        return tokenizer.special_ids
    found = (tokenizer.special(name) for name in _END_NAMES)
    return frozenset(token for token in found if token is not None)


def _load_sentencepiece(path: Path) -> _Library:
    import sentencepiece

    try:
        content = path.read_bytes()
        # Without any bytes the library would say nothing until it is used.
        processor = sentencepiece.SentencePieceProcessor(model_proto=content) if content else None
    except (OSError, RuntimeError, ValueError) as error:
        raise TokenizerError(f"{path} is not a sentencepiece model: {one_line(error)[:200]}") from error
    if processor is None:
        raise TokenizerError(f"{path} is empty")
    size: int = processor.vocab_size()
    pieces: dict[str, int] = {piece: token for token, piece in enumerate(processor.id_to_piece(list(range(size))))}
    special = {
        piece: token
        for piece, token in pieces.items()
        if processor.is_control(token) or processor.is_unknown(token) or _MARKER.fullmatch(piece)
    }
    return _Library(processor.encode, processor.decode, pieces, special, size)


def _load_tokenizers(path: Path) -> _Library:
    import tokenizers

    try:
        inner = tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # the library raises the bare class, and where it panics what is no Exception
        raise TokenizerError(f"{path} cannot be read: {one_line(error)[:200]}") from error
    inner.no_truncation()
    inner.no_padding()
    pieces: dict[str, int] = inner.get_vocab(with_added_tokens=True)
    special = {piece: token for piece, token in pieces.items() if _MARKER.fullmatch(piece)}
    special |= {added.content: token for token, added in inner.get_added_tokens_decoder().items() if added.special}

    def encode(text: str) -> list[int]:
        # Not the batch call, which is faster but starts threads that make a later fork unsafe.
        ids: list[int] = inner.encode(text, add_special_tokens=False).ids
        return ids

    def decode(ids: list[int]) -> str:
        text: str = inner.decode(ids, skip_special_tokens=False)
        return text

    return _Library(encode, decode, pieces, special, max(pieces.values(), default=-1) + 1)


def _choose_pad(library: _Library) -> tuple[str, list[int]]:
    """A character that no piece joins to what follows it, with the ids that it takes at the start of a text.

    Nothing at all for a tokenizer that puts no space in front (byte-level BPE, as of StarCoder or Qwen).
    """
    first = library.encode("x")[:1]
    opening = [piece for piece, token in library.pieces.items() if [token] == first]
    if not any(piece.startswith((_BLOCK, "Ġ")) for piece in opening):
        return "", []
    for pad in _PADS:
        if not any(pad in piece and len(piece) > 1 for piece in library.pieces):
            return pad, library.encode(pad)
    raise TokenizerError(f"the tokenizer joins each of {', '.join(map(ascii, _PADS))} to what follows it")


def _byte_ids(library: _Library, character: str) -> list[int]:
    """Ids of the byte pieces of a character that the library does not give back itself; else empty."""
    if character in library.decode(library.encode("x" + character)):
        return []
    names = [f"<0x{byte:02X}>" for byte in character.encode()]
    return [library.pieces[name] for name in names if name in library.pieces]


def _cut_inside(text: str, pieces: Iterable[str]) -> list[str]:
    """`text` cut in two inside each of these pieces that it spells out, so that no part holds a whole one."""
    spellings = {spelling for piece in pieces for spelling in (piece, piece.replace(_BLOCK, " ")) if len(spelling) > 1}
    halves = [(spelling[: len(spelling) // 2], spelling[len(spelling) // 2 :]) for spelling in sorted(spellings)]
    first_half = re.compile(
        "|".join(f"{re.escape(first)}(?={re.escape(second)})" for first, second in halves) or "(?!)"
    )
    cuts = [0, *(match.end() for match in first_half.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
