"""Checks of `aix-lsp doctor` that fail themselves."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from aix_lsp.cli import doctor, doctor_libraries
from aix_lsp.cli.doctor_log import examine_log
from aix_lsp.settings import LogSettings


def test_a_check_that_fails_in_any_way_is_one_line_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _choice(settings: object) -> doctor.Finding:
        raise KeyError("mps\nand more")

    def _processor() -> doctor.Finding:
        raise RuntimeError("the driver is gone")

    monkeypatch.setattr(doctor, "_choice", _choice)
    monkeypatch.setattr(doctor, "_processor", _processor)
    found = {finding.check: finding for finding in doctor.examine(tmp_path, {"model.name": "aix-mini"})}
    assert found["choice"].status == found["processor"].status == "fail"
    assert found["choice"].detail == r"the check itself failed (KeyError: 'mps\nand more')"
    assert "RuntimeError: the driver is gone" in found["processor"].detail
    assert {"model", "tokenizer", "workspace", "watching"} <= found.keys()


@pytest.mark.parametrize("raised", [RuntimeError("no operator"), AttributeError("__version__"), ImportError("no file")])
def test_a_pytorch_that_cannot_be_loaded_is_a_finding_whatever_it_fails_with(
    raised: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torch_in_words() -> str:
        raise raised

    monkeypatch.setattr("aix_lsp.engine.machine_report.torch_in_words", torch_in_words)
    found = {finding.check: finding for finding in doctor.examine(tmp_path, {"model.name": "aix-mini"})}
    assert found["torch"].status == "fail"
    assert str(raised) in found["torch"].detail
    assert {"workspace", "watching", "log"} <= found.keys()


def test_every_library_that_is_needed_is_imported_and_one_that_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert doctor_libraries.examine_libraries().status == "ok"
    needed = [*doctor_libraries.required(), "aix-no-such-library"]
    assert {"pygls", "watchdog", "tree-sitter"} <= set(needed)
    monkeypatch.setattr(doctor_libraries, "required", lambda: needed)
    found = doctor_libraries.examine_libraries()
    assert found.status == "fail"
    assert found.detail == (
        "cannot be imported: aix-no-such-library (ModuleNotFoundError: No module named 'aix_no_such_library')"
    )


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_place_where_no_log_would_be_written_is_a_warning(tmp_path: Path) -> None:
    file, link, folder = tmp_path / "file", tmp_path / "link", tmp_path / "folder"
    file.write_text("")
    link.symlink_to(file)
    folder.mkdir()
    for path, problem in (
        (link, "it is a link"),
        (folder, "irectory"),
        (file / "a.jsonl", f"nothing can be made in {file}"),
    ):
        found = examine_log(LogSettings(file=str(path)))
        assert found.status == "warn"
        assert problem in found.detail
    assert examine_log(LogSettings(file=str(tmp_path / "new" / "a.jsonl"))).status == "ok"


def test_without_pytorch_what_builds_on_it_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("torch", "transformers") else find(name)
    )
    assert doctor_libraries.examine_libraries().status == "ok"
