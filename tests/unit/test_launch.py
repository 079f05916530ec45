"""Training processes end with the one that started them, and what they said is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from aix_lsp.training.launch import LaunchError, attend, progress
from aix_lsp.training.scratch import _Log

# as torch's launcher does, the first process starts the one that works, and waits for it
STARTING = (
    "import time; from aix_lsp.training.launch import end_with_launcher\n"
    "end_with_launcher(); print('up', flush=True); time.sleep(90)"
)
TRAINING = (
    "import time; from aix_lsp.training.launch import end_with_launcher\n"
    "from aix_lsp.training.interruption import interruptions\n"
    "end_with_launcher()\n"
    "with interruptions() as asked:\n"
    "    print('up', flush=True)\n"
    "    while not asked(): time.sleep(0.01)\n"
    "    print('kept', flush=True)\n"
)


def launcher_of(worker: str) -> str:
    starter = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {worker!r}]))"
    return (
        "import sys; from pathlib import Path; from aix_lsp.training.launch import attend\n"
        f"attend([sys.executable, '-c', {starter!r}], Path('output.txt'), Path('log'), print)"
    )


def write(log: Path, *entries: object) -> None:
    with log.open("a", encoding="utf-8") as file:
        for entry in entries:
            file.write(f"{json.dumps(entry)}\n")


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize(
    ("worker", "how"),
    [(STARTING, "SIGKILL"), (TRAINING, "SIGINT"), (TRAINING, "SIGTERM"), (TRAINING, "SIGKILL")],
    ids=["starting-SIGKILL", "training-SIGINT", "training-SIGTERM", "training-SIGKILL"],
)
def test_however_the_launcher_ends_the_processes_end_with_it_after_their_step(
    tmp_path: Path, worker: str, how: str
) -> None:
    script = launcher_of(worker)
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL) as launcher:
        output = tmp_path / "output.txt"
        while not output.exists() or "up" not in output.read_text():
            assert launcher.poll() is None
        started = psutil.Process(launcher.pid).children(recursive=True)
        assert len(started) == 2
        launcher.send_signal(getattr(signal, how))
        launcher.wait(30)
    _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive
    assert ("kept" in output.read_text()) == (worker == TRAINING)


def test_progress_is_told_while_and_after_it_is_written(tmp_path: Path) -> None:
    log, told = tmp_path / "log", list[str]()
    write(log, {"kind": "validation", "step": 1, "loss": 9.0})  # of an earlier run
    lines = ['{"kind": "validation", "step": 1200, "loss": 2.5, "parts": {"psm": 3.25}}', '{"done": "steps"}']
    script = f"open({str(log)!r}, 'a').write({chr(10).join(lines) + chr(10)!r})"
    attend([sys.executable, "-c", script], tmp_path / "output.txt", log, told.append)
    assert told == ["  held out after step 1,200: loss 2.500 (psm 3.25)", "  ended: steps"]


def test_the_line_of_a_failure_is_told_and_not_that_of_an_earlier_one(tmp_path: Path) -> None:
    output, log = tmp_path / "output.txt", tmp_path / "log"
    failing = [sys.executable, "-c", "import sys; sys.exit('aix-lsp: the disk is full')"]
    with pytest.raises(LaunchError, match=r"^training ended early: the disk is full$"):
        attend(failing, output, log, print)
    with pytest.raises(LaunchError, match=r"^training ended early: exit 3; .*output\.txt$"):
        attend([sys.executable, "-c", "import sys; sys.exit(3)"], output, log, print)


def test_progress_passes_over_what_a_full_disk_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert list(progress(log)) == []
    log.write_bytes(b'{"a": 1}\n{"b": {"a": 2}\n\n[3]\n{"a": 4}\n{"a": 5')
    assert [entry for entry, _ in progress(log)] == [{"a": 1}, {"a": 4}]
    (_, end), *rest = progress(log)
    assert [entry for entry, _ in progress(log, end)] == [entry for entry, _ in rest]


def test_a_run_that_goes_on_begins_a_line_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "run" / "log"
    _Log(log, active=True).write({"a": 1})
    with log.open("a") as file:
        file.write('{"a": 2')
    _Log(log, active=True).write({"a": 3})
    assert [entry for entry, _ in progress(log)] == [{"a": 1}, {"a": 3}]
    _Log(tmp_path / "other" / "log", active=False).write({"a": 4})
    assert not (tmp_path / "other").exists()
