"""How far a measurement is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]
"""One more is done; `total=` where it has turned out how many there are."""

_LONG_S = 120


def say(text: str) -> None:
    """One line."""
    sys.stderr.write(f"aix-lsp: {text}\n")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _LONG_S else f"{seconds / 60:.0f} min"


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A progress bar where stderr is a terminal, else a line at each tenth; both with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        first = 0.0
        number, whole = 0, total

        def advance(total: int | None = None) -> None:
            nonlocal number, whole, first
            number += 1
            first = first or time.perf_counter()  # the model was loaded before it
            whole = whole if total is None else total
            bar.update(task, advance=1, total=whole)
            if not console.is_terminal and number * 10 // whole > (number - 1) * 10 // whole:
                left = (time.perf_counter() - first) / max(number - 1, 1) * (whole - number)
                say(f"{label}: {number} of {whole}" + (f", about {_time(left)} left" if number < whole else ""))

        yield advance
