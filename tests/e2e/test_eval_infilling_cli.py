"""`aix-lsp eval infilling` as a process, with the embedded model on a small project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.in_process import Call

STORE = "class UserStore:\n    def load_user(self, key):\n        return key\n"
USE = "from store import UserStore\n\n\ndef run():\n    return UserStore().load_user(7)\n"
LONG = "".join(f"def scale_{i}(amount, factor):\n    return amount * factor + {i}\n\n\n" for i in range(60))
PROBLEM = {"prompt": "def one():\n", "suffix": "", "canonical_solution": "    return 1\n"}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aix_lsp", "eval", "infilling", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop-1.0"
    folder.mkdir()
    for name, text in (("store.py", STORE), ("use.py", USE), ("scales.py", LONG)):
        (folder / name).write_text(text)
    return folder


def test_models_and_copiers_are_compared(environment: dict[str, str], project: Path, tmp_path: Path) -> None:
    problems, out = tmp_path / "problems.jsonl", tmp_path / "out"
    problems.write_text(json.dumps(PROBLEM) + "\n")
    done = run(
        environment,
        *(str(project), "--humaneval", str(problems), "--places", "3", "--cases", "2", "--loss-kb", "1"),
        *("--formats", "psm,spm", "--seed", "1", "--json", "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert json.loads((out / "infilling.json").read_text()) == data
    assert data["places"] == {"humaneval": 1, "line": 3, "start": 1, "middle": 1}
    assert data["models"]["aix-mini"]["positions"] == 1024
    ways = {(record["way"], record["snippets"]) for record in data["measures"] if record["task"] == "start"}
    names = ("PSM", "SPM", "copy 3", "copy 10", "copy 10 healed")
    assert ways == {(name, snippets) for name in names for snippets in (False, True)}
    assert 0 < data["bits_per_byte"]["aix-mini"]["value"] < 8
    # nothing of this machine in what goes into a document
    assert data["command"].startswith("aix-lsp eval infilling shop-1.0 --humaneval problems.jsonl --problems 200 ")
    assert str(tmp_path) not in (out / "infilling.md").read_text()
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == sum(data["places"].values())
    assert "answers in" in done.stderr


def test_wrong_calls_are_one_line(call: Call, project: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for code, arguments, words in (
        (2, (), "nothing to measure"),
        (2, (str(project), "--formats", "prefix"), "--formats takes"),
        (
            1,
            (str(project), "--places", "0", "--loss-kb", "0", "--model", str(tmp_path / "empty")),
            "has no config.json",
        ),
        (1, (str(tmp_path / "empty"),), "no file over 3,000 bytes"),
    ):
        done = call("eval", "infilling", *arguments)
        assert done.returncode == code, done.stderr
        line = done.stderr.strip().splitlines()[-1]
        assert words in line
        assert "Traceback" not in done.stderr
