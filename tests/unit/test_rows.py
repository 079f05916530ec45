"""Packing, masks and the store: nothing is lost, and no piece sees another."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.training.piece_store import PieceStoreError, arrays_of, joined, read_shards, write_shards
from aix_lsp.training.pieces import Branch, Part, Piece
from aix_lsp.training.rows import Feed, collate, packed, row_of, sees

tokens = st.integers(1, 60_000)
parts = st.sampled_from([int(part) for part in Part])


@st.composite
def piece(draw: st.DrawFn, most: int = 12) -> Piece:
    length = draw(st.integers(1, most))
    ids = tuple(draw(st.lists(tokens, min_size=length, max_size=length)))
    kinds = tuple(draw(st.lists(parts, min_size=length, max_size=length)))
    branches = []
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.integers(1, 5))
        branches.append(
            Branch(
                draw(st.integers(1, length)),
                tuple(draw(st.lists(tokens, min_size=size, max_size=size))),
                tuple(draw(st.lists(parts, min_size=size, max_size=size))),
            )
        )
    return Piece(ids, kinds, tuple(branches))


def oracle(pieces: list[Piece], length: int) -> np.ndarray:
    """The mask by its definition, place for place."""
    owner: list[tuple[int, int, int, int]] = []  # piece, branch, index inside the segment, attach
    for number, one in enumerate(pieces):
        owner += [(number, 0, index, 0) for index in range(len(one.ids))]
        for count, branch in enumerate(one.branches, 1):
            owner += [(number, count, index, branch.attach) for index in range(len(branch.ids))]
    mask = np.zeros((length, length), dtype=bool)
    for row, (own, branch, index, attach) in enumerate(owner):
        for column, (other, other_branch, other_index, _) in enumerate(owner):
            if own != other:
                continue
            if branch == other_branch:
                mask[row, column] = other_index <= index
            elif other_branch == 0:
                mask[row, column] = other_index < attach
    return mask


@settings(max_examples=60, deadline=None)
@given(st.lists(piece(), min_size=1, max_size=4))
def test_a_token_sees_its_own_branch_and_the_trunk_before_it_and_nothing_else(pieces: list[Piece]) -> None:
    used = sum(len(one) for one in pieces)
    row = row_of(pieces, used + 3)
    mask = sees(row)
    assert (mask[:used, :used] == oracle(pieces, used)).all()
    assert not mask[:used, used:].any()


@settings(max_examples=60, deadline=None)
@given(st.lists(piece(), min_size=1, max_size=4))
def test_labels_are_the_next_tokens_of_the_same_segment_where_they_are_asked_for(pieces: list[Piece]) -> None:
    row = row_of(pieces, sum(len(one) for one in pieces))
    place = 0
    for one in pieces:
        for ids, kinds, attach in [(one.ids, one.parts, 0), *((b.ids, b.parts, b.attach) for b in one.branches)]:
            for index in range(len(ids)):
                last = index == len(ids) - 1
                asked = not last and kinds[index + 1] != Part.GIVEN
                assert row.labels[place] == (ids[index + 1] if asked else -1)
                assert row.positions[place] == attach + index
                place += 1


def test_the_marker_before_a_suffix_is_asked_for_the_answers_first_token_where_that_is_wanted() -> None:
    given, text, first, rest = int(Part.GIVEN), int(Part.TEXT), int(Part.PSM_FIRST), int(Part.PSM)
    suffix, middle = 2, 3
    hole = Branch(2, (30, suffix, 31, middle, 40, 41), (given, given, given, given, first, rest))
    silent = Branch(1, (suffix, 32, middle), (given, given, given))  # asks for nothing
    spm = Piece((9, suffix, 33, middle, 50, 51), (given, given, given, given, int(Part.SPM_FIRST), int(Part.SPM)))
    pieces = [Piece((10, 11, 12), (given, text, text), (hole, silent)), spm]
    plain, ahead = row_of(pieces, 20), row_of(pieces, 20, ahead=suffix)
    place = 3 + hole.ids.index(suffix)
    assert (ahead.labels[place], ahead.parts[place]) == (40, Part.PSM_AHEAD)
    others = np.arange(20) != place
    assert (ahead.labels[others] == plain.labels[others]).all()
    assert (ahead.parts[others] == plain.parts[others]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(piece(), min_size=1, max_size=30), st.integers(1, 3), st.integers(0, 5))
def test_all_processes_together_pack_every_piece_once(pieces: list[Piece], world: int, seed: int) -> None:
    arrays = arrays_of(pieces)
    length = 40
    rows = [row for rank in range(world) for row in packed(arrays, length, seed=seed, rank=rank, world=world)]
    found = sum(int(row.pieces.max()) + 1 for row in rows)
    wanted = [one for one in pieces if 1 < len(one) <= length]
    assert found == len(wanted)
    placed = Counter(token for row in rows for token in row.ids[row.pieces >= 0].tolist())
    assert placed == Counter(
        token for one in wanted for token in (*one.ids, *(other for branch in one.branches for other in branch.ids))
    )


def test_a_piece_longer_than_the_row_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        row_of([Piece((1, 2, 3), (3, 3, 3))], 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(piece(), max_size=8), st.lists(piece(), max_size=8))
def test_pieces_come_back_from_arrays_and_joined_arrays(left: list[Piece], right: list[Piece]) -> None:
    both = joined([arrays_of(left), arrays_of(right)])
    assert [both.piece(number) for number in range(len(both))] == left + right


def test_shards_give_back_what_was_written(tmp_path: Path) -> None:
    pieces = [Piece((1, 70_000, 3), (0, 3, 3), (Branch(2, (4, 5), (0, 4)),)), Piece((9,), (3,))]
    assert write_shards(pieces, tmp_path) == 6
    arrays = read_shards(tmp_path)
    assert [arrays.piece(number) for number in range(len(arrays))] == pieces
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_a_damaged_shard_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pieces-0000.npz").write_bytes(content)
    with pytest.raises(PieceStoreError, match="is damaged"):
        read_shards(tmp_path)


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PieceStoreError, match="no prepared pieces"):
        read_shards(tmp_path)


def many(count: int) -> list[Piece]:
    return [Piece(tuple(range(1, 5 + number % 20)), (3,) * (4 + number % 20)) for number in range(count)]


def test_a_feed_goes_on_behind_the_batches_that_were_taken() -> None:
    feed = Feed(arrays_of(many(200)), (12, 24), 48, seed=3)
    later = list(islice(feed.batches(skip=5), 4))
    whole = list(islice(feed.batches(), 9))[5:]
    assert all((a.ids == b.ids).all() and (a.labels == b.labels).all() for a, b in zip(later, whole, strict=True))


def test_processes_take_batches_of_the_same_length_at_the_same_time() -> None:
    arrays = arrays_of(many(400))
    feeds = [Feed(arrays, (12, 24), 48, seed=3, rank=rank, world=2) for rank in range(2)]
    shapes = [[tuple(batch.ids.shape) for batch in islice(feed.batches(), 20)] for feed in feeds]
    assert shapes[0] == shapes[1]
    assert len(set(shapes[0])) == 2


def test_a_feed_without_pieces_says_so() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        next(Feed(arrays_of([]), (12,), 48).batches())


def test_a_batch_lists_the_places_that_are_asked_for() -> None:
    row = row_of([Piece((5, 6, 7), (0, 0, 3))], 4)
    batch = collate([row, row])
    assert batch.places.tolist() == [1, 5]
    assert batch.labels.tolist() == [7, 7]
    assert batch.parts.tolist() == [3, 3]
    assert batch.tokens == 8
