"""A training run in processes of its own: started, listened to, and ended with the process that started it.

The processes live by a pipe on their standard input, whose other end the launcher holds. However the launcher ends (an
interrupt, a kill, a crash), the pipe closes and they end too, after the step under way: two runs that write one
checkpoint would spoil it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ATTENDED: Final = "--attended"
"""Tells a training process that its standard input is such a pipe."""
_POLL = 0.5  # seconds
_PATIENCE = 60.0  # seconds until a process that should have ended is told so, and then made to


class LaunchError(ValueError):
    """A run ended early; the message is one line for a person."""


def end_with_launcher() -> None:
    """From now on this process is told to end when its standard input does: as by SIGTERM, so that training keeps the
    step under way first. Control-C means the launcher, which a terminal tells as well."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        signal.raise_signal(signal.SIGTERM)
        time.sleep(_PATIENCE)
        os._exit(130)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def launch(spec: Path, processes: int, log: Path, tell: Callable[[str], None]) -> None:
    """Train by the file `spec` in so many processes and tell the progress in `log` until they end.

    What they print goes to `output.txt` beside the spec. Raises LaunchError when they fail; whatever is raised, they
    have ended.
    """
    module = ["-m", "aix_lsp.training.scratch", str(spec), ATTENDED]
    command = [sys.executable, *module]
    if processes > 1:
        # torch's launcher gives each process its place among the others
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *launcher, *module]
    threads = {"OMP_NUM_THREADS": "1"} if processes > 1 else {}
    # threads that wait for one another sleep: spinning, they starve themselves beside other work (engine/hardware.py)
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **threads}
    attend(command, spec.with_name("output.txt"), log, tell, environment=environment)


def attend(
    command: Sequence[str],
    output: Path,
    log: Path,
    tell: Callable[[str], None],
    *,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a command that lives by its standard input; its errors and progress are as `launch` says."""
    seen = _told(log, 0, lambda line: None)
    with output.open("ab") as file:
        before = file.tell()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=environment)
        try:
            while process.poll() is None:
                time.sleep(_POLL)
                seen = _told(log, seen, tell)
        finally:
            _end(process)
    _told(log, seen, tell)
    if process.returncode != 0:
        said = output.read_bytes()[before:].decode("utf-8", "replace").split("\n")
        unknown = f"exit {process.returncode}; what it said is in {output}"
        line = next((line for line in reversed(said) if line.startswith("aix-lsp: ")), unknown)
        raise LaunchError(f"training ended early: {line.removeprefix('aix-lsp: ')}")


def progress(log: Path, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """The entries of a progress file from byte `start` on, each with where its line ends.

    A last line without its end is left for later; a line that a full disk cut off and that went on with the next run's
    is passed over.
    """
    if not log.is_file():
        return
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry, start


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close what the process lives by, and wait until it has ended."""
    if process.stdin is not None:
        process.stdin.close()
    for harder in (process.terminate, process.kill):
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            harder()
        else:
            return
    process.wait()


def _told(log: Path, seen: int, tell: Callable[[str], None]) -> int:
    """Tell the entries behind byte `seen`; where the last of them ends."""
    for entry, end in progress(log, seen):
        tell(f"  {_sentence(entry)}")
        seen = end
    return seen


def _sentence(entry: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {value:.2f}" for name, value in entry.get("parts", {}).items())
    if entry.get("kind") == "step":
        return (
            f"step {entry['step']:,}, {entry['tokens']:,} tokens, loss {entry['loss']:.3f} ({parts}), "
            f"{entry['tokens_per_second']:,.0f} tokens/s, {entry['seconds_left'] / 60:.0f} min left"
        )
    if entry.get("kind") == "validation":
        return f"held out after step {entry['step']:,}: loss {entry['loss']:.3f} ({parts})"
    return f"ended: {entry.get('done', '')}"
