"""A checkpoint travels in parts, and a run goes on from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from aix_lsp.training.carry import pack, unpack
from aix_lsp.training.checkpoints import CheckpointError, RunState, load, save
from aix_lsp.training.optim import OptimizerSettings, optimizers
from tests.unit.file_limits import limited_files


def model(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(30, 40), torch.nn.Linear(40, 3))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    one = model(0)
    listed = optimizers(one, OptimizerSettings(muon=False))
    one(torch.ones(2, 30)).sum().backward()
    for optimizer in listed:
        optimizer.step()
    save(tmp_path / "checkpoint", one, listed, RunState(step=9, tokens=5), {"run": 1})
    return tmp_path / "checkpoint"


def test_what_arrives_is_the_checkpoint_in_half_precision(checkpoint: Path, tmp_path: Path) -> None:
    paths = pack(checkpoint, tmp_path / "parts", part_bytes=1500)
    assert len(paths) > 3
    assert all(path.stat().st_size <= 1500 for path in paths)
    unpack(tmp_path / "parts", tmp_path / "arrived")
    before, after = model(1), model(2)
    for one, folder in ((before, checkpoint), (after, tmp_path / "arrived")):
        state = load(folder, one, optimizers(one, OptimizerSettings(muon=False)), {"run": 1})
        assert state == RunState(step=9, tokens=5)
    for sent, arrived in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.allclose(sent, arrived, rtol=1e-2)
        assert arrived.dtype == torch.float32


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_part_that_did_not_arrive_is_named_and_nothing_changes(checkpoint: Path, tmp_path: Path, damage: str) -> None:
    paths = pack(checkpoint, tmp_path / "parts", part_bytes=1500)
    if damage == "missing":
        paths[1].unlink()
    else:
        paths[1].write_bytes(b"x")
    with pytest.raises(CheckpointError, match=rf"part-01.bin is {damage}"):
        unpack(tmp_path / "parts", tmp_path / "arrived")
    assert not (tmp_path / "arrived").exists()


@pytest.mark.skipif(os.name == "nt", reason="no limits of this kind")
@pytest.mark.parametrize("most", [1_000, 6_000])
def test_a_full_disk_is_told_and_leaves_what_was_there(checkpoint: Path, tmp_path: Path, most: int) -> None:
    pack(checkpoint, tmp_path / "parts")
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    # too little for the weights, or for the optimizers' states
    with limited_files(most), pytest.raises(OSError, match="could not be written"):
        unpack(tmp_path / "parts", checkpoint)
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "parts"]


def test_a_folder_without_a_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        pack(tmp_path, tmp_path / "parts")
    with pytest.raises(CheckpointError, match="holds no parts"):
        unpack(tmp_path, tmp_path / "arrived")
