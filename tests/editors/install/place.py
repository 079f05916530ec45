"""Where the editors lie, and how an installation is done once and whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

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
    folder = cache_folder() / name
    with _locked(cache_folder() / f"{name}.lock"):
        done = folder / _DONE
        if done.is_file() and done.read_text(encoding="utf-8") == recipe:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"installing {name} into {folder}")
        install(folder)
        done.write_text(recipe, encoding="utf-8")
    return folder


def command(arguments: Sequence[str | Path], *, seconds: float, **options: object) -> str:
    """Run a program of the installation and return what it prints. Raises NotInstalledError."""
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            words, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, **options
        )
    except FileNotFoundError:
        raise NotInstalledError(f"needs {words[0]}, which is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"{words[0]} did not end within {seconds:.0f} s; no network?") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise NotInstalledError(f"{words[0]} failed: {last}")
    return str(done.stdout)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
