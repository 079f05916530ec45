"""The hypothesis tests of texts, positions, documents, fitting and prompts, on new examples: pytest in a process of its
own, with a seed that can be given again. Tests with a number of examples of their own keep it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.findings import Finding

ROOT = Path(__file__).parents[2]
FILES = (
    "tests/fuzz/test_protocol_machine.py",
    "tests/fuzz/test_any_text.py",
    *(
        f"tests/unit/test_{name}.py"
        for name in (
            "text",
            "uris",
            "documents",
            "postprocess",
            "fitting_properties",
            "fitting_scan",
            "alike",
            "budget",
            "chunks",
            "tokens",
            "extent",
            "node_end",
            "how_much",
            "secret_text",
            "syntax",
            "token_index",
            "statistics",
            "store",
            "trace",
            "host_protocol",
            "remote_stream",
        )
    ),
)


def properties(seed: int, examples: int, rounds: int = 2) -> list[Finding]:
    """Run them `rounds` times with `examples` each."""
    files = [file for file in FILES if (ROOT / file).is_file()]
    began = time.monotonic()
    passed = 0
    for number in range(rounds):
        own = seed + number
        failed, count = _round(files, own, examples)
        passed += count
        if failed:
            again = f"AIX_TEST_EXAMPLES={examples} python -m pytest --hypothesis-seed={own} {failed[0]}"
            return [Finding("texts, positions, fitting, prompts", "broken", f"{len(failed)} tests; {again}")]
    seconds = time.monotonic() - began
    return [
        Finding(
            "texts, positions, fitting, prompts",
            "ok",
            f"{passed} property tests, {examples} new examples for most, seeds {seed} to {own}, {seconds:.0f} s",
        )
    ]


def _round(files: list[str], seed: int, examples: int) -> tuple[list[str], int]:
    """Tests that failed, and how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    command += ["-m", "hypothesis", *files]
    environment = {**os.environ, "AIX_TEST_EXAMPLES": str(examples)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=3600)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    counted = re.search(r"(\d+) passed", done.stdout)
    if done.returncode and not failed:
        failed = [f"pytest ended with {done.returncode}: {done.stdout[-200:]!r}"]
    return failed, int(counted[1]) if counted else 0
