"""`python -m tests.faults` (make faults): every fault against a real server, and a short table of what held.

python -m tests.faults [--only WORDS] [--group model|workspace|remote|client] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.fault import FAULTS, Fault, play
from tests.findings import Finding, report
from tests.model_host import shared_model


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the chosen faults; the exit code is 1 where a promise is broken."""
    import tests.faults.every  # noqa: F401

    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="those whose name holds these words")
    parser.add_argument("--group", default="", help="model, workspace, remote or client")
    parser.add_argument("--quick", action="store_true", help="those of make test")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    chosen = [
        one
        for one in FAULTS.values()
        if given.only in one.name and given.group in ("", one.group) and (one.quick or not given.quick)
    ]
    began = time.monotonic()
    with shared_model() as shared:
        findings = [_played(one, shared) for one in chosen]
    return report(f"faults: {len(findings)} in {time.monotonic() - began:.0f} s", findings, as_json=given.json)


def _played(one: Fault, shared: Mapping[str, str]) -> Finding:
    with tempfile.TemporaryDirectory(prefix="aix-") as folder:
        finding = asyncio.run(play(one, Path(folder).resolve(), shared))
    print(f"  {finding.state}: {finding.name}", file=sys.stderr)
    return finding


if __name__ == "__main__":
    sys.exit(main())
