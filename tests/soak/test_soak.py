"""The short form of `make soak`: a real server with its own model, an editor's work for 45 seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import main


@pytest.mark.skipif(sys.platform == "win32", reason="the server is started by a shell, and asked by a signal")
def test_a_server_keeps_its_size_its_threads_and_every_edit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "samples.jsonl"
    code = main(["--seconds", "45", "--documents", "20", "--speed", "8", "--out", str(out), "--json"])
    told = json.loads(capsys.readouterr().out)
    findings = {finding["name"]: finding for finding in told["findings"]}
    assert code == 0, [finding for finding in findings.values() if finding["state"] == "broken"]
    # what depends on how fast the machine is is not looked at here
    assert sorted(name.split()[0] for name, finding in findings.items() if finding["state"] == "skipped") == [
        "at",
        "p95",
    ]
    samples = [json.loads(line) for line in out.read_text().splitlines()]
    assert {sample["what"] for sample in samples} == {"sample", "rest"}
    assert samples[-1]["names"]["task Session._save_now_and_then"] == 1


@pytest.mark.parametrize("option", [["--seconds", "0"], ["--documents", "0"], ["--speed", "-1"]])
def test_what_cannot_be_run_is_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(option)
    assert ended.value.code == 2
    assert "above 0" in capsys.readouterr().err
