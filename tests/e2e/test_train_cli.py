"""`aix-lsp train` as a user runs it: a workspace in, an adapter out that knows the workspace's idioms."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest

from aix_lsp.engine.catalog import described, embedded
from aix_lsp.engine.loading import Loaded, load_model
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.data import Source, documents, split
from aix_lsp.types import DocumentSnapshot, ModelInfo
from tests.e2e.conftest import StartServer, status
from tests.e2e.in_process import Call

IDIOMS = Path(__file__).parents[1] / "fixtures" / "idioms"
HELD_OUT = 0.25
MARGIN = 0.15
"""How much larger the tuned model's share of exact rests must be; measured at these 33 places: 12% -> 42%."""

SMALL = ("--sequence", "256", "--batch", "1", "--accumulate", "1")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "aix_lsp", "train", *map(str, arguments)]


def run(
    environment: dict[str, str], *arguments: str | Path, limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        preexec_fn=limit,
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's adapter for the idioms, from the command that a user would type."""
    folder = tmp_path_factory.mktemp("tuned")
    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "OMP_NUM_THREADS": "2"}
    out = folder / "house"
    done = run(
        home,
        *("--workspace", IDIOMS, "--model", "aix-mini", "--out", out),
        *("--held-out", str(HELD_OUT), "--steps", "24", "--accumulate", "1", "--sequence", "512"),
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"step 24, loss [\d.]+, [\d,]+ tokens/s, 0:00 left", done.stderr)
    assert "is ready: aix-lsp serve --adapter" in done.stdout
    return out


def rests_of_lines(file: SourceFile, count: int) -> Iterator[tuple[int, str]]:
    """Places inside lines with what follows up to the line's end."""
    draw = random.Random(file.path)
    found = []
    start = 0
    for line in file.text.splitlines(keepends=True):
        body = line.rstrip()
        cuts = [match.end() for match in re.finditer(r"\w+|[^\w\s]", body) if match.end() < len(body) - 3]
        if len(body.strip()) >= 8 and cuts:
            cut = draw.choice(cuts)
            found.append((start + cut, body[cut:]))
        start += len(line)
    yield from draw.sample(found, min(count, len(found)))


def exact(loaded: Loaded, files: Sequence[SourceFile]) -> float:
    """Share of rests of lines that the model writes exactly, in its own prompt format, from its file alone."""
    entry = described(embedded(), loaded.folder)
    info = ModelInfo(entry.name, loaded.max_positions, format=entry.format)
    hits = total = 0
    for file in files:
        for offset, wanted in rests_of_lines(file, 8):
            text = file.text[:offset] + file.text[offset + len(wanted) :]
            document = DocumentSnapshot(f"file:///{file.path}", text, "python", 0, file.path)
            prompt = build_prompt(loaded.tokenizer, info, document, offset, (), PromptSettings(), 48)
            ids: list[int] = []
            answer = ""
            for token in islice(loaded.decoder.generate(prompt.ids, required=prompt.required), 40):
                ids.append(token)
                answer = loaded.tokenizer.decode(ids)[len(prompt.required) :]
                if "\n" in answer or not wanted.startswith(answer.rstrip()):
                    # at the line's end, or exact no more
                    break
            hits += answer.split("\n")[0].rstrip() == wanted
            total += 1
    assert total >= 30
    return hits / total


def test_the_tuned_model_completes_idioms_in_files_that_it_never_saw(tuned: Path) -> None:
    _, held_out = split(documents(Source(workspace=IDIOMS)), HELD_OUT)
    before = exact(load_model(embedded().source, device="cpu", threads=1), held_out)
    after = exact(load_model(embedded().source, device="cpu", threads=1, adapter=tuned), held_out)
    assert after >= before + MARGIN, f"{before:.0%} -> {after:.0%}"


def test_weights_card_and_picture_lie_in_the_folder_and_tell_nothing_of_the_machine(tuned: Path) -> None:
    names = {"README.md", "adapter_config.json", "adapter_model.safetensors", "aix.json", "loss.png"}
    assert {path.name for path in tuned.iterdir()} == names
    assert not tuned.with_name("house.unfinished").exists()
    assert (tuned / "loss.png").read_bytes().startswith(b"\x89PNG")
    card = (tuned / "README.md").read_text()
    assert "base_model: aix-mini" in card
    assert "| python | 9 | 5 |" in card
    assert "| rest of an answer, suffix-prefix-middle |" in card
    for path in tuned.iterdir():
        content = path.read_bytes()
        assert str(IDIOMS).encode() not in content
        assert str(tuned.parent).encode() not in content
        assert b"groat" not in content.lower()


