"""A benchmark's run as a process: answers, an interruption, going on, and who may write to its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.cli import eval_benchmark
from aix_lsp.cli.eval_benchmark import answered
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.benchmark import Loaded
from aix_lsp.evaluation.run_folder import FolderError, RunData, read_run
from tests.e2e.tiny_benchmark import TinyBenchmark

ROOT = Path(__file__).parents[2]


def process(environment: dict[str, str], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.e2e.tiny_benchmark", str(folder), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def told(data: RunData) -> list[tuple[Any, ...]]:
    """What has to be the same in two runs: all but times."""
    return [
        (result.sample.id, result.output.texts, result.output.finish, result.output.tokens, dict(result.scores))
        for result in data.results
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing came in the way of."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    answered(TinyBenchmark(), Asked(threads=1), out=folder)
    return folder


def test_every_sample_has_its_line(whole: Path) -> None:
    data = read_run(whole)
    assert [result.sample.id for result in data.results] == [f"tiny/{number}" for number in range(10)]
    assert all(result.output.texts and not result.output.error for result in data.results)
    assert all("\n" not in result.output.text for result in data.results)
    assert all(result.output.tokens > 0 and result.output.milliseconds > 0 for result in data.results)
    first = data.results[0]
    assert first.scores == {"exact": float(first.output.text.rstrip() == " height"), "length": len(first.output.text)}
    assert (data.config["benchmark"], data.config["model"], data.config["samples"]) == ("tiny", "aix-mini", 10)
    assert data.config["answered_by"]["device"] == "cpu"
    assert not (whole / "run.lock").exists()


def test_an_interrupted_run_goes_on_with_equal_results(
    environment: dict[str, str], tmp_path: Path, whole: Path
) -> None:
    folder = tmp_path / "out"
    done = process(environment, folder, "--interrupt")
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    kept = len((folder / "results.jsonl").read_text().splitlines())
    assert f"{folder} keeps {kept} of 10 answers, and the same command goes on from there" in done.stderr
    assert 4 <= kept < 10
    assert "aix-lsp: line 3 of tiny.jsonl is no JSON\naix-lsp: 1 passed over, 10 samples left\n" in done.stderr
    again = process(environment, folder)
    assert again.returncode == 0, again.stderr
    assert f"has the answers to {kept} of 10 samples, goes on" in again.stderr
    assert len((folder / "results.jsonl").read_text().splitlines()) == 10
    assert told(read_run(folder)) == told(read_run(whole))


def test_two_processes_cannot_write_to_one_folder(environment: dict[str, str], tmp_path: Path) -> None:
    done = process(environment, tmp_path / "out", "--second")
    assert done.returncode == 0, done.stderr
    assert "second: 1: " in done.stderr
    assert "is written to by another process" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_run(tmp_path / "out").results) == 10


def test_a_finished_run_is_not_asked_again(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (whole / "results.jsonl").read_bytes()
    data = answered(TinyBenchmark(), Asked(threads=1), out=whole)
    assert told(data) == told(read_run(whole))
    assert (whole / "results.jsonl").read_bytes() == before
    assert "has the answers to 10 of 10 samples\n" in capsys.readouterr().err


def test_another_configuration_is_refused_in_one_line(whole: Path) -> None:
    for asked, words in (
        (Asked(threads=1, seed=1), "its seed: 0, now 1"),
        (Asked(threads=1, format="l2r"), 'its format: "auto", now "l2r"'),
        (Asked(threads=1, limit=4), "its limit: 0, now 4"),
    ):
        with pytest.raises(FolderError, match="has another run") as caught:
            answered(TinyBenchmark(), asked, out=whole)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_torn_last_line_is_asked_again(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    folder.mkdir()
    for name in ("run.json", "results.jsonl"):
        (folder / name).write_bytes((whole / name).read_bytes())
    content = (folder / "results.jsonl").read_bytes()
    (folder / "results.jsonl").write_bytes(content[:-40])
    assert len(read_run(folder).results) == 9
    data = answered(TinyBenchmark(), Asked(threads=1), out=folder)
    assert told(data) == told(read_run(whole)) == told(read_run(folder))
    assert all(json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines())


def test_the_same_run_gives_the_same_results(whole: Path) -> None:
    # in memory, and in one process with another model's caches gone
    assert told(answered(TinyBenchmark(), Asked(threads=1), out=None)) == told(read_run(whole))


def test_without_a_folder_an_interruption_says_what_would_have_kept_the_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def at_half() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit) as ended:
        answered(TinyBenchmark(at_half=at_half), Asked(threads=1), out=None)
    assert ended.value.code == 130
    assert "answers are lost: give --out DIR to keep them and go on later" in capsys.readouterr().err


class Crowded(TinyBenchmark):
    """Asks for more tokens than the model has positions."""

    def load(self, limit: int, seed: int) -> Loaded:
        """See `Benchmark.load`."""
        return Loaded([replace(sample, max_new_tokens=5000) for sample in super().load(2, seed).samples])


def test_a_run_without_any_answer_fails_with_the_first_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(eval_benchmark, "show", lambda data, out, as_json: None)
    with pytest.raises(ValueError, match="no sample was answered: the prompt could not be built: ValueError at "):
        eval_benchmark.run(Crowded, Asked(threads=1), out=tmp_path / "out", as_json=False)
    told_ = capsys.readouterr().err
    assert "2 of 2 samples have no answer (the prompt could not be built" in told_
    assert "; the same command asks them again" in told_
    assert read_run(tmp_path / "out").results[0].scores == {}
