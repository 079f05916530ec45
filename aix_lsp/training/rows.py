"""Pieces packed into rows of one length, and rows into batches.

A token sees what stands before it in its own piece: the trunk, and in its own branch. Pieces in one row never see each
other (segment masks), so packing changes nothing but the time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aix_lsp.training.piece_store import PieceArrays
from aix_lsp.training.pieces import Part, Piece

if TYPE_CHECKING:
    import torch

_WAITING = 192  # pieces that wait for a row they fit in


@dataclass(frozen=True, slots=True)
class Row:
    """One packed row of `length` tokens; all arrays are of that length.

    `labels` holds the token that should follow, -1 where none is asked for, and `parts` what that token is (`Part`).
    `pieces` numbers the piece, `branches` the branch of it (0 the trunk), unused places have piece -1. `reach` is the
    place in the row up to which (exclusive) a token sees the trunk.
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    labels: NDArray[np.int32]
    parts: NDArray[np.uint8]
    pieces: NDArray[np.int32]
    branches: NDArray[np.int32]
    reach: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors. `ids` and `positions` (rows, length); `sees` (rows, length, length), true where the first may
    look at the second; `places` flat indices of the tokens whose successor is asked for, with `labels` and `parts`."""

    ids: torch.Tensor
    positions: torch.Tensor
    sees: torch.Tensor
    places: torch.Tensor
    labels: torch.Tensor
    parts: torch.Tensor

    @property
    def tokens(self) -> int:
        """Rows times length."""
        return int(self.ids.numel())

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


def row_of(pieces: Sequence[Piece], length: int, *, ahead: int | None = None) -> Row:
    """Pieces one behind another in a row.

    With `ahead`, the id of the marker before a suffix, that marker is asked for the first token of its branch's answer
    as well. Raises ValueError when the pieces are longer than the row.
    """
    total = sum(len(piece) for piece in pieces)
    if total > length:
        raise ValueError(f"{total} tokens do not fit in a row of {length}")
    row = Row(
        ids=np.zeros(length, np.int32),
        positions=np.zeros(length, np.int32),
        labels=np.full(length, -1, np.int32),
        parts=np.zeros(length, np.uint8),
        pieces=np.full(length, -1, np.int32),
        branches=np.zeros(length, np.int32),
        reach=np.zeros(length, np.int32),
    )
    place = 0
    for number, piece in enumerate(pieces):
        start = place
        segments = [(piece.ids, piece.parts, -1), *((b.ids, b.parts, b.attach) for b in piece.branches)]
        for branch, (ids, parts, attach) in enumerate(segments):
            end = place + len(ids)
            row.ids[place:end] = ids
            first = max(attach, 0)
            row.positions[place:end] = np.arange(first, first + len(ids))
            asked = np.array(parts[1:], dtype=np.uint8)
            row.parts[place : end - 1] = asked
            row.labels[place : end - 1] = np.where(asked != Part.GIVEN, ids[1:], -1)
            if ahead is not None and attach >= 0 and ahead in ids and Part.PSM_FIRST in parts:
                row.labels[place + ids.index(ahead)] = ids[parts.index(Part.PSM_FIRST)]
                row.parts[place + ids.index(ahead)] = Part.PSM_AHEAD
            row.pieces[place:end] = number
            row.branches[place:end] = branch
            row.reach[place:end] = start + attach if attach >= 0 else length
            place = end
    return row


def packed(arrays: PieceArrays, length: int, *, seed: int, rank: int = 0, world: int = 1) -> Iterator[Row]:
    """Rows of all pieces that fit, in an order drawn from `seed`, those of process `rank` out of `world` of them."""
    for chosen in packing(arrays.sizes(), length, seed=seed, rank=rank, world=world):
        yield row_of([arrays.piece(number) for number in chosen], length)


def packing(sizes: NDArray[np.int64], length: int, *, seed: int, rank: int = 0, world: int = 1) -> Iterator[list[int]]:
    """Which pieces, by number, stand in each row of `packed`.

    Each row begins with the piece that waits longest and takes the largest others that still fit (best-fit packing).
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero((sizes <= length) & (sizes > 1)))
    own = order[rank::world].tolist()
    waiting: list[int] = []
    place = 0
    while waiting or place < len(own):
        while len(waiting) < _WAITING and place < len(own):
            waiting.append(own[place])
            place += 1
        chosen = [waiting.pop(0)]
        room = length - int(sizes[chosen[0]])
        while waiting:
            fitting = [number for number in range(len(waiting)) if sizes[waiting[number]] <= room]
            if not fitting:
                break
            best = max(fitting, key=lambda number: int(sizes[waiting[number]]))
            room -= int(sizes[waiting[best]])
            chosen.append(waiting.pop(best))
        yield chosen


