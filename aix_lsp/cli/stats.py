"""`aix-lsp stats`: what was shown, accepted and kept on this machine, and how long answers took."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from aix_lsp.completion.statistics import PERCENTILES, sum_of, summary
from aix_lsp.completion.statistics_file import Row, read_rows, statistics_file
from aix_lsp.completion.trace_words import printable

_NO_NAME = "(none)"


def run(*, as_json: bool, days: int | None, language: str | None) -> None:
    """Print the counts in all, by language and by day, of the last `days` days (today is one of them) and one language
    if given. Reads the file that servers write and nothing else."""
    path = statistics_file()
    rows = [
        row
        for row in read_rows(path)
        if (days is None or row.day >= first_day(days)) and (language is None or row.language == language)
    ]
    data = {
        "file": str(path),
        "total": summary(sum_of(rows)),
        "languages": _groups(rows, lambda row: row.language),
        "days": _groups(rows, lambda row: row.day),
    }
    if as_json:
        print(json.dumps(data))  # noqa: T201
    elif rows:
        _show(data)
    else:
        print(_nothing(path, days, language))  # noqa: T201


def first_day(days: int, today: str = "") -> str:
    """The first of so many days up to today, as it is written in the file."""
    last = date.fromisoformat(today or time.strftime("%Y-%m-%d"))
    return (last - timedelta(days=min(days, last.toordinal()) - 1)).isoformat()


def _groups(rows: list[Row], key: Callable[[Row], str]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(key(row) or _NO_NAME, Counter()).update(row.counts)
    return {name: summary(counts[name]) for name in sorted(counts)}


def _nothing(path: Path, days: int | None, language: str | None) -> str:
    asked = (f" for {language}" if language else "") + (f" since {first_day(days)}" if days is not None else "")
    count = f"servers count while statistics.enabled is on, and write to {path} once a minute"
    return f"nothing has been counted{asked} yet; {count}"


def _show(data: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    times = "/".join(PERCENTILES)
    table = Table(
        box=None, padding=(0, 1), caption=f"times are {times} in ms, shares of kept are of what could be followed"
    )
    for heading in ("", "shown", "accepted", "in part", "typed", "kept 30 s", "120 s", "characters", "model", "cached"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    table.add_row("[bold]all[/bold]", *_cells(data["total"]))
    for part in ("languages", "days"):
        table.add_row()
        for name, counts in data[part].items():
            table.add_row(escape(printable(name)), *_cells(counts))
    console = Console(highlight=False)
    console.width = max(console.width, 120)  # a narrow terminal wraps lines, where the table would cut numbers off
    console.print(table)
    console.print(f"counted in {data['file']}, on this machine only", soft_wrap=True, markup=False)


def _cells(counts: Mapping[str, Any]) -> list[str]:
    accepted = f"{counts['accepted']:,}"
    if counts["accepted_share"] is not None:
        accepted += f" ({counts['accepted_share']:.0%})"
    return [
        f"{counts['shown']:,}",
        accepted,
        f"{counts['partly_accepted']:,}",
        f"{counts['typed_through']:,}",
        *("-" if counts[name] is None else f"{counts[name]:.0%}" for name in ("kept_30_share", "kept_120_share")),
        f"{counts['characters_saved']:,}",
        *(_times(counts["latency_ms"][kind]) for kind in ("model", "cached")),
    ]


def _times(latency: Mapping[str, Any]) -> str:
    if not latency["answers"]:
        return "-"
    return "/".join(f"{latency[name]:.{0 if latency[name] >= 10 else 1}f}" for name in PERCENTILES)
