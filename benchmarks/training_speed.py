"""Tokens a second of one training pass, forward and backward, on one thread: ours and transformers' own.

    python benchmarks/training_speed.py --init mini --length 512 --rows 16

The same random model, rows and loss for all. `compiled` goes through torch.compile, which needs a C++ compiler; its
first pass is not counted. Prints one JSON object; the figures are tokens per second of this process's CPU time, the
best of the passes.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch

from aix_lsp.training.init_config import build_model, read_init, recipe
from aix_lsp.training.objective import Objective
from aix_lsp.training.rows import Batch


def batch_of(vocabulary: int, rows: int, length: int) -> Batch:
    """Rows of random tokens, every one of which is asked for."""
    draw = np.random.default_rng(0)
    count = rows * length
    return Batch(
        ids=torch.from_numpy(draw.integers(300, vocabulary, (rows, length))),
        positions=torch.arange(length).expand(rows, length),
        sees=torch.ones(length, length, dtype=torch.bool).tril().expand(rows, length, length).contiguous(),
        places=torch.arange(count),
        labels=torch.from_numpy(draw.integers(300, vocabulary, count)),
        parts=torch.full((count,), 3),
    )


def speed(objective: Objective, batch: Batch, passes: int) -> float:
    """Tokens per second of CPU time in the best of the passes behind the first."""
    best = 0.0
    for number in range(passes + 1):
        began = time.process_time()
        objective(batch).loss.backward()
        taken = time.process_time() - began
        if number:
            best = max(best, batch.tokens / taken)
    return best


def main() -> None:
    """Read the command line, print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", default="mini")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--passes", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sizes = read_init(recipe(given.init))
    batch = batch_of(sizes.pieces, given.rows, given.length)
    found: dict[str, Any] = {}
    for name, options in (
        ("lean_compiled", {"lean": True, "compiled": True}),
        ("lean", {"lean": True, "compiled": False}),
        ("transformers", {"lean": False}),
    ):
        objective = Objective(build_model(sizes).float(), **options)
        found[name] = round(speed(objective, batch, given.passes))
    print(json.dumps({"init": given.init, "length": given.length, "rows": given.rows, "tokens_per_second": found}))


if __name__ == "__main__":
    main()
