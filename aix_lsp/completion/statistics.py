"""Counts of what was shown and what became of it, per day and language: kept on this machine, never text, never single
events.

The file holds one JSON object a line, `{"day", "language", NAME: COUNT, ...}`, and is only ever appended to, so several
servers can share it; what belongs together is summed when it is read. How long answers took is counted in log-spaced
buckets, 16 to a factor of ten (`model_ms.35` counts answers of 10^(34/16) to 10^(35/16) milliseconds): a percentile is
then wrong by 15 % at most, and counts of several servers and days can be added up.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import platformdirs

from aix_lsp.logs import said
from aix_lsp.private import append_lines, make_private_folder, open_private

logger = logging.getLogger(__name__)

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

KINDS: tuple[AnswerKind, ...] = ("model", "cached")
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

_PER_DECADE = 16
_FIRST, _LAST = -_PER_DECADE, 5 * _PER_DECADE
"""Buckets end at 0.1 ms and at 100 s; what is quicker or slower is counted in the outermost."""

_LATENCY = re.compile(r"(model|cached)_ms\.(-?\d{1,3})")

Key = tuple[str, str, str]
"""Day (`2026-01-31`), language identifier, name of the count."""


def statistics_file() -> Path:
    """Where the counts are kept: readable and deletable by the user alone."""
    return platformdirs.user_state_path("aix-lsp", appauthor=False) / "statistics.jsonl"


def bucket_of(milliseconds: float) -> int:
    """The bucket of a time."""
    if not milliseconds > 0:
        return _FIRST
    return math.ceil(min(max(math.log10(milliseconds) * _PER_DECADE, _FIRST), _LAST))


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """The time, in milliseconds, within which that share of the answers came; None without answers. Inside a bucket it
    goes from end to end as if the logarithms were spread evenly."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    wanted, below = share * total, 0
    for number in sorted(buckets):
        count = buckets[number]
        if count and below + count >= wanted:
            return float(10 ** ((number - 1 + max(wanted - below, 0) / count) / _PER_DECADE))
        below += count
    return float(10 ** (max(buckets) / _PER_DECADE))


class Statistics:
    """Counts of one server; lives on the event loop, but for `write`."""

    def __init__(self, path: Path | None, today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d")) -> None:
        """`path` None counts in memory alone."""
        self._path = path
        self._today = today
        self._unsaved: Counter[Key] = Counter()
        self.totals: Counter[str] = Counter()
        """Of this server since its start, without times."""

    @property
    def kept(self) -> bool:
        """Whether the counts are kept on disk."""
        return self._path is not None

    def keep_in(self, path: Path | None) -> None:
        """From now on keep the counts there, or (None) nowhere: then what is not saved yet never will be."""
        self._path = path
        if path is None:
            self._unsaved.clear()

    def count(self, language: str, what: str, by: int = 1) -> None:
        """Count one of `COUNTS`."""
        self.totals[what] += by
        self._note(language, what, by)

    def answered(self, language: str, kind: AnswerKind, milliseconds: float) -> None:
        """Count how long an answer took, from the request on."""
        self._note(language, f"{kind}_ms.{bucket_of(milliseconds)}", 1)

    def _note(self, language: str, what: str, by: int) -> None:
        if self._path is not None:
            self._unsaved[(self._today(), language, what)] += by

    def save(self) -> None:
        """Append what was counted since the last time; see `take_unsaved` for doing it in another thread."""
        self.write(self.take_unsaved())

    def take_unsaved(self) -> Counter[Key]:
        """What was counted since the last time; it counts as saved from now on."""
        unsaved, self._unsaved = self._unsaved, Counter()
        return unsaved

    def write(self, counts: Mapping[Key, int]) -> None:
        """Append counts to the file; touches nothing else, so any thread may do it. A disk that refuses costs the
        counts, never the server."""
        path = self._path
        if path is None or not counts:
            return
        rows: dict[tuple[str, str], dict[str, int]] = {}
        for (day, language, what), number in counts.items():
            if number <= 0:
                continue  # counted and taken back
            rows.setdefault((day, language), {})[what] = number
        lines = "".join(
            json.dumps({"day": day, "language": language, **row}) + "\n" for (day, language), row in rows.items()
        )
        try:
            _append(path, lines.encode())
        except OSError as error:
            logger.warning("statistics could not be saved: %s", said(error.strerror))


def _append(path: Path, lines: bytes) -> None:
    if not path.parent.is_dir():
        make_private_folder(path.parent)
    descriptor = open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        append_lines(descriptor, lines)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file."""

    day: str
    language: str
    counts: Mapping[str, int]


def read_rows(path: Path) -> Iterator[Row]:
    """The lines of a statistics file in order, also those of older versions; damaged ones are passed over, and a file
    that is not there has none. Raises OSError where the file cannot be read."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield Row(_text(row.get("day")), _text(row.get("language")), _counts(row))


def read_totals(path: Path) -> dict[str, int]:
    """Sum of the counts (not the times) in a statistics file; empty where there is none to read."""
    try:
        totals = sum_of(read_rows(path))
    except OSError:
        return {}
    return {name: number for name, number in totals.items() if name in COUNTS}


def sum_of(rows: Iterable[Row]) -> Counter[str]:
    """All counts of some rows."""
    totals: Counter[str] = Counter()
    for row in rows:
        totals.update(row.counts)
    return totals


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    # a number that no server has counted would be too large for the shares
    return {name: value for name, value in row.items() if type(value) is int and 0 < value < 2**53 and _is_count(name)}


@lru_cache(maxsize=1024)
def _is_count(name: str) -> bool:
    """Remembered: a year's file has a hundred thousand lines with the same few names."""
    return name in COUNTS or _LATENCY.fullmatch(name) is not None


def latencies(counts: Mapping[str, int], kind: AnswerKind) -> dict[int, int]:
    """The buckets of one kind of answer."""
    found: dict[int, int] = {}
    for name, number in counts.items():
        match = _LATENCY.fullmatch(name)
        if match and match[1] == kind:
            found[int(match[2])] = number
    return found


def summary(counts: Mapping[str, int]) -> dict[str, Any]:
    """What a user wants to know of some counts. Shares run from 0 to 1 and are None where nothing was counted, and so
    are times, in milliseconds."""
    times = {}
    for kind in KINDS:
        buckets = latencies(counts, kind)
        times[kind] = {
            "answers": sum(buckets.values()),
            **{
                name: _rounded(percentile(buckets, share))
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
            },
        }
    return {
        "shown": counts.get("offered", 0),
        "accepted": counts.get("accepted", 0),
        "accepted_share": _share(counts, "accepted", "offered"),
        "partly_accepted": counts.get("partly_accepted", 0),
        "typed_through": counts.get("typed_through", 0),
        "kept_30_share": _share(counts, "kept_30", "looked_30"),
        "kept_120_share": _share(counts, "kept_120", "looked_120"),
        "characters_saved": counts.get("accepted_characters", 0),
        "latency_ms": times,
    }


def _share(counts: Mapping[str, int], part: str, whole: str) -> float | None:
    return round(counts.get(part, 0) / counts[whole], 4) if counts.get(whole) else None


def _rounded(value: float | None) -> float | None:
    """Three digits: a bucket knows no more."""
    return None if value is None else float(f"{value:.3g}")
