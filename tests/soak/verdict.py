"""What the samples of a soak say: one finding per promise. Pure functions of what was seen.

The measured time begins when the warm-up has ended (`soak.py` says when) and is cut into tenths. Growth is the last
tenth against the first. A run of seconds is over before the server has given back free memory once, which it does every
minute: there memory is compared at rest, after that was done.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.findings import Finding, State
from tests.soak.measure import MIB, Rest, Sample

MEMORY = 0.05
LATENCY = 0.2
IDLE = 0.02
ENOUGH_ANSWERS = 100
TENTHS = 10


@dataclass(slots=True)
class Seen:
    """All that was seen of one run. `answers` and `references` are (seconds since the start, milliseconds): of requests
    that nobody cancelled, and of the reference work. `done` counts what was done by name."""

    warm_until: float = 0.0
    ended: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    answers: list[tuple[float, float]] = field(default_factory=list)
    references: list[tuple[float, float]] = field(default_factory=list)
    requests: int = 0
    unanswered: list[str] = field(default_factory=list)
    twice: int = 0
    failed: list[str] = field(default_factory=list)
    checks: int = 0
    lost: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def tenth(self, seconds: float) -> int | None:
        """Which tenth of the measured time this moment lies in; None in the warm-up."""
        if seconds < self.warm_until or self.ended <= self.warm_until:
            return None
        return min(TENTHS - 1, int(TENTHS * (seconds - self.warm_until) / (self.ended - self.warm_until)))


def judge(seen: Seen, *, timing: bool) -> list[Finding]:
    """A finding for each promise. Without `timing` (a short run) nothing depends on how fast the machine is."""
    return [
        _memory(seen) if timing else _memory_at_rest(seen),
        *(_constant(seen, what) for what in ("threads", "handles", "sockets", "children", "tasks")),
        _latency(seen, timing),
        _idle(seen, timing),
        _lost(seen),
        _answered(seen),
        _none("nothing is logged at ERROR level", seen.errors),
    ]


GROWS = f"memory grows by at most {MEMORY:.0%} after the warm-up"


def growth(seen: Seen) -> float | None:
    """How much the median of the server's own memory in the last tenth is above that in the first one; None where
    a tenth has no samples."""
    first, last = (_own(seen, tenth) for tenth in (0, TENTHS - 1))
    return last / first - 1 if first and last else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def in_tenth(seen: Seen, values: Sequence[tuple[float, float]], tenth: int) -> list[float]:
    """The second of each pair whose first lies in this tenth."""
    return [value for seconds, value in values if seen.tenth(seconds) == tenth]


def _own(seen: Seen, tenth: int) -> float | None:
    found = [sample.own for sample in seen.samples if seen.tenth(sample.seconds) == tenth]
    return statistics.median(found) if found else None


def _memory(seen: Seen) -> Finding:
    grown = growth(seen)
    if grown is None:
        return Finding(GROWS, "broken", "there are no samples")
    first, last = (_own(seen, tenth) or 0 for tenth in (0, TENTHS - 1))
    told = f"{grown:+.1%}: median {first / MIB:.0f} MiB, then {last / MIB:.0f} MiB"
    return Finding(GROWS, _state(grown <= MEMORY), told)


def _memory_at_rest(seen: Seen) -> Finding:
    if len(seen.rests) < 2:
        return Finding(GROWS, "broken", "the server did not come to rest twice")
    first, last = seen.rests[0].own, seen.rests[-1].own
    told = f"{last / first - 1:+.1%}: at rest {first / MIB:.0f} MiB, then {last / MIB:.0f} MiB"
    return Finding(GROWS, _state(last <= (1 + MEMORY) * first), told)


def _constant(seen: Seen, what: str) -> Finding:
    """As many at rest at the end as after the warm-up, or fewer. Of a leak, which ones are more is told."""
    name = f"{what} at rest are constant"
    if len(seen.rests) < 2:
        return Finding(name, "broken", "the server did not come to rest twice")
    first, last = seen.rests[0], seen.rests[-1]
    counts = [getattr(rest, what) for rest in seen.rests]
    more = {kind: count - first.names.get(kind, 0) for kind, count in last.names.items()}
    told = ", ".join(f"{kind} +{count}" for kind, count in sorted(more.items()) if count > 0 and counts[-1] > counts[0])
    line = " ".join(str(count) for count in counts)
    return Finding(name, _state(counts[-1] <= counts[0]), f"{line}{f' ({told})' if told else ''}")


def _latency(seen: Seen, timing: bool) -> Finding:
    """p95 of the last tenth against the first. Where the machine itself was slower in the last tenth (p95 of the
    reference work), the server may be slower by as much."""
    name = f"p95 of the last tenth is within {LATENCY:.0%} of the first"
    answers = [in_tenth(seen, seen.answers, tenth) for tenth in (0, TENTHS - 1)]
    first, last = (percentile(values, 0.95) for values in answers)
    if first is None or last is None:
        return Finding(name, "broken" if timing else "skipped", "too few requests")
    told = f"{first:.0f} ms, then {last:.0f} ms ({last / first - 1:+.0%})"
    slower = _machine(seen)
    if slower is not None:
        told += f"; reference work {slower - 1:+.0%}"
    if not timing or min(map(len, answers)) < ENOUGH_ANSWERS:
        return Finding(name, "skipped", f"{told}; too short a run to say")
    return Finding(name, _state(last / first <= (1 + LATENCY) * max(1.0, slower or 1.0)), told)


def _machine(seen: Seen) -> float | None:
    first, last = (percentile(in_tenth(seen, seen.references, tenth), 0.95) for tenth in (0, TENTHS - 1))
    return last / first if first and last else None


def _idle(seen: Seen, timing: bool) -> Finding:
    name = f"at rest the server takes at most {IDLE:.0%} of a core"
    if not seen.rests:
        return Finding(name, "broken", "the server did not come to rest")
    shares = [rest.idle for rest in seen.rests]
    told = " ".join(f"{share:.1%}" for share in shares)
    return Finding(name, _state(statistics.median(shares) <= IDLE) if timing else "skipped", told)


def _lost(seen: Seen) -> Finding:
    told = f"{seen.checks} comparisons of all open documents, {seen.done['key']} keys"
    found = seen.lost or ([] if seen.checks else ["nothing was compared"])
    return Finding("no edit is lost", _state(not found), found[0] if found else told)


def _answered(seen: Seen) -> Finding:
    wrong = []
    if seen.unanswered:
        wrong.append(f"{len(seen.unanswered)} unanswered, the first {seen.unanswered[0]}")
    if seen.twice:
        wrong.append(f"{seen.twice} answered twice")
    if seen.failed:
        wrong.append(f"{len(seen.failed)} failed, the first: {seen.failed[0]}")
    if not seen.requests:
        wrong.append("nothing was asked")
    told = f"{seen.requests} requests"
    return Finding("every request is answered once", _state(not wrong), "; ".join(wrong) or told)


def _none(name: str, found: Sequence[str]) -> Finding:
    return Finding(name, _state(not found), f"{len(found)}, the first: {found[0]}" if found else "")


def _state(held: bool) -> State:
    return "ok" if held else "broken"


def table(seen: Seen) -> list[str]:
    """A line per tenth: memory, requests and their latency, processor time, and the machine."""
    lines = ["  tenth  own MiB  children  threads  handles  requests  p50 ms  p95 ms  CPU ms/run  reference ms  load"]
    for tenth in range(TENTHS):
        samples = [sample for sample in seen.samples if seen.tenth(sample.seconds) == tenth]
        if len(samples) < 2:
            continue
        answers = in_tenth(seen, seen.answers, tenth)
        references = in_tenth(seen, seen.references, tenth)
        runs = samples[-1].runs - samples[0].runs
        cpu = 1000 * (samples[-1].cpu - samples[0].cpu) / runs if runs else float("nan")
        middle = [
            statistics.median(getattr(sample, name) for sample in samples) for name in ("own", "threads", "handles")
        ]
        children = max(sample.children_own for sample in samples)
        p50, p95 = (percentile(answers, share) or float("nan") for share in (0.5, 0.95))
        reference = percentile(references, 0.95) or float("nan")
        load = statistics.fmean(sample.load for sample in samples)
        lines.append(
            f"  {tenth + 1:>5}  {middle[0] / MIB:>7.1f}  {children / MIB:>8.0f}  {middle[1]:>7.0f}  {middle[2]:>7.0f}"
            f"  {len(answers):>8}  {p50:>6.0f}  {p95:>6.0f}  {cpu:>10.0f}  {reference:>12.0f}  {load:>4.1f}"
        )
    return lines
