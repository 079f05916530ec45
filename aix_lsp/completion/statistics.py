"""Counts of what was shown and what became of it, per day and language: kept on this machine, never text, never single
events.

How long answers took is counted in log-spaced buckets, 16 to a factor of ten (`model_ms.35` counts answers of
10^(34/16) to 10^(35/16) milliseconds): a percentile is then wrong by 15 % at most, and counts of several servers and
days can be added up.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aix_lsp.completion.statistics_file import COUNTS, LATENCY, AnswerKind, Row, StatisticsFile, read_rows
from aix_lsp.logs import said

logger = logging.getLogger(__name__)

KINDS: tuple[AnswerKind, ...] = ("model", "cached")
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

_PER_DECADE = 16
_FIRST, _LAST = -_PER_DECADE, 5 * _PER_DECADE
"""Buckets end at 0.1 ms and at 100 s; what is quicker or slower is counted in the outermost."""

Key = tuple[str, str, str]
"""Day (`2026-01-31`), language identifier, name of the count."""


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
        self._file: StatisticsFile | None = None
        self._today = today
        self._unsaved: Counter[Key] = Counter()
        self.totals: Counter[str] = Counter()
        """Of this server since its start, without times."""
        self.keep_in(path)

    @property
    def kept(self) -> bool:
        """Whether the counts are kept on disk."""
        return self._file is not None

    def keep_in(self, path: Path | None) -> None:
        """From now on keep the counts there, or (None) nowhere: then what is not saved yet never will be."""
        self._file = None if path is None else StatisticsFile(path)
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
        if self._file is not None:
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
        file = self._file
        if file is None or not counts:
            return
        rows: dict[tuple[str, str], dict[str, int]] = {}
        for (day, language, what), number in counts.items():
            if number <= 0:
                continue  # counted and taken back
            rows.setdefault((day, language), {})[what] = number
        try:
            file.append([Row(day, language, row) for (day, language), row in rows.items()])
        except OSError as error:
            logger.warning("statistics could not be saved: %s", said(error.strerror))


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


def latencies(counts: Mapping[str, int], kind: AnswerKind) -> dict[int, int]:
    """The buckets of one kind of answer."""
    found: dict[int, int] = {}
    for name, number in counts.items():
        match = LATENCY.fullmatch(name)
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
