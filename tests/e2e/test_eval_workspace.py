"""`aix-lsp eval workspace` on a small project with the embedded model, through the whole service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aix_lsp.cli.app import app
from aix_lsp.engine.calibration import read_calibration
from aix_lsp.engine.catalog import embedded
from aix_lsp.evaluation.run_folder import opened, read_run
from tests.e2e.browser import FOUND, MISSING, browser
from tests.unit.test_evaluation_workspace import SHELF, written

FINISHES = {"offered", "shortened by the gate", "held back by the gate", "nothing to add"}


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["eval", "workspace", *arguments, "--threads", "1"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {f"shop/part{number}.py": f"{SHELF}\n\nlast = {number}\n" for number in range(2)}
    return written(tmp_path_factory.mktemp("project") / "shop", texts)


@pytest.fixture(scope="module")
def out(project: Path) -> Path:
    """The folder of a run inside of the project, as people do."""
    folder = project / "results"
    done = command(str(project), "--limit", "3", "--out", str(folder))
    assert done.exit_code == 0, (done.output, done.exception)
    assert "3 of 3" in done.stderr
    assert "exact match" in done.stdout
    assert "aix-mini without retrieval, compared with aix-mini" in done.stdout
    return folder


def test_both_ways_have_their_folders_and_reports(out: Path) -> None:
    calibration = read_calibration(Path(str(embedded().source)))
    assert calibration is not None
    for folder in (out, out / "aix-mini-without-retrieval"):
        data = read_run(folder)
        assert [result.sample.scenario for result in data.results].count("block") == 1
        assert all(result.output.milliseconds > 0 and not result.output.error for result in data.results)
        assert {result.output.finish for result in data.results} <= FINISHES
        assert data.config["uses"] == "the whole service"
        assert data.config["answered_by"]["threshold"] == pytest.approx(calibration.threshold)
        assert json.loads((folder / "summary.json").read_text())["overall"]["samples"] == 3
        assert (folder / "report.html").stat().st_size
    assert (out / "compared-aix-mini-without-retrieval.html").stat().st_size
    assert read_run(out).config["retrieval"] == "with"


def test_what_the_gate_held_back_is_kept_beside_what_was_offered(out: Path) -> None:
    for result in read_run(out).results:
        held = result.output.finish in ("held back by the gate", "shortened by the gate")
        assert len(result.output.texts) == (2 if held else 1)
        assert bool(result.output.text.strip()) == (
            result.output.finish not in ("held back by the gate", "nothing to add")
        )


def test_a_finished_run_is_shown_without_asking_again(project: Path, out: Path) -> None:
    before = (out / "results.jsonl").read_bytes()
    again = command(str(project), "--limit", "3", "--out", str(out), "--json")
    assert again.exit_code == 0, (again.output, again.exception)
    assert (out / "results.jsonl").read_bytes() == before
    assert "has the answers to 3 of 3 places" in again.stderr
    told = json.loads(again.stdout)
    assert [run["label"] for run in told["runs"]] == ["aix-mini", "aix-mini without retrieval"]
    assert [(each["first"], each["second"]) for each in told["comparisons"]] == [
        ("aix-mini", "aix-mini without retrieval")
    ]


def test_an_interrupted_run_goes_on_where_it_stopped(project: Path, out: Path) -> None:
    whole = read_run(out)
    lines = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(lines[0] + lines[1][:40])
    again = command(str(project), "--limit", "3", "--out", str(out))
    assert again.exit_code == 0, (again.output, again.exception)
    assert "has the answers to 1 of 3 places, goes on" in again.stderr
    results = read_run(out).results
    assert [result.sample.id for result in results] == [result.sample.id for result in whole.results]
    assert results[0].output == whole.results[0].output  # with its times: it was not asked again


@pytest.mark.skipif(FOUND is None, reason=MISSING)
def test_the_reports_open_in_a_browser_and_need_nothing_else(out: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as tab:
        for page in (out / "report.html", out / "compared-aix-mini-without-retrieval.html"):
            tab.open(page)
            assert tab.requested() == [page.as_uri()]
            assert tab.complaints() == []
            seen = tab.value("document.body.innerText")
            for words in ("the whole service", "exact match", "correct characters", "aix-mini"):
                assert words in seen
            assert tab.value("document.documentElement.scrollWidth") == 1200


def test_another_run_into_the_folder_is_refused(project: Path, out: Path) -> None:
    refused = command(str(project), "--limit", "3", "--seed", "1", "--out", str(out))
    assert refused.exit_code
    assert "has another run" in str(refused.exception)


def test_a_run_into_a_folder_that_is_written_to_is_refused(project: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "out", {"benchmark": "other"}):
        refused = command(str(project), "--limit", "3", "--out", str(tmp_path / "out"))
    assert "is written to by another process" in str(refused.exception)


def test_without_a_folder_the_reports_lie_in_the_users_cache(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *names, **options: tmp_path)
    done = command(str(project), "--limit", "1", "--retrieval", "without", "--no-gate", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    (folder,) = (tmp_path / "eval").iterdir()
    assert f"{folder / 'report.html'} has the report" in done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["run"]["gate"], run["run"]["retrieval"]) == ("off", "without")
    assert run["finish"].keys() <= {"offered", "nothing to add"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["{project}", "{project}/shop"], "its places would be drawn twice"),
        (["{project}", "--languages", "klingon"], "unknown: klingon"),
        (["{project}", "--retrieval", "perhaps"], "--retrieval takes with, without or both"),
        (["{project}", "--model", "nobody"], "there is no model 'nobody'"),
        (["{project}", "--model", "aix-mini", "--model", "aix-mini"], "given twice"),
        (["{project}", "--adapter", "{project}"], "is no adapter"),
        (["{project}", "--out", "{project}"], "is the project itself"),
        (["{project}", "--out", "{project}/shop"], "has other files"),
        (["{project}", "--languages", "rust"], "no code in rust to take a place from"),
        (["{project}", "--fit", "a.json", "--tests"], "--confidence and --fit go without --tests"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(project: Path, arguments: list[str], line: str) -> None:
    refused = command(*(argument.format(project=project) for argument in arguments))
    assert refused.exit_code
    told = f"{refused.output}{refused.exception}"
    assert line in told
    assert "Traceback" not in told
