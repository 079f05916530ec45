"""What a log of keys, requests and answers says about a server. Pure functions of the log."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

REUSED_AT_ONCE = ("typed-through", "cached", "prepared")
REUSED = (*REUSED_AT_ONCE, "joined")
OFFERED = ("shown", "same", "continued", "flicker")
BASELINE_KEY = 1000
BASELINE_KEYS = 100


@dataclass(slots=True)
class Key:
    """One key: what it was, seconds since the one before (None for the first of a part), how much longer it made the
    text and how much of that was accepted; whether an offer is meant to appear after it, and whether one was there when
    the next key came."""

    kind: str
    gap: float | None = None
    grown: int = 0
    accepted: int = 0
    eligible: bool = False
    shown: bool = False


@dataclass(slots=True)
class Asked:
    """One request: seconds, what its answer did (client_screen.Verdict; `overtaken` for an empty one to a place that
    the cursor had left, `failed` for an error, empty if there was none), and what the server says of it (its trace).
    For `examples`: the keys before it, what was on the screen when the answer came, and what the answer offers."""

    sent: float
    received: float | None = None
    verdict: str = ""
    source: str = ""
    reason: str = ""
    ran: bool = False
    key: int = 0
    shown_before: str = ""
    offered: str = ""

    @property
    def milliseconds(self) -> float:
        """From the request to its answer, in the client."""
        return 1000 * ((self.received or self.sent) - self.sent)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's processes after so many keys: bytes, and seconds of processor time since the start of the replay."""

    keys: int
    rss: int
    cpu: float
    cpu_children: float


@dataclass(slots=True)
class Log:
    """All of one replay. `runs` are generations started for requests and `background_runs` those started ahead, as the
    server counts them; None where it does not."""

    keys: list[Key] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    runs: int | None = None
    background_runs: int | None = None
    seconds: float = 0.0


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile, rounded to hundredths; None of nothing."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 2)


def memory_growth(samples: Sequence[Sample], keys: int) -> float | None:
    """Median memory in the last tenth over that in the hundred keys behind the first thousand, less 1; None for a
    replay that ends there."""
    first = [sample.rss for sample in samples if BASELINE_KEY <= sample.keys <= BASELINE_KEY + BASELINE_KEYS]
    last = [sample.rss for sample in samples if sample.keys >= 0.9 * keys]
    if keys < BASELINE_KEY + 2 * BASELINE_KEYS or not first or not last:
        return None
    return round(statistics.median(last) / statistics.median(first) - 1, 4)


def figures(log: Log) -> dict[str, Any]:
    """The figures of issue 6, then what explains them."""
    keys, count = log.keys, len(log.keys)
    gaps = [1000 * key.gap for key in keys if key.gap is not None]
    offers = [asked for asked in log.asked if asked.verdict in OFFERED]
    by_source: dict[str, list[float]] = {}
    for asked in offers:
        by_source.setdefault(asked.source or "model", []).append(asked.milliseconds)
    at_once = [time for source in REUSED_AT_ONCE for time in by_source.get(source, [])]
    model = by_source.get("model", [])
    verdicts = Counter(asked.verdict or "unanswered" for asked in log.asked)
    eligible = [key for key in keys if key.eligible]
    runs = log.runs if log.runs is not None else sum(asked.ran for asked in log.asked)
    last = log.samples[-1] if log.samples else Sample(0, 0, 0.0, 0.0)
    late_samples = [sample.rss for sample in log.samples if sample.keys >= 0.9 * count]
    grown = sum(key.grown for key in keys)
    return {
        "keys": count,
        "engine_runs": runs,
        "reuse_share": _share(sum(len(by_source.get(source, [])) for source in REUSED), len(offers)),
        "reuse_p95_ms": percentile(at_once, 0.95),
        "answer_p50_ms": percentile(model, 0.5),
        "answer_p95_ms": percentile(model, 0.95),
        "flicker": verdicts["flicker"],
        "stale_shown": verdicts["stale"],
        "shown_share": _share(sum(key.shown for key in eligible), len(eligible)),
        "accepted_chars_share": _share(sum(key.accepted for key in keys), grown),
        "memory_growth": memory_growth(log.samples, count),
        "cpu_s_per_100_keys": _per_100(last.cpu, count),
        "rss_mb": round(statistics.median(late_samples) / 1e6, 1) if late_samples else None,
        "cpu_s_per_100_keys_children": _per_100(last.cpu_children, count),
        "requests": len(log.asked),
        "engine_runs_per_100_keys": _per_100(runs, count),
        "engine_runs_counted_by": "server" if log.runs is not None else "answers",
        "background_runs": log.background_runs,
        "eligible": len(eligible),
        "verdicts": dict(verdicts.most_common()),
        "answers_by_source": {
            source: {"count": len(times), "p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95)}
            for source, times in by_source.items()
        },
        "no_offer": _reasons(log.asked),
        "keys_by_kind": dict(Counter(key.kind for key in keys).most_common()),
        "gap_p50_ms": percentile(gaps, 0.5),
        "gap_mean_ms": round(statistics.fmean(gaps), 2) if gaps else None,
        "seconds": round(log.seconds, 1),
    }


def examples(log: Log, most: int = 20) -> list[dict[str, Any]]:
    """The first flickers, offers that vanished and stale ones, so that one can see why. Text of the files."""
    found = [asked for asked in log.asked if asked.verdict in ("flicker", "vanished", "stale")]
    return [
        {
            "key": asked.key,
            "verdict": asked.verdict,
            "source": asked.source,
            "reason": asked.reason,
            "before": asked.shown_before,
            "after": asked.offered,
        }
        for asked in found[:most]
    ]


def _reasons(asked: Iterable[Asked]) -> dict[str, int]:
    without = (one for one in asked if one.verdict in ("empty", "vanished"))
    return dict(Counter(one.reason or "not said" for one in without).most_common())


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _per_100(amount: float, keys: int) -> float | None:
    return round(100 * amount / keys, 3) if keys else None