def sees(row: Row) -> NDArray[np.bool_]:
    """(length, length): whether the token of the first place may look at that of the second."""
    length = len(row.ids)
    place = np.arange(length, dtype=np.int32)
    same_piece = row.pieces[:, None] == row.pieces[None, :]
    same_branch = row.branches[:, None] == row.branches[None, :]
    trunk = (row.branches[None, :] == 0) & (place[None, :] < row.reach[:, None])
    found: NDArray[np.bool_] = same_piece & (same_branch | trunk) & (place[None, :] <= place[:, None])
    return found


def collate(rows: Sequence[Row]) -> Batch:
    """Rows of one length as a batch."""
    import torch

    labels = np.concatenate([row.labels for row in rows])
    places = np.flatnonzero(labels >= 0)
    return Batch(
        ids=torch.from_numpy(np.stack([row.ids for row in rows]).astype(np.int64)),
        positions=torch.from_numpy(np.stack([row.positions for row in rows]).astype(np.int64)),
        sees=torch.from_numpy(np.stack([sees(row) for row in rows])),
        places=torch.from_numpy(places),
        labels=torch.from_numpy(labels[places].astype(np.int64)),
        parts=torch.from_numpy(np.concatenate([row.parts for row in rows])[places].astype(np.int64)),
    )


@dataclass(frozen=True, slots=True)
class Feed:
    """Batches without end for one process: epoch after epoch, each in an order of its own.

    Pieces that fit the first of `lengths` fill rows of that length, the others rows of the second, and so on. Every
    batch has `tokens` places. All processes of one step take batches of the same length, so that none waits. `ahead` is
    that of `row_of`.
    """

    arrays: PieceArrays
    lengths: tuple[int, ...]
    tokens: int
    seed: int = 0
    rank: int = 0
    world: int = 1
    ahead: int | None = None

    def batches(self, *, skip: int = 0) -> Iterator[Batch]:
        """Batches from the start or, to go on with an interrupted run, without the first `skip`.

        Raises ValueError when no piece fits any length.
        """
        groups = self._groups()
        if not groups:
            raise ValueError("there is nothing to train on")
        shares = [int(group.sizes().sum()) for _, group in groups]
        rows = [self._rows(group, length) for length, group in groups]
        draw = random.Random(f"lengths {self.seed}")
        number = 0
        while True:
            chosen = draw.choices(range(len(groups)), shares)[0]
            length, arrays = groups[chosen]
            taken = [next(rows[chosen]) for _ in range(max(self.tokens // length, 1))]
            if number >= skip:
                pieces = ([arrays.piece(one) for one in numbers] for numbers in taken)
                yield collate([row_of(one, length, ahead=self.ahead) for one in pieces])
            number += 1

    def _groups(self) -> list[tuple[int, PieceArrays]]:
        sizes = self.arrays.sizes()
        found, low = [], 1
        for length in sorted(self.lengths):
            numbers = np.flatnonzero((sizes > low) & (sizes <= length))
            if len(numbers):
                found.append((length, _chosen(self.arrays, numbers)))
            low = length
        return found

    def _rows(self, arrays: PieceArrays, length: int) -> Iterator[list[int]]:
        """Pieces by number, row for row; rows are made of those that are not skipped only."""
        sizes = arrays.sizes()
        # with fewer pieces than processes each takes all of them, in an order of its own
        alone = len(arrays) < 4 * self.world
        epoch = 0
        while True:
            seed = hash((self.seed, epoch, self.rank if alone else 0)) & 0xFFFFFFFF
            yield from packing(
                sizes, length, seed=seed, rank=0 if alone else self.rank, world=1 if alone else self.world
            )
            epoch += 1


def _chosen(arrays: PieceArrays, numbers: NDArray[np.int64]) -> PieceArrays:
    """Some of the pieces; the tokens stay where they are, so only where pieces begin changes."""
    return _Chosen(arrays.ids, arrays.parts, arrays.lengths, arrays.attach, arrays.segments, arrays.tokens, numbers)


@dataclass(frozen=True, slots=True)
class _Chosen(PieceArrays):
    """Pieces picked out of arrays without copying them."""

    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def sizes(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.diff(self.tokens)[self.numbers]
        return found

    def piece(self, number: int) -> Piece:
        # not super(): a dataclass with slots is another class than the one it was written as
        return PieceArrays.piece(self, int(self.numbers[number]))