async def test_the_server_serves_the_adapter_and_doctor_names_it(start: StartServer, call: Call, tuned: Path) -> None:
    client = await start([IDIOMS], arguments=["--adapter", str(tuned)])
    assert client is not None
    assert (await status(client))["model"] == "aix-mini+house"
    done = call("doctor", "--json", "--set", f"model.adapter={tuned}")
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert findings["model"]["detail"].startswith("aix-mini+house: ")


def test_the_adapter_is_measured_beside_its_model(call: Call, tuned: Path, tmp_path: Path) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    text = "".join(path.read_text() for path in sorted(IDIOMS.rglob("*.py")))
    (project / "all.py").write_text(text[:6_000])
    done = call(
        *("eval", "infilling", project, "--adapter", tuned, "--places", "2", "--cases", "0", "--loss-kb", "4"),
        *("--formats", "spm", "--json"),
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    before, after = (data["bits_per_byte"][label]["value"] for label in ("aix-mini", "aix-mini+house"))
    assert after < before
    assert [way["way"] for way in data["measures"] if way["task"] == "line" and not way["slice"]].count("SPM") == 2


def test_an_interrupted_run_leaves_nothing_whole_and_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "house"
    work = tmp_path / "house.unfinished"
    arguments = ("--workspace", IDIOMS, "--model", "aix-mini", "--out", out, "--held-out", "0", *SMALL)
    with subprocess.Popen(
        command(*arguments, "--minutes", "30"), env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step "):
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
    assert process.returncode == 130
    assert "aix-lsp: interrupted; the same command with --resume goes on from the last checkpoint" in said
    assert not out.exists()
    # the step under way was kept: as many as were told, or one more
    kept = json.loads((work / "checkpoint" / "state.json").read_text())["state"]["step"]
    told = [int(number) for number in re.findall(r"^step (\d+),", line + said, re.MULTILINE)]
    assert kept in (told[-1], told[-1] + 1)


def test_a_full_disk_is_one_line_and_leaves_nothing(environment: dict[str, str], call: Call, tmp_path: Path) -> None:
    out, work = tmp_path / "house", tmp_path / "house.unfinished"
    arguments = ("--workspace", IDIOMS, "--model", "aix-mini", "--out", out, "--held-out", "0", *SMALL, "--steps", "1")
    # No file may be longer than this, as if the disk ended there.
    done = run(environment, *arguments, "--json", limit=lambda: _limit_files(500_000))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert "could not be written (is the disk full?); nothing was written" in line
    assert not out.exists()
    assert not work.exists()
    again = call("train", *arguments, "--resume")
    assert (again.returncode, again.stdout) == (2, "")
    assert "there is nothing to resume" in again.stderr


def _limit_files(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "aix-mini", "--out", "out"), "give what to train on with either --workspace PATH or --data X"),
        (("--model", "aix-mini", "--workspace", "none", "--out", "out"), "none is no folder"),
        (("--model", "aix-mini", "--workspace", "empty", "--out", "out"), "empty has no files to train on"),
        (("--model", "aix-mini", "--data", "bad.jsonl", "--out", "out"), "bad.jsonl line 1 is no JSON"),
        (("--workspace", "code", "--out", "out"), "say what to train: --model NAME"),
        (("--model", "typo", "--workspace", "code", "--out", "out"), "there is no model 'typo'"),
        (
            ("--model", "aix-mini", "--workspace", "code", "--out", "out", "--languages", "klingon"),
            "'klingon' is no language that can be trained on",
        ),
        (("--model", "aix-mini", "--workspace", "code", "--out", "code"), "code already holds files; choose another"),
        (("--model", "aix-mini", "--workspace", "code", "--out", "out", "--steps", "0"), "--steps must be at least 1"),
        (("--model", "aix-mini", "--workspace", "code", "--out", "out", "--fim-rate", "2"), "fim_rate is a share"),
        (("--init", "none.toml", "--workspace", "code", "--out", "out"), "none.toml cannot be read"),
    ],
)
def test_wrong_calls_are_one_line_and_leave_nothing(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("def a():\n    return 1\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.jsonl").write_text("oops\n")
    done = call("train", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.strip().splitlines()[-1]
    assert message in line
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.unfinished").exists()
