"""Files and folders that take a name only when they are whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from aix_lsp.files import TEMPORARY, replaced_file
from aix_lsp.training.folders import replaced_folder, restore
from tests.unit.file_limits import limited_files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("wanted", [{}, {"mode": 0o600}])
def test_a_file_has_its_permissions_from_the_beginning_less_the_umask(
    tmp_path: Path, umask: int, wanted: dict[str, int]
) -> None:
    mode = wanted.get("mode", 0o666) & ~umask
    with replaced_file(tmp_path / "kept", **wanted) as file:
        (beside,) = tmp_path.iterdir()
        assert beside.name.startswith(".kept.")
        assert beside.name.endswith(TEMPORARY)
        assert stat.S_IMODE(beside.stat().st_mode) == mode or os.name == "nt"
        file.write(b"new")
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == mode or os.name == "nt"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_written_whole_leaves_the_one_before(tmp_path: Path, error: BaseException) -> None:
    def write_half() -> None:
        with replaced_file(tmp_path / "kept") as file:
            file.write(b"half")
            raise error

    (tmp_path / "kept").write_bytes(b"old")
    with pytest.raises(type(error)):
        write_half()
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"old"


def test_a_file_in_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replaced_file(tmp_path / "none" / "kept"):
        pass


def fill(folder: Path, text: str) -> None:
    with replaced_folder(folder) as new:
        (new / "text").write_text(text)


def test_a_folder_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for text in ("old", "new"):
        fill(tmp_path / "deep" / "kept", text)
        assert (tmp_path / "deep" / "kept" / "text").read_text() == text
        assert names(tmp_path / "deep") == ["kept"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), RuntimeError("something else")])
def test_a_folder_that_cannot_be_filled_leaves_the_one_before(tmp_path: Path, error: BaseException) -> None:
    def fill_half() -> None:
        with replaced_folder(tmp_path / "kept") as new:
            (new / "half").write_text("")
            raise error

    fill(tmp_path / "kept", "old")
    with pytest.raises(type(error)) as caught:
        fill_half()
    assert caught.value is error
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept" / "text").read_text() == "old"


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    others = [".kept.two.7.part", ".kept2.7.part", "kept.7.part", "kept.old"]
    for name in (".kept.123.part", ".kept.456.part", ".kept.old", *others):
        (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    fill(tmp_path / "kept", "new")
    assert names(tmp_path) == sorted([*others, "kept"])


def test_a_folder_between_its_two_renames_comes_back(tmp_path: Path) -> None:
    fill(tmp_path / "kept", "old")
    (tmp_path / "kept").rename(tmp_path / ".kept.old")
    restore(tmp_path / "kept")
    restore(tmp_path / "kept")
    restore(tmp_path / "none")
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept" / "text").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_folder_stays_a_link(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "disk" / "kept").mkdir(parents=True)
    (tmp_path / "kept").symlink_to(tmp_path / "disk" / "kept", target_is_directory=True)
    for text in ("one", "two", "three"):
        fill(tmp_path / "kept", text)
        assert (tmp_path / "disk" / "kept" / "text").read_text() == text
    assert (tmp_path / "kept").is_symlink()
    assert names(tmp_path) == ["disk", "kept"]
    assert names(tmp_path / "disk") == ["kept"]
    (tmp_path / "disk" / "kept").rename(tmp_path / "disk" / ".kept.old")
    restore(tmp_path / "kept")
    assert (tmp_path / "kept" / "text").read_text() == "three"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_in_a_circle_are_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "kept").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="kept"):
        fill(tmp_path / "kept", "new")


@pytest.mark.skipif(os.name == "nt", reason="no limits of this kind")
@pytest.mark.parametrize("library", ["safetensors", "torch"])
def test_libraries_that_cannot_write_are_told_as_a_full_disk(tmp_path: Path, library: str) -> None:
    from safetensors.torch import save_file

    def write() -> None:
        with replaced_folder(tmp_path / "kept") as new:
            tensors = {"one": torch.zeros(1000)}
            if library == "torch":
                torch.save(tensors, new / "file")
            else:
                save_file(tensors, new / "file")

    fill(tmp_path / "kept", "old")
    for most in (0, 100, 3_000):
        with (
            limited_files(most),
            pytest.raises(OSError, match=r"is the disk full\?\): .*kept"),
        ):
            write()
        assert names(tmp_path) == ["kept"]
