"""The benchmark of offers that fit runs, on as little as it can, and prints what its readers look for."""

from __future__ import annotations

import importlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "fixtures" / "sources"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["fit", *map(str, arguments)])
    importlib.import_module("fit").main()
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_every_language_is_told_with_and_without_post_processing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(
        monkeypatch,
        capsys,
        *("--scripted", "--places", 12, "--seed", 3, "--show", 1),
        *(SOURCES / "readings.py", SOURCES / "mood.ts", SOURCES / "Ledger.java", SOURCES / "limiter.go"),
    )
    assert found.pop("seed") == 3
    assert set(found) == {"python", "typescript", "java", "go"}
    for figures in found.values():
        assert figures["places"] == sum(figures["kinds"].values()) == 12
        shares = {"offers", "parses", "no_new_error", "balanced", "never_fewer_pairs", "doubled", "indented", "exact"}
        assert set(figures["with"]) == set(figures["without"]) == shares
        assert figures["with"]["doubled"] == 0
        assert set(figures["fit_ms"]) == {"first", "again"}
        assert isinstance(figures["rules"], dict)


def test_the_same_seed_draws_the_same_places_and_faults() -> None:
    places = importlib.import_module("fit_places")
    files = [SOURCES / "limiter.go", SOURCES / "Ledger.java"]
    drawn = list(places.draw(files, 20, 5))
    assert drawn == list(places.draw(files, 20, 5))
    for hole in drawn:
        text = (SOURCES / hole.name).read_text(encoding="utf-8")
        assert (hole.before + hole.wanted + hole.after).replace("\r\n", "\n") == text
    told = [places.with_faults(hole, random.Random(7)) for hole in drawn]
    assert told == [places.with_faults(hole, random.Random(7)) for hole in drawn]
    assert {name for _, names in told for name in names} <= set(places.FAULTS)


def test_what_a_model_said_is_kept_and_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keep = tmp_path / "said.jsonl"
    options = ("--language", "python", "--places", 1, "--keep", keep, SOURCES / "readings.py")
    first = run(monkeypatch, capsys, *options)
    said = keep.read_text(encoding="utf-8")
    again = run(monkeypatch, capsys, *options)
    assert len(said.splitlines()) == 1
    assert keep.read_text(encoding="utf-8") == said
    assert first["python"]["with"] == again["python"]["with"]


def test_a_file_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, tmp_path / "none.py")
    assert "none.py is no file" in capsys.readouterr().err
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="hardly a place"):
        run(monkeypatch, capsys, "--scripted", "--places", 3, empty)
