"""`aix-lsp eval compare` and wrong calls of the published benchmarks: what the command line says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aix_lsp.evaluation.benchmark import Output, Result, Sample
from aix_lsp.evaluation.run_folder import opened
from tests.e2e.in_process import Call

METRICS = [
    {"name": "exact", "title": "exact match", "unit": "percent", "better": "higher"},
    {"name": "length", "title": "length", "unit": "characters", "better": ""},
]


def written(folder: Path, rights: int, *, benchmark: str = "tiny", count: int = 40) -> Path:
    """A run in which the first `rights` of `count` answers are right."""
    config = {"benchmark": benchmark, "seed": 0, "metrics": METRICS}
    with opened(folder, config) as run:
        for number in range(count):
            sample = Sample(f"tiny/{number}", "python", "line", "shop.py", "", "", "[bold]right")
            text = "[bold]right" if number < rights else "wrong"
            scores = {"exact": float(number < rights), "length": float(len(text))}
            run.add(number, Result(sample, Output((text,), "stop", 3, 20, 12.5), scores))
    return folder


def test_a_planted_difference_is_found_and_the_flipped_samples_are_named(call: Call, tmp_path: Path) -> None:
    first, second = written(tmp_path / "a", 10), written(tmp_path / "b", 30)
    done = call("eval", "compare", first, second)
    assert done.returncode == 0, done.stderr
    for words in ("exact match", "25.0 %", "75.0 %", "+50.0 pp", "better", "20 became right, 0 wrong", "tiny/10"):
        assert words in done.stdout
    assert "[bold]right" in done.stdout
    done = call("eval", "compare", first, second, "--json")
    found = json.loads(done.stdout)
    assert found["overall"]["changes"][0]["verdict"] == "better"
    assert len(found["flips"]) == 20


def test_equal_runs_show_no_difference(call: Call, tmp_path: Path) -> None:
    done = call("eval", "compare", written(tmp_path / "a", 10), written(tmp_path / "b", 10, count=42))
    assert done.returncode == 0, done.stderr
    assert "no difference seen" in done.stdout
    assert "became right" not in done.stdout
    assert "2 samples are in the second run only, and not compared." in done.stdout


def test_what_cannot_be_compared_is_one_line(call: Call, tmp_path: Path) -> None:
    run = written(tmp_path / "a", 1)
    (tmp_path / "empty").mkdir()
    other = written(tmp_path / "b", 1, benchmark="another")
    for folder, words, code in (
        (tmp_path / "none", "is no folder", 2),
        (tmp_path / "empty", "has no run.json", 1),
        (other, "the runs are of two benchmarks (tiny and another)", 2),
    ):
        done = call("eval", "compare", run, folder)
        assert done.returncode == code
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert words in line


def test_a_report_that_cannot_be_written_is_told_before_anything_is_compared(call: Call, tmp_path: Path) -> None:
    run = written(tmp_path / "a", 1)
    for out in (tmp_path, tmp_path / "none" / "compared.html"):
        done = call("eval", "compare", run, run, "--out", out)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.endswith(f"not {out}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fim-lines", "--data", "x", "--engine", "cloud"), "--engine takes local, remote, not 'cloud'"),
        (("fim-lines", "--data", "x", "--format", "fim"), "--format takes auto, psm, spm, l2r, not 'fim'"),
        (("nl2code", "--data", "x", "--copy-prior", "on"), "--copy-prior takes auto, off, not 'on'"),
        (("nl2code", "--data", "x", "--samples", "5"), "--samples above 1 wants a --temperature"),
        (("crosscodeeval", "--data", "x", "--setting", "all"), "--setting takes none, bm25, reference or own"),
        (("aix-fim", "--data", "x", "--repository", "y"), "or --repository DIR, a checkout of your own: not both"),
    ],
)
def test_a_wrong_call_is_one_line(call: Call, words: tuple[str, ...], told: str) -> None:
    done = call("eval", *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert told in line


@pytest.mark.parametrize("benchmark", ["fim-lines", "aix-fim", "crosscodeeval", "nl2code"])
def test_without_data_one_line_says_where_it_is_to_be_had(call: Call, benchmark: str) -> None:
    done = call("eval", benchmark)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{benchmark} needs data; get " in line
    assert "https://" in line
