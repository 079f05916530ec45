"""One completion of the demo, as it is shown or printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FILE = "shop/invoice.py"
"""The file that the demo types."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One completion: the text typed so far, the offer, and the server's own account of it."""

    typed: str
    ghost: str
    line: int
    column: int
    trace: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """`complete --json`'s shape plus the place (1-based)."""
        kept = {key: self.trace[key] for key in ("completions", "snippets", "timings_ms", "model")}
        return {**kept, "file": FILE, "line": self.line, "column": self.column}
