"""One row of a table: a check that says what it saw, breaks with AssertionError, or cannot be done here."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from tests.findings import Finding

LONGEST = 240


class NotHere(Exception):
    """This machine lacks what a check needs; says what."""


def row(name: str, check: Callable[[], str]) -> Finding:
    """Do a check; every way in which it goes wrong is a finding. What it took is told where that is over a second."""
    began = time.monotonic()
    try:
        finding = Finding(name, "ok", check())
    except NotHere as why:
        finding = Finding(name, "skipped", str(why))
    except subprocess.CalledProcessError as error:
        finding = Finding(name, "broken", f"{_words(error.cmd)}: exit {error.returncode}: {_last(error)}")
    except subprocess.TimeoutExpired as error:
        finding = Finding(name, "broken", f"{_words(error.cmd)}: no end within {error.timeout:.0f} s")
    except Exception as error:  # noqa: BLE001  # whatever breaks, the others are done
        said = " ".join(str(error).split())[:LONGEST]
        finding = Finding(name, "broken", said or type(error).__name__)
    seconds = time.monotonic() - began
    if seconds >= 1 and finding.state != "skipped":
        finding = Finding(name, finding.state, f"{finding.seen} ({seconds:.0f} s)".strip())
    print(f"  {finding.state}: {name}", file=sys.stderr, flush=True)
    return finding


def _words(command: object) -> str:
    listed = command if isinstance(command, list) else [command]
    return " ".join(str(word).rpartition("/")[2] for word in listed)[:LONGEST]


def _last(error: subprocess.CalledProcessError) -> str:
    text = f"{error.stdout or ''}\n{error.stderr or ''}".strip()
    return " ".join(text.split())[-LONGEST:]
