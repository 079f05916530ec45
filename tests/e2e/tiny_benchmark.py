"""A benchmark of a few lines, and a command that runs it as `aix-lsp eval` runs the published ones.

python -m tests.e2e.tiny_benchmark DIR [--interrupt] [--second]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aix_lsp.cli.eval_benchmark import answered
from aix_lsp.cli.failure import fail
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.benchmark import Loaded, Metric, Output, Sample

PARTS = (("width", "height"), ("left", "right"), ("first", "second"), ("price", "amount"), ("minutes", "seconds"))


HALFWAY = "tiny/4"


class TinyBenchmark:
    """`count` functions whose last word is missing. `at_half` is called while the answer to the fifth is scored."""

    name = "tiny"
    protocol = "The rest of a line, greedy; made for the tests."
    metrics: Sequence[Metric] = (Metric("exact", "exact match"), Metric("length", "length", "characters", ""))

    def __init__(self, count: int = 10, at_half: Callable[[], None] = lambda: None) -> None:
        self._count = count
        self._at_half = at_half

    def load(self, limit: int, seed: int) -> Loaded:
        """The same for all seeds."""
        samples = [self._sample(number) for number in range(self._count)]
        return Loaded(samples[:limit] if limit else samples, problems=("line 3 of tiny.jsonl is no JSON",))

    def _sample(self, number: int) -> Sample:
        one, other = PARTS[number % len(PARTS)]
        return Sample(
            id=f"tiny/{number}",
            language="python",
            scenario="rest of a line" if number % 2 else "return",
            name=f"area_{number}.py",
            before=f"def area_{number}({one}, {other}):\n    return {one} *",
            after=f"\n\n\ndef volume_{number}({one}, {other}, depth):\n    return {one} * {other} * depth\n",
            wanted=f" {other}",
            stop="line",
            max_new_tokens=12,
        )

    def score(self, sample: Sample, output: Output) -> Mapping[str, float | None]:
        """Whether it is what was wanted, and how long it is."""
        if sample.id == HALFWAY:
            self._at_half()
        return {"exact": float(output.text.rstrip() == sample.wanted), "length": float(len(output.text))}


def main() -> None:
    """Run it into a folder; with --interrupt Ctrl-C comes halfway, with --second another process wants to write."""
    folder, *options = sys.argv[1:]

    def at_half() -> None:
        if "--interrupt" in options:
            os.kill(os.getpid(), signal.SIGINT)
        if "--second" in options:
            command = [sys.executable, "-m", __spec__.name, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            sys.stderr.write(f"second: {done.returncode}: {done.stderr}")

    try:
        answered(TinyBenchmark(at_half=at_half), Asked(threads=1), out=Path(folder))
    except Exception as error:  # noqa: BLE001  # as `aix_lsp.cli.main` does
        fail(error)


if __name__ == "__main__":
    main()
