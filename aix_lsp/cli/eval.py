"""`aix-lsp eval`: measurements on the user's own code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from aix_lsp.cli.failure import UsageError


def run_retrieval(*, folders: Sequence[Path], cases: int, seed: int, as_json: bool, out: Path | None) -> None:
    """Compare ways of retrieving on the cross-file cases of checkouts; `out` gets the data and a chart."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder")
    from aix_lsp.evaluation.report import chart_of, data_of, table_of
    from aix_lsp.evaluation.retrieval import evaluate

    results = []
    for folder in folders:
        found = evaluate(folder, count=cases, seed=seed)
        sys.stderr.write(f"aix-lsp: {folder.resolve().name}: {len(found)} cases\n")
        results += found
    data = {"seed": seed, **data_of(results)}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "retrieval.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        (out / "retrieval.svg").write_text(chart_of(data), encoding="utf-8")
    if as_json:
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
        return
    from rich.console import Console

    # not narrower than its columns, also where the output is a file
    Console(width=max(Console().width, 150), highlight=False).print(table_of(data))
