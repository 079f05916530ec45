"""Pieces on disk: a folder of compressed shards, each of a few million tokens, small enough to be carried about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from aix_lsp.files import replaced_file
from aix_lsp.training.pieces import Branch, Piece

_VERSION = 1
_SHARD_TOKENS = 5_000_000


class PieceStoreError(ValueError):
    """A folder holds no usable pieces; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class PieceArrays:
    """Many pieces in flat arrays: ids and parts of all tokens; length and attachment (-1 for a trunk) of all
    segments; and where each piece's segments and tokens begin, with the ends behind the last."""

    ids: NDArray[np.uint32]
    parts: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    attach: NDArray[np.int32]
    segments: NDArray[np.int64]
    tokens: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.segments) - 1

    def sizes(self) -> NDArray[np.int64]:
        """Tokens of each piece."""
        return np.diff(self.tokens)

    def piece(self, number: int) -> Piece:
        """One of them."""
        place = int(self.tokens[number])
        trunk: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        branches: list[Branch] = []
        for segment in range(int(self.segments[number]), int(self.segments[number + 1])):
            end = place + int(self.lengths[segment])
            ids, parts = tuple(self.ids[place:end].tolist()), tuple(self.parts[place:end].tolist())
            if self.attach[segment] < 0:
                trunk = ids, parts
            else:
                branches.append(Branch(int(self.attach[segment]), ids, parts))
            place = end
        return Piece(*trunk, tuple(branches))


def arrays_of(pieces: Iterable[Piece]) -> PieceArrays:
    """Pieces as flat arrays."""
    ids: list[int] = []
    parts: list[int] = []
    lengths: list[int] = []
    attach: list[int] = []
    segments, tokens = [0], [0]
    for piece in pieces:
        for own_ids, own_parts, place in (
            (piece.ids, piece.parts, -1),
            *((branch.ids, branch.parts, branch.attach) for branch in piece.branches),
        ):
            ids += own_ids
            parts += own_parts
            lengths.append(len(own_ids))
            attach.append(place)
        segments.append(len(lengths))
        tokens.append(len(ids))
    return PieceArrays(
        np.array(ids, dtype=np.uint32),
        np.array(parts, dtype=np.uint8),
        np.array(lengths, dtype=np.int32),
        np.array(attach, dtype=np.int32),
        np.array(segments, dtype=np.int64),
        np.array(tokens, dtype=np.int64),
    )


def joined(listed: Sequence[PieceArrays]) -> PieceArrays:
    """Several stretches of pieces as one."""
    if not listed:
        return arrays_of(())
    segments = np.cumsum([0, *(len(arrays.lengths) for arrays in listed)])
    tokens = np.cumsum([0, *(len(arrays.ids) for arrays in listed)])
    return PieceArrays(
        np.concatenate([arrays.ids for arrays in listed]),
        np.concatenate([arrays.parts for arrays in listed]),
        np.concatenate([arrays.lengths for arrays in listed]),
        np.concatenate([arrays.attach for arrays in listed]),
        np.concatenate([np.zeros(1, np.int64), *(a.segments[1:] + n for a, n in zip(listed, segments, strict=False))]),
        np.concatenate([np.zeros(1, np.int64), *(a.tokens[1:] + n for a, n in zip(listed, tokens, strict=False))]),
    )


def write_shards(pieces: Iterable[Piece], folder: Path, *, first: int = 0, most_tokens: int | None = None) -> int:
    """Write pieces as shards numbered from `first`, each under its name only once it is whole; the number of tokens.

    `most_tokens` ends the reading early. Raises OSError when the disk is full; what was written before stays whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total, number, held, size = 0, first, [], 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _SHARD_TOKENS:
            _write(arrays_of(held), folder / _shard_name(number))
            total, number, held, size = total + size, number + 1, [], 0
        if most_tokens is not None and total + size >= most_tokens:
            break
    if held:
        _write(arrays_of(held), folder / _shard_name(number))
    return total + size


def read_shards(folder: Path, *, most: int | None = None) -> PieceArrays:
    """The pieces of all shards in a folder, of the first `most` if given. Raises PieceStoreError."""
    names = sorted(folder.glob("pieces-*.npz"))[:most]
    if not names:
        raise PieceStoreError(f"{folder} holds no prepared pieces")
    return joined([_read(name) for name in names])


def _shard_name(number: int) -> str:
    return f"pieces-{number:04}.npz"


def _write(arrays: PieceArrays, path: Path) -> None:
    wide = bool(len(arrays.ids)) and int(arrays.ids.max()) > np.iinfo(np.uint16).max
    with replaced_file(path) as file:
        np.savez_compressed(
            file,
            about=np.frombuffer(json.dumps({"version": _VERSION}).encode(), dtype=np.uint8),
            ids=arrays.ids if wide else arrays.ids.astype(np.uint16),
            parts=arrays.parts,
            lengths=arrays.lengths,
            attach=arrays.attach,
            segments=np.diff(arrays.segments).astype(np.uint16),
        )


def _read(path: Path) -> PieceArrays:
    try:
        # opened here, because the library leaves a file open that it cannot read
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            if about.get("version") != _VERSION:
                raise PieceStoreError(f"{path} was written by another version; prepare the pieces anew")
            lengths: NDArray[np.int32] = stored["lengths"]
            segments = np.concatenate([[0], np.cumsum(stored["segments"], dtype=np.int64)])
            ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            return PieceArrays(
                stored["ids"].astype(np.uint32),
                stored["parts"],
                lengths,
                stored["attach"],
                segments,
                ends[segments],
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        if isinstance(error, PieceStoreError):
            raise
        raise PieceStoreError(f"{path} is damaged: {' '.join(str(error).split())[:120]}") from error
