"""Runs programs that a model wrote where they can do no harm.

A program in the sandbox has no network and sees no file of the user's: the operating system's programs and libraries
to read, and one empty folder in memory of limited size to write. It has limits on processor and wall-clock time,
memory, processes and what it prints, gets nothing of the environment, and ends with all that it started. Linux makes
it, through bubblewrap or by its namespaces alone. Where neither is to be had nothing runs, unless the user says so;
then there are the limits and nothing else.

What it is not: a wall against a program that was written to find a hole in the kernel. Of system calls those few are
filtered that get around the limits or reach the user's keys, and what it takes of the processor it takes from others.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from aix_lsp.evaluation.sandbox_places import places, python
from aix_lsp.evaluation.sandbox_start import WORK, Kind, Program, command_of, fed
from aix_lsp.evaluation.sandbox_watch import tasks_of_user, watch

Status = Literal["passed", "failed", "timeout", "killed", "error"]

OUTPUT: Final = 1 << 16
"""Bytes that are kept of each stream."""

_STDIN: Final = 1 << 15
_FILE_HANDLES: Final = 256
_PROBE: Final = """
import os, sys
try:
    found = os.stat({path!r})
except OSError:
    sys.exit(0)
if (found.st_dev, found.st_ino) == {identity!r}:
    sys.exit("the user's files are in the system's folders")
"""
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class SandboxError(RuntimeError):
    """A program was not started; that says nothing about it. One line."""


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a program ended. `passed`: by itself, with status 0. `failed`: by itself, otherwise. `timeout`: processor or
    wall-clock time. `killed`: memory or processes. `error`: it was not started. `why` says it in plain words."""

    status: Status
    stdout: str
    stderr: str
    why: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ended well. Raises SandboxError where it was not started."""
        if self.status == "error":
            raise SandboxError(f"the program was not started: {self.why}")
        return self.status == "passed"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A way to run programs; `find` has one. `isolates` is False where there are only limits, and `description` is a
    line for the report."""

    kind: Kind
    description: str
    bubblewrap: str = ""

    @property
    def isolates(self) -> bool:
        """Whether network and the user's files are out of a program's reach."""
        return self.kind != "limits"

    @staticmethod
    def find(force: bool = False) -> Sandbox | None:
        """The best that this machine has; None where nothing isolates (`why_none` has the reason). With `force`
        programs then run with limits only, but not on Windows, which has none of them."""
        found, _ = _found()
        return found or (LIMITS_ONLY if force and sys.platform != "win32" else None)

    def run(
        self,
        files: Mapping[str, str | bytes],
        command: Sequence[str],
        *,
        seconds: float,
        wall_seconds: float | None = None,
        memory_mb: int = 512,
        address_space: bool = True,
        disk_mb: int = 64,
        tasks: int = 256,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        sees: Sequence[Path] = (),
    ) -> SandboxResult:
        """Run an absolute command in a folder that holds `files` (names below it).

        `seconds` is processor time, of which a loaded machine takes nothing away; wall-clock time is three times that
        and 5 s unless said. `memory_mb` and `tasks` (processes and threads) are for all that the program starts;
        `address_space` also limits what each process may ask for, which programs do not bear that reserve more than
        they use (Java, JavaScript, Go). `stdin` takes at most 32 KiB. `sees` are more folders to read.
        Never raises for what the program does; ValueError for arguments that cannot be.
        """
        for name in files:
            if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name!r} is no name below a folder")
        if len(stdin.encode()) > _STDIN:
            raise ValueError(f"a program is given at most {_STDIN} bytes to read")
        seen = places(sees)
        mark = f"sandbox {secrets.token_hex(8)}: "
        wall = 3 * seconds + 5 if wall_seconds is None else wall_seconds
        with (
            # what still writes there costs a folder, not the run
            tempfile.TemporaryDirectory(prefix="aix-program-", ignore_cleanup_errors=True)
            if self.kind == "limits"
            else nullcontext("/") as folder
        ):
            work = folder if self.kind == "limits" else WORK
            program = Program(
                files={
                    name: data.encode("utf-8", "replace") if isinstance(data, str) else data
                    for name, data in files.items()
                },
                command=command,
                stdin=stdin.encode(),
                environment={**_environment(work), **(environment or {})},
                limits=_limits(seconds, memory_mb if address_space else 0, disk_mb, _most_tasks(tasks, self.isolates)),
                disk=disk_mb << 20,
                mark=mark,
            )
            try:
                ended = watch(
                    command_of(self.kind, self.bubblewrap, seen, disk_mb << 20),
                    fed(self.kind, program, seen, folder),
                    folder=folder,
                    environment=_system_environment(),
                    seconds=wall,
                    memory=memory_mb << 20,
                    tasks=tasks,
                    output=OUTPUT,
                )
            except OSError as error:
                return SandboxResult("error", "", "", f"it could not be started: {error}")
        stdout, stderr = (data.decode("utf-8", "replace") for data in (ended.stdout, ended.stderr))
        if ended.stopped:
            return SandboxResult("timeout" if ended.late else "killed", stdout, stderr, ended.stopped)
        if mark in stderr or (ended.code and stderr.startswith("bwrap: ")):
            why = " ".join(stderr.partition(mark)[2].split() or stderr.split())
            return SandboxResult("error", "", "", why)
        if ended.code == 0:
            return SandboxResult("passed", stdout, stderr)
        over = getattr(signal, "SIGXCPU", None)
        if over is not None and ended.code in (-over, 128 + over):
            return SandboxResult("timeout", stdout, stderr, f"it took more than {seconds:g} s of the processor")
        return SandboxResult("failed", stdout, stderr, f"exit status {ended.code}")


