"""The file of counts: JSON lines that several servers append to, summed up where they have become many.

A line is `{"day", "language", NAME: COUNT, ...}`. A server appends one every few moments in which something was
counted, some megabytes in a month; so who finds the file large writes it anew with a line for each day and language,
or for each month where it is long ago. Both happen under a lock, so that nothing is appended to a file that is just
being replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import platformdirs

from aix_lsp.files import replaced_file
from aix_lsp.private import append_lines, locked_beside, make_private_folder, objects_in, open_private

COUNTS = (
    "offered",
    "accepted",
    "partly_accepted",
    "typed_through",
    "accepted_characters",
    "looked_30",
    "kept_30",
    "looked_120",
    "kept_120",
)
"""Names in the file. Of `looked_30` accepted texts that could be looked at after 30 s, `kept_30` were still there."""

AnswerKind = Literal["model", "cached"]
"""An answer that the model was asked for, or one that was there already."""

LATENCY: Final = re.compile(r"(model|cached)_ms\.(-?\d{1,3})")
"""Of names of buckets of times: the kind of answer, and the number of the bucket."""

MOST_BYTES: Final = 1_000_000
"""Of a file whose lines are not summed up."""

_DAYS: Final = 366
"""For how long each day has a line of its own."""

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LOCKED_S: Final = 2.0
"""How long the lock is waited for. To sum up a large file takes some tenths of a second."""


def statistics_file() -> Path:
    """Where the counts are kept: readable and deletable by the user alone."""
    return platformdirs.user_state_path("aix-lsp", appauthor=False) / "statistics.jsonl"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file."""

    day: str
    """`2026-01-31`, or `2026-01` for a month that is long ago."""

    language: str
    counts: Mapping[str, int]


class StatisticsFile:
    """One file of counts that other processes may write too. Not for the event loop: a disk may take its time."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes` is the size from which on lines are summed up."""
        self._path = path
        self._most = most_bytes
        self._summed = 0
        """Bytes that were left by the last summing up."""

    def append(self, rows: list[Row]) -> None:
        """Write rows. Raises OSError, and then they are not written, or not all of them."""
        if not self._path.parent.is_dir():
            make_private_folder(self._path.parent)
        with _lock(self._path):
            handle = open_private(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                append_lines(handle, b"".join(map(_line, rows)))
                size = os.fstat(handle).st_size
            finally:
                os.close(handle)
            # twice what was left, as else a file of many languages would be written anew with every line
            if size > max(self._most, 2 * self._summed):
                with contextlib.suppress(OSError):  # a full disk: the lines are there, as they were
                    self._sum_up()

    def _sum_up(self) -> None:
        sums: dict[tuple[str, str], Counter[str]] = {}
        recent = (date.today() - timedelta(days=_DAYS)).isoformat()
        for row in _rows(self._path):
            day = row.day if row.day >= recent or not _DAY.fullmatch(row.day) else row.day[:7]
            sums.setdefault((day, row.language), Counter()).update(row.counts)
        with replaced_file(self._path, mode=0o600) as file:
            for (day, language), counts in sorted(sums.items()):
                file.write(_line(Row(day, language, counts)))
        self._summed = self._path.stat().st_size


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds the file's lock. Raises OSError where another process keeps it."""
    until = time.monotonic() + _LOCKED_S
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(locked_beside(path))
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.005)
        yield


def _line(row: Row) -> bytes:
    return (json.dumps({"day": row.day, "language": row.language, **row.counts}) + "\n").encode()


def read_rows(path: Path) -> Iterator[Row]:
    """The lines of a statistics file in order, also those of other versions; damaged ones are passed over, and a file
    that is not there has none. Raises OSError where the file cannot be read."""
    with contextlib.suppress(FileNotFoundError):
        for row in _rows(path):
            yield Row(row.day, row.language, {name: number for name, number in row.counts.items() if _is_count(name)})


@lru_cache(maxsize=1024)
def _is_count(name: str) -> bool:
    """Remembered: a file has thousands of lines with the same few names."""
    return name in COUNTS or LATENCY.fullmatch(name) is not None


def _rows(path: Path) -> Iterator[Row]:
    """Also with what another version has counted, which is not to be lost when lines are summed up."""
    with path.open("rb") as file:
        for row in objects_in(file):
            yield Row(_text(row.get("day")), _text(row.get("language")), _counts(row))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    # a number that no server has counted would be too large for the shares
    return {name: value for name, value in row.items() if type(value) is int and 0 < value < 2**53}
