"""Running git in a folder that somebody else may have filled: quickly over or ended, and nothing that a repository
configures."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aix_lsp.environment import without_secrets

_REDIRECTIONS: Final = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"),
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"),
        *("GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE"),
    }
)
"""Variables that point git at another repository, as in a server started from a git hook."""

_SAFE_OPTIONS: Final = (
    # A repository's own configuration can name programs to run and servers to ask. A folder is opened to be read.
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "protocol.allow=never"),
    # a folder that merely looks like a repository's inside
    *("-c", "safe.bareRepository=explicit"),
    # nor files to read, which may be devices without end
    *("-c", f"core.attributesFile={os.devnull}"),
    *("-c", f"diff.orderFile={os.devnull}"),
    *("-c", "log.mailmap=false"),
)

_MOST_MEMORY: Final = 2 << 30
"""Bytes that git may take for itself: its own files may be links to what has no end, such as `.git/commondir` to
/dev/zero. A work tree of a million files takes a quarter."""


class _Running:
    """What runs, for `end_running`. Of a set, adding and discarding are one step each to other threads."""

    processes: set[subprocess.Popen[bytes]] = set()  # noqa: RUF012  # of the whole process
    ending = False


def answer(root: Path, *arguments: str, timeout: float, configured: Mapping[str, str] | None = None) -> bytes | None:
    """Standard output of one git command in `root`, or None when it fails. `configured` are more values, by names that
    may hold anything. Raises TimeoutError after `timeout` seconds."""
    program = _program(root)
    if program is None or _Running.ending:
        return None
    environment = {name: value for name, value in without_secrets().items() if name not in _REDIRECTIONS}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    if configured:
        environment["GIT_CONFIG_COUNT"] = str(len(configured))
        for number, (name, value) in enumerate(configured.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        process = subprocess.Popen(
            # The folder is git's to enter: with `cwd` it would be entered before there is a process to end, and on a
            # disk that does not answer the time limit would not count.
            [program, "-C", str(root), *_SAFE_OPTIONS, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    _Running.processes.add(process)
    try:
        _limit(process)
        with process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise TimeoutError from None
    finally:
        _Running.processes.discard(process)
    return output if process.returncode == 0 else None


def end_running() -> None:
    """End every git that runs, and start none any more: for a process that is about to end. One that hangs would
    outlive it."""
    _Running.ending = True
    for process in list(_Running.processes):
        _kill(process)


def _program(root: Path) -> str | None:
    """Git as the user's PATH has it, but for entries that a folder which is opened could fill: empty and relative ones,
    and those inside `root`."""
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        folder = Path(entry)
        if not folder.is_absolute() or (len(root.parts) > 1 and _within(folder, root)):
            continue
        found = shutil.which(folder / "git")
        if found is not None and not (len(root.parts) > 1 and _within(Path(found), root)):
            return found
    return None


def _within(path: Path, root: Path) -> bool:
    """Whether a path leads into `root`, as it is written or through links."""
    return path.is_relative_to(root) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _limit(process: subprocess.Popen[bytes]) -> None:
    """Bound git's memory, where the system lets that be said of a process that runs already: of Python's ways to say it
    before, none is safe with threads."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):  # it has ended, or its limit is lower
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: whoever holds its end of the pipe would be waited for without end."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
