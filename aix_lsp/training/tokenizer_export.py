"""Writes `tokenizer.json` beside `tokenizer.model`, for programs that know only the `tokenizers` library.

The two libraries merge alike: sentencepiece joins the neighbours whose union has the lowest id, the other one follows a
list of pairs, so each learned piece stands in that list with every way to make it of two others. What remains different
is found by comparing them over real texts, and told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from aix_lsp.engine.tokenizer import TokenizerError
from aix_lsp.training.tokenizer import (
    BLOCK,
    CONTROL,
    FIRST_BYTE,
    FIRST_LEARNED,
    LONGEST_RUN,
    MARKERS,
    OWN,
    has_own_layout,
)

# What sentencepiece takes out of a text before it merges: the given pieces, the longest first.
_GIVEN = "|".join(
    [*map(re.escape, MARKERS), *map(re.escape, OWN[3:6]), f"{BLOCK}{{2,{LONGEST_RUN}}}"],
)
# The written name of a byte would be taken for the byte. Nothing is ever merged over this cut: a digit follows.
_BEFORE_BYTE_NAME = "<(?=0x[0-9A-F]{2}>)"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the two tokenizers first part in one text.

    `text` counts the compared texts from 0, `offset` its characters. `by_model` and `by_json` are a few pieces from
    there on. `kind` is "special" when the text spells out a special token, which only tokenizer.json takes for one.
    """

    text: int
    offset: int
    by_model: tuple[str, ...]
    by_json: tuple[str, ...]
    kind: Literal["special", "other"]


def is_ours(folder: Path) -> bool:
    """Whether `folder` has a tokenizer.model laid out as `train_tokenizer` does it. Raises TokenizerError for a broken
    one."""
    return (folder / "tokenizer.model").is_file() and has_own_layout(_all_pieces(folder / "tokenizer.model"))


def write_tokenizer_json(folder: Path, *, positions: int | None = None) -> None:
    """Write tokenizer.json and tokenizer_config.json for the tokenizer.model in `folder`.

    `positions` is the longest sequence of the model. Raises TokenizerError for a tokenizer.model that is missing,
    unreadable, or not laid out as `train_tokenizer` does it (whose rules these files spell out).
    """
    pieces = _read_pieces(folder / "tokenizer.model")
    _build(pieces).save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict(zip(("unk_token", "bos_token", "eos_token", "pad_token"), CONTROL, strict=True)),
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
    }
    if positions is not None:
        config["model_max_length"] = positions
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def differences(folder: Path, texts: Iterable[str]) -> list[Difference]:
    """The texts whose ids differ between tokenizer.model and tokenizer.json in `folder`, each at its first place.

    Both are called plainly, as another program would. Raises TokenizerError when one of the files cannot be read.
    """
    import tokenizers

    processor = _processor(folder / "tokenizer.model")
    try:
        described = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises the bare class
        raise TokenizerError(f"{folder / 'tokenizer.json'} cannot be read: {error}") from error
    found = []
    for number, text in enumerate(texts):
        ids: list[int] = processor.encode(text)
        encoding = described.encode(text, add_special_tokens=False)
        if ids == encoding.ids:
            continue
        place = next(index for index, pair in enumerate(zip_longest(ids, encoding.ids)) if pair[0] != pair[1])
        by_json = tuple(encoding.tokens[place : place + 3])
        # The piece before it may have ended differently, too; then the special token is the one behind.
        special = any(piece in CONTROL for piece in by_json[:2])
        found.append(
            Difference(
                text=number,
                offset=encoding.offsets[place][0] if place < len(encoding.offsets) else len(text),
                by_model=tuple(processor.id_to_piece(ids[place : place + 3])),
                by_json=by_json,
                kind="special" if special else "other",
            )
        )
    return found


