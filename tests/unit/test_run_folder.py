"""The folder of a run: what is kept, what is refused, and that nothing in it is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.evaluation.benchmark import Output, Result, Sample
from aix_lsp.evaluation.run_folder import FolderError, opened, read_run

CONFIG: dict[str, Any] = {"benchmark": "tiny", "seed": 0, "metrics": [{"name": "exact"}], "limit": 5}


def config(**changes: Any) -> dict[str, Any]:
    return {**CONFIG, **changes}


def result(id_: str, text: str = "a", error: str = "", **scores: float | None) -> Result:
    sample = Sample(id_, "python", "line", "shop.py", "", "", "wanted", stop="line")
    texts = () if error else (text,)
    return Result(sample, Output(texts, "end", 3, 20, 12.5, 2.25, error), scores)


def test_what_was_added_is_there_for_whoever_reads(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    with opened(folder, config()) as run:
        run.add(1, result("two", "é\ud800 \U0001f40d", exact=None))
        run.add(0, result("one", exact=1.0))
        run.tell(answered_by={"name": "mini"})
        assert (folder / "run.lock").exists()
        assert [each.sample.id for each in read_run(folder).results] == ["one", "two"]
    found = read_run(folder)
    assert found.config.pop("started")
    assert found.config == config(answered_by={"name": "mini"})
    assert [each.sample.id for each in found.results] == ["one", "two"]
    one, two = found.results
    assert one.output == result("one").output
    assert one.sample.wanted == "wanted"
    assert two.output.text == "é\ud800 \U0001f40d"
    assert two.scores == {"exact": None}
    assert not (folder / "run.lock").exists()


def test_errors_are_kept_and_asked_again(tmp_path: Path) -> None:
    with opened(tmp_path / "run", config()) as run:
        run.add(0, result("one", error="no room"))
        run.add(1, result("two"))
        assert run.done == {"two"}
    with opened(tmp_path / "run", config()) as run:
        assert run.done == {"two"}
        run.add(0, result("one"))
        assert run.done == {"one", "two"}
    assert [each.output.error for each in read_run(tmp_path / "run").results] == ["", ""]


@given(kept=st.integers(0, 900))
def test_wherever_the_file_is_torn_whole_lines_stay(kept: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("torn") / "run"
    with opened(folder, config()) as run:
        for number in range(3):
            run.add(number, result(str(number)))
    path = folder / "results.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    lines = content[:kept].count(b"\n")
    assert len(read_run(folder).results) == lines
    with opened(folder, config()) as run:
        assert run.done == {str(number) for number in range(lines)}
        for number in range(3):
            run.add(number, result(str(number)))
    assert len(read_run(folder).results) == 3


def test_another_configuration_is_refused_with_what_differs(tmp_path: Path) -> None:
    with opened(tmp_path / "run", config(notes=["no sandbox"])):
        pass
    with pytest.raises(FolderError, match=r"run has another run \(its seed: 0, now 7\); give another --out"):
        opened(tmp_path / "run", config(seed=7)).__enter__()
    with pytest.raises(FolderError, match='its model_asked: null, now "mini"'):
        opened(tmp_path / "run", config(model_asked="mini")).__enter__()
    # what is only told may differ, and what was told stays
    with opened(tmp_path / "run", config(notes=["slow"], model="asked")) as run:
        assert run.config["notes"] == ["no sandbox", "slow"]
        run.tell(model="answered", answered_by={"name": "answered"})
    with opened(tmp_path / "run", config(notes=[], model="asked")) as run:
        assert (run.config["model"], run.config["answered_by"]) == ("answered", {"name": "answered"})


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FolderError, match=r"has other files \(thesis.tex\)"):
        opened(tmp_path, config()).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(FolderError, match="is no folder"):
        opened(tmp_path / "thesis.tex", config()).__enter__()


def test_what_is_no_run_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"has no run.json"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(FolderError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(FolderError, match="not of the form"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(config()))
    assert read_run(tmp_path).results == []
    for line in ("nonsense", "{}", "[]", '{"id": "a"}'):
        (tmp_path / "results.jsonl").write_text(line + "\n")
        with pytest.raises(FolderError, match="line 1 is no result"):
            read_run(tmp_path)


HOLDER = """
import sys
from pathlib import Path
from aix_lsp.evaluation.run_folder import opened
with opened(Path(sys.argv[1]), {"benchmark": "tiny", "seed": 0, "metrics": [{"name": "exact"}], "limit": 5}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_and_a_dead_one_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match=rf"written to by another process \({holder.pid}\); wait for its end"):
            opened(folder, config()).__enter__()
        assert (folder / "run.lock").exists()
        assert read_run(folder).results == []  # reading is for everybody
        holder.kill()
        holder.wait()
    # its lock is still there, and nobody's
    assert (folder / "run.lock").exists()
    with opened(folder, config()) as run:
        run.add(0, result("one"))
        assert (folder / "run.lock").read_text().strip() == str(os.getpid())
    assert not (folder / "run.lock").exists()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"cannot be written to \(.*\); give --out a folder that can"):
        opened(tmp_path / "file" / "run", config()).__enter__()
