"""Where the editors lie, and how an installation is done once and whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

if sys.platform != "win32":
    import fcntl

CACHE_VARIABLE = "AIX_TEST_EDITORS"
"""Names another cache folder."""

_DONE = ".installed"


@dataclass(frozen=True, slots=True)
class Editor:
    """A program that is there: how it is started, and the environment variables that it needs besides."""

    name: str
    version: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


class NotInstalledError(Exception):
    """An editor cannot be installed here; the message is the reason in one line."""


def cache_folder() -> Path:
    """Where all editors lie."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("aix-lsp-tests", appauthor=False) / "editors"


def say(line: str) -> None:
    """Tell what is done."""
    print(line, file=sys.stderr, flush=True)


def installed(name: str, recipe: str, install: Callable[[Path], None]) -> Path:
    """The folder of what `install(folder)` puts there, installed unless it is there already.

    `recipe` says from what it is made: another recipe installs anew. What was broken off is begun anew; of two
    processes the second waits. Raises NotInstalledError.
    """
    if sys.platform == "win32":
        raise NotInstalledError("editors are installed on Linux only")
    folder = cache_folder() / name
    try:
        with _locked(cache_folder() / f"{name}.lock", name):
            done = folder / _DONE
            if done.is_file() and done.read_text(encoding="utf-8") == recipe:
                return folder
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            say(f"installing {name} into {folder}")
            try:
                install(folder)
                done.write_text(recipe, encoding="utf-8")
            except BaseException:
                # half of it is of no use, and may be what filled the disk
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as error:
        where = f" {error.filename}" if error.filename else f" in {folder}"
        raise NotInstalledError(f"{error.strerror or error}:{where}") from error
    return folder


def command(arguments: Sequence[str | Path], *, seconds: float, **options: object) -> str:
    """Run a program of the installation and return what it prints. Raises NotInstalledError."""
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            words, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, **options
        )
    except FileNotFoundError as error:
        # the folder to start it in may be what is missing
        raise NotInstalledError(f"needs {error.filename or words[0]}, which is not on this machine") from None
    except OSError as error:  # not executable, or of another kind of machine
        raise NotInstalledError(f"{words[0]} does not start here: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"{words[0]} did not end within {seconds:.0f} s; no network?") from None
    if done.returncode:
        raise NotInstalledError(f"{words[0]} failed: {_reason(done.stderr, done.stdout, done.returncode)}")
    return str(done.stdout)


def _reason(stderr: str, stdout: str, code: int) -> str:
    """The line that tells why a program failed: a full disk, the first of apt's errors, or what it said last."""
    lines = (stderr.strip() or stdout.strip() or f"exit code {code}").splitlines()
    reasons = [line for line in lines if "No space left" in line] + [line for line in lines if line.startswith("E: ")]
    return [*reasons, lines[-1]][0]


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: waiting for another process that looks after it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