def probes(folder: Path) -> Iterator[str]:
    """Texts at which tokenizers tend to part: every piece alone, runs of every length, names of special tokens, line
    ends, and characters outside the vocabulary. Raises TokenizerError as `write_tokenizer_json` does."""
    pieces = _read_pieces(folder / "tokenizer.model")
    for piece in pieces[FIRST_LEARNED:]:
        yield "\n" + piece.replace(BLOCK, " ")
    repeated = sorted({piece[0] for piece in pieces[FIRST_LEARNED:] if len(set(piece)) == 1} - {BLOCK})
    for character in (" ", "\t", "\n", *repeated):
        yield from (f"x{character * count}y" for count in range(1, 3 * LONGEST_RUN))
    yield from (f"a{name}b" for name in (*CONTROL, *pieces[FIRST_BYTE : FIRST_BYTE + 16], *MARKERS))
    yield from (f"a {name.removeprefix(BLOCK)} b" for name in MARKERS)
    yield from (
        "",
        " ",
        "x = 1\r\ny = 2\r\n",
        "\r",
        "\0\x0b\x0c\x1c",
        "é e\u0301 ｆ ﬁ 漢字 😀 \u200b\ufeff",
        "☺☺",
        "a▁b",
    )


def summary(found: list[Difference], compared: int) -> str:
    """What a model card says of the two files, in one paragraph."""
    if not found:
        return f"`tokenizer.json` gives the same ids as `tokenizer.model` in all of {compared:,} texts compared."
    special = [difference for difference in found if difference.kind == "special"]
    others = [difference for difference in found if difference.kind == "other"]
    told = [
        f"`tokenizer.json` and `tokenizer.model` were compared over {compared:,} texts; in {len(found):,} they differ."
    ]
    if special:
        names = ", ".join(f"`{name}`" for name in CONTROL)
        told.append(
            f"In {len(special):,} of them the text spells out one of {names}, which `tokenizer.json` takes for a "
            "special token and `tokenizer.model` for plain characters."
        )
    if others:
        first = others[0]
        told.append(
            f"{len(others):,} differ otherwise; the first, text {first.text} at character {first.offset}: "
            f"`{' '.join(map(ascii, first.by_model))}` against `{' '.join(map(ascii, first.by_json))}`."
        )
    return " ".join(told)


def _build(pieces: list[str]) -> Any:
    """A `tokenizers.Tokenizer` that does what sentencepiece does with these pieces."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    learned = set(pieces[FIRST_LEARNED:])
    merges = [
        (piece[:cut], piece[cut:])
        for piece in pieces[FIRST_LEARNED:]
        for cut in range(1, len(piece))
        if piece[:cut] in learned and piece[cut:] in learned
    ]
    vocabulary = {piece: token for token, piece in enumerate(pieces)}
    inner = Tokenizer(
        models.BPE(
            vocabulary,
            merges,
            unk_token=CONTROL[0],
            fuse_unk=True,
            byte_fallback=True,
            # The given pieces come out of no merge; they are in the vocabulary as they stand.
            ignore_merges=True,
        )
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend(BLOCK), normalizers.Replace(" ", BLOCK)])
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_GIVEN), "isolated"),
            pre_tokenizers.Split(Regex(_BEFORE_BYTE_NAME), "merged_with_previous"),
        ]
    )
    inner.decoder = decoders.Sequence(
        [decoders.Replace(BLOCK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in CONTROL])
    return inner


def _processor(path: Path) -> Any:
    import sentencepiece

    try:
        content = path.read_bytes()
        if not content:
            raise TokenizerError(f"{path} is empty")
        return sentencepiece.SentencePieceProcessor(model_proto=content)
    except (OSError, RuntimeError) as error:
        raise TokenizerError(f"{path} is not a sentencepiece model: {' '.join(str(error).split())[:200]}") from error


def _all_pieces(path: Path) -> list[str]:
    """All pieces in the order of their ids."""
    processor = _processor(path)
    pieces: list[str] = processor.id_to_piece(list(range(processor.vocab_size())))
    return pieces


def _read_pieces(path: Path) -> list[str]:
    pieces = _all_pieces(path)
    if not has_own_layout(pieces):
        raise TokenizerError(f"{path} is not laid out as aix-lsp's tokenizers are, so no tokenizer.json is made of it")
    return pieces
