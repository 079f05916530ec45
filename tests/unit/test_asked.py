"""What makes a run the run that it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.evaluation.asked import _files_digest
from aix_lsp.evaluation.toolchains import TOOLCHAINS


@pytest.mark.parametrize("place", [0, 5 << 20, (20 << 20) - 100_000])
def test_a_model_that_was_trained_further_has_another_digest_wherever_it_differs(tmp_path: Path, place: int) -> None:
    weights = tmp_path / "model.safetensors"
    content = bytearray(20 << 20)
    weights.write_bytes(content)
    before = _files_digest(tmp_path)
    assert _files_digest(tmp_path) == before
    content[place : place + 100_000] = b"x" * 100_000
    weights.write_bytes(content)
    assert _files_digest(tmp_path) != before


def test_small_files_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"a" * 3_000_000)
    before = _files_digest(tmp_path)
    (tmp_path / "config.json").write_bytes(b"a" * 2_345_678 + b"b" + b"a" * 654_321)
    assert _files_digest(tmp_path) != before


def test_no_toolchain_writes_outside_of_the_programs_folder() -> None:
    # without a sandbox such a path would be one of the machine's
    for toolchain in TOOLCHAINS.values():
        assert not any(value.startswith("/") for value in toolchain.environment.values()), toolchain.id
