"""`--model`, `--adapter` and `--set section.option=value` as one source of settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aix_lsp.cli.failure import UsageError


def command_line(model: str | None, assignments: Sequence[str], adapter: str | None = None) -> dict[str, Any]:
    """Dotted names to values. A value that is JSON counts as such (numbers, true, lists), everything else as text."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or "." not in name:
            raise UsageError(f"--set wants SECTION.OPTION=VALUE, such as prompt.format=spm, not {assignment!r}")
        try:
            values[name.strip()] = json.loads(text)
        except ValueError:
            values[name.strip()] = text
    if model is not None:
        values["model.name"] = model
    if adapter is not None:
        # Whole, because an editor may start the server anywhere.
        values["model.adapter"] = str(Path(adapter).expanduser().resolve())
    return values
