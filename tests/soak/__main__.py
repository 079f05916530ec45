"""`python -m tests.soak` (make soak): hours of an editor's work against one server, and whether it grew.

python -m tests.soak [--seconds 3600] [--documents 50] [--seed N] [--speed 1] [--out FILE] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.findings import report
from tests.soak.soak import Plan, soak
from tests.soak.verdict import judge, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the table; the exit code is 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="in all; latency is judged from 600 on")
    parser.add_argument("--documents", type=int, default=50, help="that are typed in")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than a person the keys come")
    parser.add_argument("--out", type=Path, help="write the samples to this file, as JSON lines")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.seconds <= 0 or given.documents < 1 or given.speed <= 0:
        parser.error("--seconds, --documents and --speed want numbers above 0")
    began = time.monotonic()
    plan = Plan(given.seconds, given.documents, given.seed, given.speed, given.out)
    seen = asyncio.run(soak(plan))
    if not given.json:
        done = ", ".join(f"{count} {name}" for name, count in seen.done.most_common())
        warm = f"warm-up until {seen.warm_until:.0f} s, {os.cpu_count()} cores"
        print("\n".join([*table(seen), f"  {warm}; done: {done}"]))
    title = f"soak: {time.monotonic() - began:.0f} s, {given.documents} documents, seed {given.seed}"
    return report(title, judge(seen, timing=plan.long), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
