"""`aix-lsp convert`: weights of the Megatron form become a folder that `model.name` takes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from aix_lsp.engine.convert import Known, convert


def run(*, source: Path, out: Path, known: Known, as_json: bool) -> None:
    """Convert, showing how it goes, and say how to use the result."""

    def progress(done: int, of: int) -> None:
        if not as_json:
            sys.stderr.write(f"shard {done} of {of} written\n")
            sys.stderr.flush()

    checkpoint = convert(source.expanduser(), out.expanduser(), known, progress=progress)
    folder = out.expanduser().resolve()
    if as_json:
        data = {
            "out": str(folder),
            "parameters": checkpoint.parameters,
            "files": [path.name for path in checkpoint.weights],
        }
        print(json.dumps(data))  # noqa: T201
        return
    print(f"{checkpoint.parameters / 1e9:.2f} billion parameters")  # noqa: T201
    print(f"{folder} is ready: aix-lsp serve --model {shlex.quote(str(folder))}")  # noqa: T201
