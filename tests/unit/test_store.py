"""A packed index in a file: read back as it was, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aix_lsp.retrieval.build import build_segment
from aix_lsp.retrieval.definitions import build_definitions
from aix_lsp.retrieval.definitions_packed import PackedDefinitions
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.store import Head, StoredFile, read_head, read_packed, write

TEXTS = [
    ("a.py", "def heron_migration(departure):\n    return departure\n"),
    ("ü/b.py", "class StorkTable:\n    pass\n"),
]
FILES = {
    "a.py": StoredFile((44, 10**18 + 1, 7), ""),
    "ü/b.py": StoredFile((31, 5, 6), ""),
    "c": StoredFile((1, 2, 3), "binary"),
}
PACKED = build_segment(TEXTS).to_bytes()


def kept(folder: Path, packed: bytes = PACKED) -> Path:
    path = folder / "chunks"
    write(path, made_with="this", files=FILES, packed=packed)
    return path


def read(path: Path) -> tuple[Head, PackedSegment]:
    head = read_head(path, "this")
    return head, PackedSegment.from_bytes(read_packed(path, head.identity))


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    head, segment = read(kept(tmp_path))
    assert head.files == FILES
    assert segment.to_bytes() == PACKED


def test_only_its_owner_can_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = kept(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["chunks"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_text_of_the_files_is_in_it(tmp_path: Path) -> None:
    definitions = build_definitions(TEXTS).to_bytes()
    for packed in (PACKED, definitions):
        stored = kept(tmp_path, packed).read_bytes().lower()
        assert b"a.py" in stored
        for word in (b"heron", b"migration", b"stork", b"return", b"departure", b"pass"):
            assert word not in stored


def test_what_was_made_with_something_else_is_not_read(tmp_path: Path) -> None:
    path = kept(tmp_path)
    with pytest.raises(ValueError, match="another version or other settings"):
        read_head(path, "that")


def test_an_index_that_was_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = kept(tmp_path)
    old = read_head(path, "this")
    kept(tmp_path, build_segment(TEXTS[:1]).to_bytes())
    with pytest.raises(ValueError, match="not the one"):
        read_packed(path, old.identity)
    assert len(read(path)[1]) == 1


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(tmp_path)

    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        kept(tmp_path, build_segment(TEXTS[:1]).to_bytes())
    assert [item.name for item in tmp_path.iterdir()] == ["chunks"]
    assert read(path)[1].to_bytes() == PACKED


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = kept(tmp_path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["change", "cut", "insert", "append", "remove"]))
    if kind == "change":
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    elif kind == "cut":
        damaged = whole[:at]
    elif kind == "remove":
        damaged = whole[:at] + whole[at + data.draw(st.integers(1, 64)) :]
    else:
        more = data.draw(st.binary(min_size=1, max_size=64))
        damaged = whole[:at] + more + whole[at:] if kind == "insert" else whole + more
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"(stored|packed) index") as told:
        read(path)
    assert "\n" not in str(told.value)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_file_is_no_index(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    for front in (b"", b"aix-store-1\n"):
        path.write_bytes(front + content)
        with pytest.raises(ValueError, match="stored index"):
            read_head(path, "this")
        with pytest.raises(ValueError, match="stored index"):
            read_packed(path, "00")


def test_definitions_are_kept_the_same_way(tmp_path: Path) -> None:
    packed = build_definitions(TEXTS).to_bytes()
    path = kept(tmp_path, packed)
    again = PackedDefinitions.from_bytes(read_packed(path, read_head(path, "this").identity))
    assert again.to_bytes() == packed
