"""Sessions one after the other until so many messages were sent, with what was seen in all of them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.findings import Finding
from tests.fuzz import dialects as dialects  # its steps
from tests.fuzz import in_process, process
from tests.fuzz import notebooks as notebooks
from tests.fuzz import wild as wild
from tests.fuzz.coverage import Covered
from tests.fuzz.judge import Judge
from tests.fuzz.shrink import keep, shrunk
from tests.fuzz.steps import STEPS

Steps = list[tuple[str, int]]
SESSION = 800
MODELS_EVERY = 700
"""Steps between two questions for the models, each of which starts a process."""
MOST_GROWTH_MIB = 16.0
"""Of a server process after warm-up. A kept future with its task and context (about 1 KiB) per message would be 28 MiB
in 30,000 messages. In this process nothing is said of memory: each session makes a server, and cattrs keeps the code
that it has generated for each (`linecache`), about 1 MiB."""
ENOUGH_TO_JUDGE = 20_000


@dataclass
class Seen:
    """Figures of many sessions. `file` is what `--replay` takes, where something is broken."""

    sessions: int = 0
    sent: int = 0
    requests: int = 0
    compared: int = 0
    runs: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    broken: str = ""
    steps: Steps = field(default_factory=list)
    seed: int = 0
    file: Path | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    watch: process.Watch = field(default_factory=process.Watch)

    def add(self, judge: Judge) -> None:
        """One more session."""
        self.sessions += 1
        self.sent += judge.sent
        self.requests += judge.requests
        self.compared += judge.compared
        self.runs += judge.runs
        self.longest = max(self.longest, judge.longest)


def some_steps(chance: Random, count: int, kept: list[tuple[str, int]] | None = None) -> Steps:
    """Steps by their weights, and `MODELS_EVERY`. One in five is of `kept`: they reached lines that no other had."""
    names = list(STEPS)
    weights = [STEPS[name][0] for name in names]
    steps: Steps = []
    for number, name in enumerate(chance.choices(names, weights, k=count), 1):
        if number % MODELS_EVERY == 0:
            steps.append(("asks_for_models", 0))
        elif kept and chance.random() < 0.2:
            steps.append(chance.choice(kept))
        else:
            steps.append((name, chance.randrange(2**32)))
    return steps


def in_this_process(
    messages: int,
    seed: int,
    *,
    covered: Covered | None = None,
    told: Callable[[str], None] = lambda _: None,
    patience: float = 60.0,
    save_in: Path | None = None,
) -> Seen:
    """Play sessions in this process; the first that breaks a promise ends it and is shortened."""
    seen = Seen()
    chance = Random(seed)
    began = time.monotonic()
    kept: list[tuple[str, int]] = []
    with tempfile.TemporaryDirectory(prefix="aix-") as name:
        folder = Path(name).resolve()
        with in_process.own_place(folder):
            while seen.sent < messages and not seen.broken:
                own = chance.randrange(2**32)
                steps = some_steps(chance, min(SESSION, messages - seen.sent + 50), kept)
                on_step = (lambda *step: kept.append(step) if covered.news() else None) if covered else None
                judge = asyncio.run(in_process.play(own, steps, folder, patience, on_step))
                seen.add(judge)
                seen.kinds.update(name for name, _ in steps)
                if judge.broken:
                    seen.broken, seen.seed = judge.broken[0], own
                    seen.steps = _shortened(own, steps, folder, judge.broken[0])
            if seen.broken and save_in is not None:
                seen.file = save_in / f"fuzz-{seen.seed}.json"
                keep(seen.file, seen.seed, seen.steps, seen.broken)
    seen.seconds = time.monotonic() - began
    told(f"{seen.sent} messages in this process")
    return seen


def _shortened(seed: int, steps: Steps, folder: Path, broken: str) -> Steps:
    kind = broken[:12]

    def breaks(some: Steps) -> bool:
        found = asyncio.run(in_process.play(seed, some, folder, 5.0)).broken
        return bool(found) and found[0][:12] == kind

    return shrunk(steps, breaks) if breaks(steps) else steps


def in_processes(messages: int, seed: int, **options: object) -> Seen:
    """Play one long session against a server process."""
    seen = Seen()
    chance = Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aix-") as name:
        folder = Path(name).resolve()
        with in_process.own_place(folder):
            steps = some_steps(chance, int(messages / 1.35) + 1)
            judge = asyncio.run(process.play(seed, steps, folder, watch=seen.watch, **options))  # type: ignore[arg-type]
            seen.add(judge)
            if judge.broken:
                seen.broken, seen.seed, seen.steps = judge.broken[0], seed, steps
    seen.seconds = time.monotonic() - began
    return seen


def findings(where: str, seen: Seen) -> list[Finding]:
    """Rows of the table."""
    state = "broken" if seen.broken else "ok"
    rate = seen.sent / max(seen.seconds, 0.001)
    rows = [
        Finding(
            f"{where}: nothing a client sends breaks it",
            state,  # type: ignore[arg-type]
            seen.broken or f"{seen.sent:,} messages, {seen.sessions} sessions, {rate:,.0f} per second",
        )
    ]
    if not seen.broken:
        rows += [
            Finding(
                f"{where}: each request answered once",
                "ok",
                f"{seen.requests:,} requests, {seen.runs:,} runs of the engine",
            ),
            Finding(f"{where}: text equal to the client's", "ok", f"{seen.compared:,} comparisons"),
            Finding(f"{where}: no request waits long", "ok", f"longest {seen.longest:.2f} s"),
        ]
    growth, memory = seen.watch.growth, seen.watch.memory
    if memory and seen.sent >= ENOUGH_TO_JUDGE:
        grows = "ok" if growth <= MOST_GROWTH_MIB else "broken"
        rows.append(
            Finding(
                f"{where}: memory flat after warm-up",
                grows,  # type: ignore[arg-type]
                f"{growth:+.1f} MiB of {memory[-1]:.0f} MiB (at most {MOST_GROWTH_MIB:.0f}), "
                f"{seen.watch.threads[-1]} threads, {seen.watch.files[-1]} open files",
            )
        )
    return rows
