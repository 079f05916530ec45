"""Checks of `aix-lsp doctor` that fail themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.cli import doctor


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