LIMITS_ONLY: Final = Sandbox(
    "limits",
    "no sandbox: programs ran as the user, with network and all files, within limits of time and memory (--force)",
)


def why_none() -> str:
    """Why nothing here isolates, in one line; "" where something does."""
    return _found()[1]


@cache
def _found() -> tuple[Sandbox | None, str]:
    if not sys.platform.startswith("linux"):
        return None, "programs are run in a sandbox on Linux only"
    reasons: list[str] = []
    bubblewrap = shutil.which("bwrap") or ""
    kinds = [
        Sandbox("bubblewrap", "bubblewrap: no network, none of the user's files", bubblewrap),
        Sandbox("namespaces", "Linux namespaces: no network, none of the user's files"),
    ]
    for sandbox in kinds:
        if sandbox.kind == "bubblewrap" and os.geteuid() == 0:
            # its programs would stay root's, whose processes the kernel does not limit: a fork bomb takes the machine
            reasons.append("bubblewrap cannot limit the processes of root")
        elif sandbox.kind == "bubblewrap" and not bubblewrap:
            reasons.append("bubblewrap is not installed")
        elif why := _fails(sandbox):
            reasons.append(f"{_CALLED[sandbox.kind]} ({why})")
        else:
            return sandbox, ""
    return None, "; ".join(reasons)


_CALLED: Final = {
    "bubblewrap": "bubblewrap does not work here",
    "namespaces": "the kernel gives no namespaces",
}


def _fails(sandbox: Sandbox) -> str:
    """Why a sandbox does not run the smallest program, or does not keep it from the user's files; "" where it does."""
    try:
        home = Path.home().stat()
        # a folder may stand there that leads to what is shown, but it must be another one
        program = _PROBE.format(path=str(Path.home()), identity=(home.st_dev, home.st_ino))
        result = sandbox.run({"probe.py": program}, [python(), "-I", "-S", "probe.py"], seconds=10, wall_seconds=120)
    except (OSError, ValueError) as error:
        return str(error)
    return "" if result.status == "passed" else result.stderr.strip() or result.why


def _limits(seconds: float, memory_mb: int, disk_mb: int, tasks: int) -> dict[str, int]:
    limits = {
        "RLIMIT_CPU": max(1, math.ceil(seconds)),
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": disk_mb << 20,
        "RLIMIT_NOFILE": _FILE_HANDLES,
    }
    if memory_mb:
        limits["RLIMIT_AS"] = memory_mb << 20
    if tasks:
        limits["RLIMIT_NPROC"] = tasks
    return limits


def _most_tasks(tasks: int, isolated: bool) -> int:
    """The limit of processes and threads with which a program has `tasks` of its own: where the kernel counts all of
    the user's together, those that run now come on top. 0 where they cannot be counted."""
    if isolated and _counts_by_namespace():
        return tasks
    running = tasks_of_user()
    return tasks + running if running else 0


def _counts_by_namespace() -> bool:
    """Since Linux 5.14 a user's processes are counted for each user namespace by itself; before that the user's own
    would count with the program's."""
    version = os.uname().release.split(".")[:2]
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version) >= (5, 14)


def _environment(work: str) -> dict[str, str]:
    return {
        "PATH": _PATH,
        "HOME": work,
        "TMPDIR": work,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
    } | _system_environment()


def _system_environment() -> dict[str, str]:
    """What Windows starts no process without."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
