"""The shortest sequence of steps that was found to break a promise still, and the file it is kept in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Steps = list[tuple[str, int]]


def shrunk(steps: Steps, breaks: Callable[[Steps], bool], seconds: float = 60.0) -> Steps:
    """Leave out halves, quarters and so on down to single steps as long as `breaks` still says so (Zeller and
    Hildebrandt 2002, "Simplifying and Isolating Failure-Inducing Input"); what there is after `seconds`."""
    until = time.monotonic() + seconds
    size = max(1, len(steps) // 2)
    while steps:
        at, shorter = 0, False
        while at < len(steps) and time.monotonic() < until:
            rest = steps[:at] + steps[at + size :]
            if breaks(rest):
                steps, shorter = rest, True
            else:
                at += size
        if time.monotonic() >= until or (size == 1 and not shorter):
            break
        size = max(1, size // 2)
    return steps


def keep(path: Path, seed: int, steps: Steps, broken: str) -> None:
    """Write what `--replay` takes."""
    path.write_text(json.dumps({"seed": seed, "broken": broken, "steps": steps}, indent=0))


def kept(path: Path) -> tuple[int, Steps]:
    """Read it again. Raises OSError, ValueError."""
    data: Any = json.loads(path.read_text())
    return data["seed"], [(name, number) for name, number in data["steps"]]
