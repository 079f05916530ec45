"""Files with damaged bytes, read as the server reads them, in a process whose memory and time are limited.

A damaged file costs at most what its whole form costs: a length of 2^60 must not be believed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from tests.findings import Finding
from tests.fuzz.kept_files import Kept, damage_and_read, index_files, settings_files

MEMORY = 2 << 30
"""Address space beyond what the process has when it begins, in bytes; libraries map some of it and use little."""
SLOWEST_S = 60.0
"""For one file; it takes milliseconds."""


def read_damaged(kept: list[Kept], count: int, seed: int) -> dict[str, Any]:
    """Damage each file `count` times. What was seen: files read, what was wrong by kind, the slowest in seconds."""
    chance = Random(seed)
    wrong: Counter[str] = Counter()
    slowest = 0.0
    for one in kept:
        one_read(one)  # what is imported for it counts for none
        for _ in range(count):
            began = time.monotonic()
            said = damage_and_read(one, Random(chance.randrange(2**32)))
            slowest = max(slowest, time.monotonic() - began)
            if said:
                wrong[said] += 1
    return {"read": count * len(kept), "wrong": dict(wrong), "slowest": slowest}


def index(seed: int, count: int) -> list[Finding]:
    """The kept index."""
    return _findings("index", seed, count // 2)


def settings(seed: int, count: int) -> list[Finding]:
    """Settings, counts, places, headers of a model's folder."""
    return _findings("settings", seed, count)


def _findings(part: str, seed: int, count: int) -> list[Finding]:
    command = [sys.executable, "-m", "tests.fuzz.files", part, str(seed), str(count)]
    limit = 60 + count * 2
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False, cwd=Path(__file__).parents[2])
    except subprocess.TimeoutExpired:
        return [Finding(f"damaged files ({part})", "broken", f"not done after {limit} s, seed {seed}")]
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return [
            Finding(
                f"damaged files ({part})", "broken", f"the process ended with {done.returncode}: {last}, seed {seed}"
            )
        ]
    return rows(part, json.loads(done.stdout))


def rows(part: str, seen: dict[str, Any]) -> list[Finding]:
    """The table's rows for what `read_damaged` saw."""
    what = f"damaged files ({part}): whole and right, or refused"
    if seen["wrong"]:
        return [Finding(what, "broken", "; ".join(list(seen["wrong"])[:5]))]
    memory = f"within {MEMORY >> 30} GiB of address space" if seen.get("limited") else "memory not limited here"
    said = f"{seen['read']:,} files, slowest {seen['slowest']:.2f} s, {memory}"
    return [Finding(what, "ok" if seen["slowest"] <= SLOWEST_S else "broken", said)]


def _limited() -> bool:
    """Whether this system has such a limit; from here on it holds."""
    if sys.platform != "linux":
        return False
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return True


def main() -> None:
    """The limited process: prints what was seen as JSON."""
    part, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    with tempfile.TemporaryDirectory(prefix="aix-") as name:
        folder = Path(name).resolve()
        kept = index_files(folder) if part == "index" else settings_files(folder)
        with contextlib.redirect_stdout(sys.stderr):
            for one in kept:
                one_read(one)
            limited = _limited()
            seen = read_damaged(kept, count, seed)
    print(json.dumps({**seen, "limited": limited}))


def one_read(kept: Kept) -> None:
    """Imports happen before the limit holds."""
    with contextlib.suppress(*kept.refusals):
        kept.read()


if __name__ == "__main__":
    main()
