"""What a build would pack is what belongs into the wheel; and what does not is seen."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import aix_lsp
from tests.package.building import whole
from tests.package.contents import METADATA, packed_files, unused_kinds, unwanted


def test_what_a_build_would_pack_belongs_into_the_wheel() -> None:
    files = packed_files()
    assert unwanted({name: path.stat().st_size for name, path in files.items()}) == []
    assert unused_kinds(files) == []


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("aix_lsp/tests/test_a.py", 1, "does not belong"),
        ("aix_lsp/models/aix-mini/pytorch_model.bin", 1, "no kind of file"),
        ("aix_lsp/cli/notes.txt", 1, "no kind of file"),
        ("aix_lsp/.cache/a.py", 1, "does not belong"),
        ("benchmarks/engine.py", 1, "no kind of file"),
        ("aix_lsp/data/headers.json", 200_000, "at most 100,000"),
        ("aix_lsp/models/aix-mini/model.safetensors", 50_000_000, "at most 26,000,000"),
    ],
)
def test_what_does_not_belong_there_is_named(name: str, size: int, words: str) -> None:
    assert words in unwanted({name: size})[0]


def wheel(folder: Path, **changed: bytes | None) -> Path:
    """A wheel of the checkout's small files, packed here; None leaves a file out."""
    path = folder / "a.whl"
    info = f"aix_lsp-{aix_lsp.__version__}.dist-info"
    contents: dict[str, bytes | None] = {name: file.read_bytes() for name, file in packed_files().items()}
    contents |= {f"{info}/{name}": b"" for name in METADATA} | changed
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def test_a_whole_wheel_is_told_with_its_size(tmp_path: Path) -> None:
    assert "MB, unpacked" in whole(wheel(tmp_path))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"aix_lsp/data/inspect.css": None}, "aix_lsp/data/inspect.css is missing"),
        ({"aix_lsp/py.typed": None}, "aix_lsp/py.typed is missing"),
        ({"aix_lsp/text.py": b"other"}, "aix_lsp/text.py is not the checkout's"),
        ({"tests/conftest.py": b""}, "tests/conftest.py is too much"),
    ],
)
def test_a_wheel_that_is_not_the_checkout_is_broken(
    tmp_path: Path, changed: dict[str, bytes | None], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        whole(wheel(tmp_path, **changed))
