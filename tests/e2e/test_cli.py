"""The command line: once as a process for each thing that a process shows, else in the tests' own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import INVOICE
from tests.e2e.in_process import Call, Called


class Cli:
    """Runs `aix-lsp` in a folder."""

    def __init__(self, environment: dict[str, str], folder: Path, call: Call) -> None:
        self.environment = environment
        self.folder = folder
        self._call = call

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = self.call(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout

    def call(self, *arguments: str) -> Called:
        """In this process, which has PyTorch already."""
        return self._call(*arguments, cwd=self.folder)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """In a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "aix_lsp", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def error(self, *arguments: str, code: int = 2) -> str:
        """The one line that an error is."""
        done = self.call(*arguments)
        assert done.returncode == code
        assert done.stdout == ""
        (line,) = done.stderr.strip().splitlines()
        return line


@pytest.fixture
def cli(environment: dict[str, str], workspace: Path, call: Call) -> Cli:
    return Cli(environment, workspace, call)


PLACE = f"shop/invoice.py:{INVOICE.count(chr(10)) + 1}:{len(INVOICE) - INVOICE.rfind(chr(10))}"


def test_complete_at_a_place(cli: Cli) -> None:
    done = cli.run("complete", PLACE, "--workspace", ".", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    (completion,) = data["completions"]
    assert completion["text"].startswith("total")
    line, column = (int(part) for part in PLACE.split(":")[1:])
    assert completion["range"] == {"start": {"line": line, "column": column}, "end": {"line": line, "column": column}}
    snippet = data["snippets"][0]
    assert set(snippet) == {"path", "start_line", "end_line", "score", "kind", "text"}
    assert snippet["path"] == "shop/pricing.py"
    assert set(data["timings_ms"]) == {"retrieval", "prompt", "first_token", "total"}
    assert 0 < data["timings_ms"]["first_token"] <= data["timings_ms"]["total"]
    assert data["model"] == "aix-mini"
    assert cli("complete", PLACE).startswith("total")


def test_complete_between_two_texts_and_the_same_from_python(cli: Cli, environment: dict[str, str]) -> None:
    prefix = "def add(left, right):\n    return left "
    (cli.folder / "before.txt").write_text(prefix)
    (cli.folder / "after.txt").write_text("\n")
    call = ["--prefix", "before.txt", "--suffix", "after.txt", "--path", "add.py", "--max-new-tokens", "8"]
    data = cli.json("complete", *call)
    (completion,) = data["completions"]
    assert completion["range"]["start"] == {"line": 2, "column": 17}
    code = f"import aix_lsp; print(repr([aix_lsp.infer({prefix!r}, '\\n', 'add.py', 8) for _ in range(2)]))"
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == repr([completion["text"]] * 2)


def test_context_shows_snippets_scores_and_the_exact_prompt(cli: Cli) -> None:
    data = cli.json("context", PLACE, "--workspace", ".")
    snippet = data["snippets"][0]
    assert snippet["path"] == "shop/pricing.py"
    assert snippet["terms"]
    prompt = data["prompt"]
    assert prompt["format"] == "l2r"
    assert prompt["text"].startswith("<s># the file path is: shop/pricing.py\n# the code file is written by Python\n")
    assert {part["role"] for part in prompt["parts"]} == {"snippet", "header", "prefix"}
    assert prompt["tokens"] <= 1024
    shown = cli("context", PLACE)
    assert "shop/pricing.py:1-" in shown
    assert "matches: " in shown


def test_doctor_checks_everything_and_says_what_to_do(cli: Cli) -> None:
    findings = cli.json("doctor", "--workspace", ".")
    checks = {finding["check"]: finding for finding in findings}
    assert set(checks) == {
        *(
            "python",
            "settings",
            "libraries",
            "torch",
            "processor",
            "gpu",
            "flash-attn",
            "quantization",
            "choice",
            "model",
        ),
        *("tokenizer", "sharing", "workspace", "kept index", "watching", "log", "running"),
    }
    assert {finding["status"] for finding in findings} <= {"ok", "warn"}
    assert all(finding["remedy"] for finding in findings if finding["status"] != "ok")
    assert "2 files" in checks["workspace"]["detail"]
    assert checks["choice"]["detail"].startswith("aix-mini: ")
    ran = {finding["check"]: finding["detail"] for finding in cli.json("doctor", "--load", "--workspace", ".")}["run"]
    assert re.search(
        r"^aix-mini in \S+ on \S+, .*; loaded in .* s, first token of 256 after \d+ ms, .* per token$", ran
    )
    assert "none for this folder yet" in checks["kept index"]["detail"]
    (Path(cli.folder) / "data.bin").write_bytes(b"0")
    cli("context", PLACE)  # indexes the folder, and keeps that
    few = ("--set", "workspace.max_files=1")
    failed = json.loads(cli("doctor", "--json", "--model", "./no-model", *few, code=1))
    assert {finding["check"] for finding in failed if finding["status"] == "fail"} == {"model", "tokenizer"}
    limited = next(finding for finding in failed if finding["check"] == "workspace")
    assert limited["status"] == "warn"
    assert "the 1 most recently changed are indexed" in limited["detail"]
    assert "1 not code" in limited["detail"]
    assert "workspace.max_files" in limited["remedy"]
    kept = next(finding for finding in failed if finding["check"] == "kept index")
    assert "for this folder, 2 files in 2 chunks, with definitions" in kept["detail"]


def test_config_shows_where_each_value_came_from(cli: Cli) -> None:
    cli.environment["AIX_LSP_PROMPT__FORMAT"] = "psm"
    folder = Path(cli.environment["XDG_CONFIG_HOME"], "aix-lsp")
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[completion]\nmax_lines = 5\n")
    data = cli.json("config", "--set", "retrieval.snippets=1", "--model", "aix-mini")
    assert data["prompt.format"] == {"value": "psm", "origin": "environment"}
    assert data["completion.max_lines"] == {"value": 5, "origin": "user file"}
    assert data["retrieval.snippets"] == {"value": 1, "origin": "command line"}
    assert data["model.name"] == {"value": "aix-mini", "origin": "command line"}
    assert data["completion.enabled"]["origin"] == "default"
    assert json.loads(cli("config", "--schema"))["properties"]["aix.model.name"]["default"] == "auto"


def test_the_demo_prints_one_json_line_per_completion(cli: Cli, model_host: dict[str, str]) -> None:
    cli.environment.update(model_host)
    rows = [json.loads(line) for line in cli("demo", "--json").splitlines()]
    offers = [row for row in rows if row["completions"] and row["completions"][0]["text"]]
    assert len(offers) >= 5
    for row in rows:
        assert set(row) == {"completions", "snippets", "timings_ms", "model", "file", "line", "column"}
        assert row["snippets"]
        assert row["timings_ms"]["total"] > 0
    # a name that only another file has
    assert rows[0]["completions"][0]["text"].startswith("stock")


def test_the_demo_shows_code_ghost_text_snippets_and_times(cli: Cli, model_host: dict[str, str]) -> None:
    cli.environment.update(model_host)
    shown = cli("demo", "--svg", "demo.svg")
    assert "reserve_stock" in shown
    assert "shop/inventory.py:" in shown
    assert "first token" in shown
    # to be copied, so in lines of their own whatever the width
    assert "vim.lsp.config('aix', { cmd = { 'aix-lsp', 'serve', '--stdio' }, root_markers = { '.git' } })" in shown
    assert (cli.folder / "demo.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["complete"], "FILE:LINE:COL"),
        (["complete", "no-file.py:1:1"], "no-file.py is no file"),
        (["complete", "shop/pricing.py"], "FILE:LINE:COL"),
        (["complete", "shop/pricing.py:999:1"], "there is no line 999"),
        (["complete", "shop/pricing.py:1:999"], "there is no column 999"),
        (["complete", "shop/pricing.py:0:1"], "there is no line 0"),
        (["complete", "shop/pricing.py:1:1", "--set", "prompt.format=odd"], "prompt.format"),
        (["complete", "shop/pricing.py:1:1", "--set", "odd"], "SECTION.OPTION=VALUE"),
        (["context", "shop/pricing.py:1:1", "--workspace", "nowhere"], "is no folder"),
        (["serve", "--tcp", "nowhere"], "HOST:PORT"),
        (["serve", "--odd"], "--odd"),
        (["odd"], "odd"),
        (["config", "--odd"], "--odd"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_told_in_one_line(call: Call, workspace: Path, arguments: list[str], told: str) -> None:
    done = call(*arguments, cwd=workspace)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert told in line


def test_a_model_that_is_not_there_is_told_in_one_line(cli: Cli) -> None:
    assert "no-model" in cli.error("context", PLACE, "--model", "./no-model", code=1)
    assert "Traceback" in cli.run("context", PLACE, "--model", "./no-model", "--debug").stderr
    # where a completion was asked for, the embedded model answers
    done = cli.call("complete", PLACE, "--model", "./no-model")
    assert done.returncode == 0
    assert done.stdout.startswith("total")
    assert "embedded model" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="another separator")
def test_a_file_that_is_no_text_is_told(cli: Cli) -> None:
    (cli.folder / "blob.py").write_bytes(bytes([0xFF, 0xFE, 0xFD]) + os.urandom(4))
    assert "blob.py is not UTF-8 text" in cli.error("complete", "blob.py:1:1")
