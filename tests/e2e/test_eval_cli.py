"""`aix-lsp eval` as a process, on a small checkout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.in_process import Call

STORE = "class UserStore:\n    def load_user(self, key):\n        return key\n"
USE = "from store import UserStore\n\n\ndef run_{i}():\n    return UserStore().load_user({i})\n"


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aix_lsp", "eval", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def checkout(folder: Path) -> Path:
    folder.mkdir()
    (folder / "store.py").write_text(STORE)
    for i in range(4):
        (folder / f"use_{i}.py").write_text(USE.replace("{i}", str(i)))
    return folder


def test_retrieval_is_compared_on_a_checkout(environment: dict[str, str], tmp_path: Path) -> None:
    folder, out = checkout(tmp_path / "shop"), tmp_path / "out"
    done = run(environment, "retrieval", str(folder), "--cases", "3", "--seed", "1", "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["cases"], data["languages"], data["seed"]) == (3, ["python"], 1)
    assert list(data["repositories"]) == ["shop"]
    assert data["schemes"]["no retrieval"]["found"]["value"] == 0.0
    assert data["schemes"]["similar + definition"]["found"]["value"] > 0.0
    assert json.loads((out / "retrieval.json").read_text()) == data
    assert (out / "retrieval.svg").read_text().startswith("<svg")


def test_a_table_is_shown(call: Call, tmp_path: Path) -> None:
    done = call("eval", "retrieval", str(checkout(tmp_path / "shop")))
    assert done.returncode == 0, done.stderr
    assert "CrossCodeEval" in done.stdout
    assert "similar + definition" in done.stdout


def test_wrong_calls_are_one_line(call: Call, tmp_path: Path) -> None:
    for arguments, words in (
        (("retrieval", str(tmp_path / "none")), "is no folder"),
        (("retrieval", str(tmp_path)), "has no line"),
    ):
        done = call("eval", *arguments)
        assert done.returncode != 0
        (line,) = done.stderr.strip().splitlines()
        assert words in line
