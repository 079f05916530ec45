"""`fim-lines` and `aix-fim` from their files to their results: scripted answers with known scores, and the embedded
model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.cli.eval_benchmark import answered
from aix_lsp.engine.base import OnEvent
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.evaluation import fim_lines, harness
from aix_lsp.evaluation.aix_fim import AixFim
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.benchmark import Benchmark
from aix_lsp.evaluation.fim_lines import FimLines
from aix_lsp.evaluation.harness import answer, prepare
from aix_lsp.evaluation.run_folder import MemoryRun, RunData, read_run
from aix_lsp.evaluation.sandbox import Sandbox
from aix_lsp.evaluation.summary import Summary, summarize
from aix_lsp.settings import Settings
from aix_lsp.types import Prompt

DATA = Path(__file__).parents[1] / "fixtures" / "evaluation"
INFILLING = DATA / "HumanEval-Infilling.jsonl"
SANTACODER = DATA / "santacoder-fim-task.jsonl"

Run = Callable[[Benchmark, list[str]], tuple[RunData, Summary, list[Prompt]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a benchmark with these answers, one for each sample in order."""

    def run(benchmark: Benchmark, answers: list[str]) -> tuple[RunData, Summary, list[Prompt]]:
        prompts: list[Prompt] = []

        def say(prompt: Prompt) -> str:
            prompts.append(prompt)
            return answers[len(prompts) - 1]

        def make(settings: Settings, on_event: OnEvent, asked: Asked) -> Any:
            return ScriptedEngine(say)

        monkeypatch.setattr(harness, "_engine", make)
        asked = Asked(batch=1)
        prepared = prepare(benchmark, asked)
        store = MemoryRun(prepared.config)
        asyncio.run(answer(prepared, asked, store))
        assert [result.output.error for result in store.data.results] == [""] * len(answers)
        return store.data, summarize(store.data.results, benchmark.metrics), prompts

    return run


@pytest.fixture
def sandbox() -> Sandbox:
    """What runs tests here; without one there is nothing to look at."""
    found = Sandbox.find()
    if found is None:
        pytest.skip("no sandbox on this machine")
    return found


def test_infilling_with_its_tests(run: Run, sandbox: Sandbox) -> None:
    data, summary, _ = run(
        FimLines([INFILLING]),
        [
            "    if count < 0:\n        return 0\n",  # the line that was there, and more, which is cut off
            "    total = count * price + tax\n",  # another line that is as right
            "    return price * count - tax\n",  # wrong
            "* count + tax\n    return",
            "price *",  # no Python
        ],
    )
    scores = [result.scores for result in data.results]
    assert [score["exact"] for score in scores] == [1, 0, 0, 1, 0]
    assert [score["passed"] for score in scores] == [1, 1, 0, 1, 0]
    passed = summary.overall.metrics["passed"]
    assert passed is not None
    assert (passed.mean, passed.count) == (0.6, 5)
    assert data.config["notes"] == [f"functional tests: {sandbox.description}"]
    assert [row.scenario for row in summary.by_scenario] == [
        "single-line",
        "multi-line",
        "random-span",
        "random-span-light",
    ]


def test_without_a_sandbox_the_run_goes_on_and_says_that_tests_were_not_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "find", staticmethod(lambda force=False: None))
    monkeypatch.setattr(fim_lines, "not_run", lambda: "functional tests: not run (none here)")
    data, summary, _ = run(FimLines([INFILLING]), ["", "    total = price * count + tax\n    return total", "", "", ""])
    assert data.config["notes"] == ["functional tests: not run (none here)"]
    assert [result.scores["exact"] for result in data.results] == [0, 1, 0, 0, 0]
    assert "passed" not in summary.overall.metrics


def test_santacoders_lines_in_three_languages(run: Run) -> None:
    data, summary, _ = run(
        FimLines([SANTACODER]), ["    total = price * count + tax", "  return 0;\n", "        return total + tax;\n"]
    )
    means = {row.language: row.metrics["exact"] for row in summary.by_language}
    assert {language: mean and mean.mean for language, mean in means.items()} == {
        "python": 1,
        "javascript": 0,
        "java": 1,
    }
    assert data.config["notes"] == []


def test_the_thirteen_scenarios(run: Run) -> None:
    files = [DATA / f"aiXcoder_extended_{name}.jsonl" for name in ("python", "java")]
    wanted = [sample.wanted for sample in AixFim(files).load(0, 0).samples]
    # all as they were, but one sign in python/3, and one word too much where nothing was wanted
    wanted[3] = "total = price * count - tax"
    wanted[4] = "pass"
    _, summary, prompts = run(AixFim(files), wanted)
    by_both = {(row.language, row.scenario): row.metrics for row in summary.by_both}
    line = by_both["python", "single line"]
    # 6 of 7, 4 of 6, 3 of 5 and 2 of 4 n-grams; as many weighted ones; trees and data flow are the same
    ngrams = 100 * (6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** (1 / 4)
    expected = {"exact": 0, "bleu4": ngrams, "codebleu": (2 * ngrams + 200) / 4, "length_ratio": 1}
    assert {name: mean and mean.mean for name, mean in line.items()} == pytest.approx(expected)
    empty = by_both["python", "empty"]
    assert (empty["exact"] and empty["exact"].mean, empty["length_ratio"]) == (0, None)
    overall = summary.overall.metrics["exact"]
    assert overall is not None
    assert overall.mean == 6 / 8
    assert prompts[0].format in ("psm", "spm")


def test_the_command_asks_the_embedded_model_and_reports(environment: dict[str, str], tmp_path: Path) -> None:
    lines = SANTACODER.read_text(encoding="utf-8").splitlines()
    data = tmp_path / "santacoder.jsonl"
    data.write_text("\n".join([lines[0], "no JSON", *lines[1:]]), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "aix_lsp",
        "eval",
        "fim-lines",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        [*command, "--threads", "1", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "santacoder.jsonl, line 2: no JSON object; passed over" in done.stderr
    assert "1 passed over, 3 samples left" in done.stderr
    told = json.loads(done.stdout)
    assert [row["language"] for row in told["by_language"]] == ["python", "javascript", "java"]
    assert told["run"]["notes"] == []
    results = read_run(tmp_path / "out").results
    assert all(not result.output.error and "\n" not in result.output.text for result in results)
    assert "santacoder" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_embedded_model_fills_in_a_scenario_of_each_language(tmp_path: Path) -> None:
    # as it ends by itself most
    asked = Asked(threads=1, limit=4, format="psm", copy_prior="off")
    data = answered(AixFim([DATA]), asked, out=tmp_path / "out")
    assert {result.sample.language for result in data.results} == {"java", "cpp", "javascript", "python"}
    assert all(not result.output.error and result.scores["codebleu"] is not None for result in data.results)
