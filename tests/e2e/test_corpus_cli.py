"""`aix-lsp corpus` from folders to a corpus: what is kept, going on after a kill, and wrong calls in one line."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from aix_lsp.cli.corpus import run_build, run_show
from aix_lsp.cli.failure import UsageError
from aix_lsp.engine.catalog import embedded
from aix_lsp.training.corpus.build import build
from aix_lsp.training.corpus.cleaning import Options
from aix_lsp.training.corpus.sequences import Tokens
from aix_lsp.training.corpus.store import STATE, Corpus, CorpusError

SOURCES = Path(__file__).parents[1] / "fixtures" / "corpus"
RISKY = "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n"
BROKEN = "def f(:\n    return 1\n\n\nclass A\n    pass\n"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aix_lsp", "corpus", *arguments]


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The bundled projects, and two files beside them that no project of this repository may hold."""
    folder = tmp_path / "sources"
    shutil.copytree(SOURCES, folder)
    (folder / "orchard/orchard/risky.py").write_text(RISKY)
    (folder / "orchard/orchard/broken.py").write_text(BROKEN)
    return folder


def test_projects_become_a_corpus(environment: dict[str, str], sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenizer = ("--tokenizer", embedded().source, "--sequence", "128", "--memory", "256")
    done = run(
        environment, "build", str(sources), "--out", str(out), "--jobs", "1", "--seed", "3", *tokenizer, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["projects"]["licences"] == {"BSD-2-Clause": 1, "MIT": 1}
    assert [one["project"] for one in report["projects"]["dropped"]] == ["copyhall"]
    steps = report["steps"]
    assert steps["files"]["reasons"] == {"generated": 1}
    assert steps["near duplicates"]["files_dropped"] == 1
    assert steps["syntax"]["files_dropped"] == 1
    assert steps["analysis"]["files_dropped"] == 1
    assert report["redactions"] == {"email": 1, "key": 1}
    assert report["comment_blocks"] == 1
    for before, after in zip(list(steps.values())[:-1], list(steps.values())[1:], strict=True):
        assert (before["files_kept"], before["characters_kept"]) == (after["files_in"], after["characters_in"])

    corpus = Corpus.open(out)
    files = list(corpus.files())
    assert len(files) == report["files"] == steps["analysis"]["files_kept"]
    assert sum(len(file.text) for file in files) == report["characters"]
    paths = {f"{file.project}/{file.path}" for file in files}
    assert "tideline/web/gauge.ts" in paths
    assert not any(path.endswith(("schema_pb2.py", "risky.py", "broken.py")) for path in paths)
    text = "".join(file.text for file in files)
    assert "hollenstein" not in text
    assert "9f3c7e1ab2d8" not in text
    assert "seasonal_naive" not in text
    for name in ("corpus.json", "report.json", "tokens/tokens.json"):
        assert str(tmp_path) not in (out / name).read_text()

    tokens = Tokens.open(out)
    assert tokens.projects == [entry.name for entry in corpus.projects]
    for name in tokens.projects:
        sequences = tokens.sequences(name)
        assert sequences[-1].end == len(tokens.ids(name))
        assert all(one.start - one.memory_start == min(one.start, 256) for one in sequences)

    shown = run(environment, "show", str(out))
    assert shown.returncode == 0, shown.stderr
    assert "near duplicate" in shown.stdout
    assert "BSD-2-Clause 1, MIT 1" in shown.stdout


def many_projects(folder: Path) -> Path:
    """A dozen small projects; each holds a file of the one before it, to be remembered."""
    parts = sorted((SOURCES / "tideline/tideline").glob("*.py"))
    for number in range(12):
        project = folder / f"project{number:02d}"
        project.mkdir(parents=True)
        shutil.copy(SOURCES / "orchard/LICENSE", project)
        for copied in (parts[number % len(parts)], parts[(number + 1) % len(parts)]):
            shutil.copy(copied, project)
        for own in range(3):
            lines = [
                f"def step_{number}_{own}_{i}(value_{i}):\n    return value_{i} * {number + i}\n" for i in range(8)
            ]
            (project / f"own_{own}.py").write_text("\n\n".join(lines))
    return folder


def test_a_killed_build_goes_on_and_gives_the_same_corpus(environment: dict[str, str], tmp_path: Path) -> None:
    projects = many_projects(tmp_path / "projects")
    out, whole = tmp_path / "out", tmp_path / "whole"
    options = Options(seed=5)
    report = build([projects], whole, options, jobs=1)
    assert report["steps"]["near duplicates"]["files_dropped"] >= 8

    arguments = command("build", str(projects), "--out", str(out), "--seed", "5", "--jobs", "2")
    process = psutil.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    state = out / STATE
    deadline = time.monotonic() + 120
    while not state.is_file() or state.read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    workers = process.children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive

    with pytest.raises(CorpusError, match="interrupted build"):
        Corpus.open(out)
    with pytest.raises(CorpusError, match="other sources or options"):
        build([projects], out, Options(seed=6), jobs=1)
    with state.open("ab") as file:
        file.write(b'{"entry": {"name": "proj')  # a line that was cut off
    first = out / "files" / "project00.jsonl.gz"
    written = first.stat().st_mtime_ns
    seen: list[Any] = []
    assert build([projects], out, options, jobs=1, progress=seen.append) == report
    assert first.stat().st_mtime_ns == written
    assert [at.project for at in seen] == [f"project{number:02d}" for number in range(12)]
    assert contents(out) == contents(whole)


def test_a_whole_corpus_is_left_as_it_is(sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    build([sources], out, Options(analysis=False), jobs=1)
    before = contents(out)
    build([sources], out, Options(analysis=False), jobs=1)
    assert contents(out) == before
    with pytest.raises(CorpusError, match="already holds a corpus"):
        build([sources], out, Options(analysis=False, seed=1), jobs=1)
    run_show(folder=out, as_json=True)
    assert json.loads(capsys.readouterr().out)["files"] == 39


def test_options_choose_languages_and_tests(sources: Path, tmp_path: Path) -> None:
    build([sources], tmp_path / "web", Options(languages=("javascript", "typescript"), analysis=False), jobs=1)
    assert {file.language for file in Corpus.open(tmp_path / "web").files()} == {"javascript", "typescript"}
    build([sources], tmp_path / "plain", Options(tests_share=0.0, analysis=False), jobs=1)
    assert not any(file.path.startswith("tests/") for file in Corpus.open(tmp_path / "plain").files())


CALL: dict[str, Any] = {
    **dict.fromkeys(
        ("stars", "tests_share", "characters", "languages", "jobs", "rules", "tokenizer", "sequence", "memory")
    ),
    "allow_unknown": False,
    "seed": 0,
    "analysis": True,
    "as_json": False,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": ["none"]}, "none is no folder"),
        ({"memory": 5}, "need --tokenizer"),
        ({"languages": "cobol"}, "cobol is none of"),
        ({"stars": Path("stars.json")}, "cannot be read"),
        ({"tokenizer": Path("empty")}, "holds no tokenizer"),
        ({"rules": Path("rules.toml")}, r"rules\.toml"),
        ({"sources": ["copyleft"]}, "no project is left to learn from: copyhall"),
        ({"sources": ["empty"]}, "no project is left"),
        ({"out": "taken"}, "is not empty and holds no corpus"),
    ],
)
def test_wrong_calls_are_one_line_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/letter.txt").write_text("Dear reader\n")
    shutil.copytree(SOURCES / "copyhall", tmp_path / "copyleft")
    sources = [Path(source) for source in changes.get("sources", [str(SOURCES / "orchard")])]
    call = {**CALL, **changes, "sources": sources, "out": Path(changes.get("out", "out"))}
    with pytest.raises(UsageError, match=words) as caught:
        run_build(**call)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["letter.txt"]


def test_a_build_that_cannot_write_ends_in_one_line(environment: dict[str, str], sources: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(environment, "build", str(sources), "--out", str(tmp_path / "file" / "out"), "--jobs", "1")
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("aix-lsp: ")


def test_shards_are_lines_of_json(sources: Path, tmp_path: Path) -> None:
    build([sources / "tideline"], tmp_path / "out", Options(analysis=False), jobs=1)
    lines = gzip.decompress((tmp_path / "out/files/tideline.jsonl.gz").read_bytes()).decode().splitlines()
    assert {tuple(json.loads(line)) for line in lines} == {("project", "path", "language", "text")}
