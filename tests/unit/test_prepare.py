"""Pieces of projects on disk: whole or made anew, each project by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from aix_lsp.training import piece_store
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.piece_store import PieceStoreError, read_shards
from aix_lsp.training.pieces import Piece
from aix_lsp.training.prepare import PrepareSettings, prepare, prepared
from aix_lsp.training.windows import WindowSettings

from .test_windows import FILES, tools

WINDOWS = WindowSettings(lengths=(128, 256), snippets=0.3)
PROJECTS = [
    ("one", [replace(file, project="one") for file in FILES]),
    ("none", []),
    ("two", [replace(file, project="two") for file in FILES[:3]]),
    ("alone", [SourceFile("alone", "a.py", "python", "x = 1\n")]),
]


def pieces(projects: Sequence[tuple[str, Sequence[SourceFile]]], **options: int) -> list[Piece]:
    return list(prepared(projects, *tools(), WINDOWS, PrepareSettings(**options)))


def made(out: Path, projects: Sequence[tuple[str, Sequence[SourceFile]]] = PROJECTS) -> int:
    return prepare(projects, *tools(), out, WINDOWS, PrepareSettings())


def test_a_project_gives_the_same_pieces_whatever_stands_before_it() -> None:
    assert pieces(PROJECTS) == [piece for project in PROJECTS for piece in pieces([project])]
    assert pieces(PROJECTS) == pieces(PROJECTS)
    assert pieces(PROJECTS, seed=1) != pieces(PROJECTS)


def test_a_large_project_gives_no_more_than_it_may() -> None:
    told: dict[str, int] = {}
    taken = prepared(PROJECTS, *tools(), WINDOWS, PrepareSettings(tokens_per_project=2000), progress=told.__setitem__)
    assert sum(map(len, taken)) == sum(told.values())
    largest = max(sum(map(len, pieces([("one", [file])]))) for file in PROJECTS[0][1])
    # the file that passes the limit is still taken as a whole
    assert 2000 <= told["one"] < 2000 + largest
    assert told["none"] == 0
    assert 0 < told["alone"] < 100


def test_pieces_on_disk_are_those_that_were_drawn(tmp_path: Path) -> None:
    tokens = made(tmp_path / "pieces")
    arrays = read_shards(tmp_path / "pieces")
    assert [arrays.piece(number) for number in range(len(arrays))] == pieces(PROJECTS)
    assert tokens == len(arrays.ids)


def test_a_whole_folder_is_left_as_it_is(tmp_path: Path) -> None:
    tokens = made(tmp_path / "pieces")
    before = {path.name: path.read_bytes() for path in (tmp_path / "pieces").iterdir()}
    assert made(tmp_path / "pieces", []) == tokens
    assert {path.name: path.read_bytes() for path in (tmp_path / "pieces").iterdir()} == before


def test_shards_of_an_interrupted_run_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "whole")
    monkeypatch.setattr(piece_store, "_SHARD_TOKENS", 500)
    out = tmp_path / "pieces"
    read: list[str] = []

    def cut_off() -> object:
        for project in PROJECTS:
            read.append(project[0])
            if project[0] == "two":
                raise KeyboardInterrupt
            yield project

    with pytest.raises(KeyboardInterrupt):
        prepare(cut_off(), *tools(), out, WINDOWS, PrepareSettings())  # type: ignore[arg-type]
    assert len(list(out.glob("pieces-*.npz"))) > 1
    (out / "pieces-0007.npz.123.partial").write_bytes(b"of a process that was killed")
    monkeypatch.undo()
    made(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()
    }


def test_a_full_disk_leaves_nothing_that_counts_as_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "pieces"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(numpy, "savez_compressed", full)
        with pytest.raises(OSError, match="No space left"):
            made(out)
    assert list(out.iterdir()) == []
    assert made(out) == json.loads((out / "prepared.json").read_text())["tokens"]


def test_nothing_to_take_is_one_line_and_names_the_part(tmp_path: Path) -> None:
    with pytest.raises(PieceStoreError, match="no file gave a piece for held-out") as caught:
        made(tmp_path / "held-out", [("none", [])])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "held-out" / "prepared.json").exists()
