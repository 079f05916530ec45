"""What `aix-lsp train` says at the end can be typed as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from aix_lsp.cli.train import _use


@pytest.mark.parametrize("base", ["aix-mini", "owner/model"])
def test_an_adapter_of_a_named_model_finds_its_base_itself(base: str, tmp_path: Path) -> None:
    assert shlex.split(_use(tmp_path / "my adapter", base)) == ["--adapter", str(tmp_path / "my adapter")]


def test_the_base_of_an_adapter_is_told_where_it_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = ["--model", str(tmp_path / "aix-mini"), "--adapter", str(tmp_path / "out")]
    assert shlex.split(_use(Path("out"), "./aix-mini")) == wanted


def test_a_model_from_scratch_is_a_folder(tmp_path: Path) -> None:
    assert shlex.split(_use(tmp_path / "out", "")) == ["--model", str(tmp_path / "out")]
