"""`python -m tests.fuzz` (make fuzz): messages, damaged files and texts by chance, and a short table of what held.

python -m tests.fuzz [--messages 200000] [--seed N] [--only protocol|index|settings|text] [--coverage] [--json]
python -m tests.fuzz --replay FILE
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.findings import Finding, report
from tests.fuzz import files, in_process, texts
from tests.fuzz.coverage import Covered
from tests.fuzz.process import REAL
from tests.fuzz.run import Seen, findings, in_processes, in_this_process
from tests.fuzz.shrink import kept
from tests.model_host import shared_model

PARTS = ("protocol", "index", "settings", "text")
IN_PROCESS, WITH_MODEL = 0.75, 0.02
"""Shares of the messages: to the server in this process, and to a real one with the embedded model. The rest goes to a
process with the scripted engine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts; the exit code is 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="printed, so that a run can be had again")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument(
        "--coverage", action="store_true", help="which lines the messages reach; guides them, and is slow"
    )
    parser.add_argument("--replay", type=Path, help="a file that a run has written")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.replay is not None:
        return replay(given.replay)
    began = time.monotonic()
    rows: list[Finding] = []
    if given.only in (None, "protocol"):
        rows += protocol(given.messages, given.seed, coverage=given.coverage)
    if given.only in (None, "index"):
        rows += files.index(given.seed, max(100, given.messages // 100))
    if given.only in (None, "settings"):
        rows += files.settings(given.seed, max(100, given.messages // 100))
    if given.only in (None, "text"):
        rows += texts.properties(given.seed, max(20, given.messages // 1000))
    seconds = time.monotonic() - began
    return report(f"fuzz: seed {given.seed}, {seconds:.0f} s", rows, as_json=given.json)


def protocol(messages: int, seed: int, *, coverage: bool = False) -> list[Finding]:
    """Messages to three servers, one after the other."""
    rows: list[Finding] = []
    covered = Covered() if coverage else None
    here = int(messages * IN_PROCESS)
    real = int(messages * WITH_MODEL)
    if covered is not None:
        with covered.watching():
            seen = in_this_process(here, seed, covered=covered, save_in=Path.cwd())
        rows += [_share(covered)]
    else:
        seen = in_this_process(here, seed, save_in=Path.cwd())
    rows += findings("server in this process", seen)
    _tell(seen)
    seen = in_processes(messages - here - real, seed + 1)
    rows += findings("server process", seen)
    _tell(seen)
    if real and sys.platform != "win32":
        with shared_model() as environment:
            seen = in_processes(real, seed + 2, command=REAL, env=environment, ready=_is_ready)
        rows += findings("server with the embedded model", seen)
        _tell(seen)
    return rows


def _is_ready(status: object) -> bool:
    return isinstance(status, dict) and status.get("state") == "ready"


def _share(covered: Covered) -> Finding:
    chosen = [
        share
        for share in covered.shares()
        if share[0].startswith(("server/handlers", "workspace"))
        or share[0] in ("server/protocol.py", "server/session.py", "text.py", "uris.py")
    ]
    for name, reached, there, missed in chosen:
        print(f"  {name}: {reached} of {there} lines; not {missed[:20]}", file=sys.stderr)
    reached, there = sum(share[1] for share in chosen), sum(share[2] for share in chosen)
    return Finding("lines of handlers, documents and positions reached", "ok", f"{reached} of {there}")


def _tell(seen: Seen) -> None:
    if not seen.broken:
        print(f"  {seen.sent} messages in {seen.seconds:.0f} s", file=sys.stderr)
        return
    print(f"broken: {seen.broken}\nseed {seen.seed}, {len(seen.steps)} steps: {seen.steps[:40]}", file=sys.stderr)
    if seen.file is not None:
        print(f"see it again: python -m tests.fuzz --replay {seen.file}", file=sys.stderr)


def replay(file: Path) -> int:
    """Play a kept sequence again and show its messages."""
    seed, steps = kept(file)
    shown: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="aix-") as name:
        folder = Path(name).resolve()
        with in_process.own_place(folder):
            judge = asyncio.run(in_process.play(seed, steps, folder, 10.0, sent=shown))
    for frame in shown:
        print(frame[:400].decode(errors="backslashreplace").replace("\r\n", " "))
    state = "broken" if judge.broken else "ok"
    return report(f"replay of {file.name}", [Finding("the sequence", state, "; ".join(judge.broken))])  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
