"""`aix-lsp config`: the effective settings and where each came from; the generated documents of all options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aix_lsp.cli.setup import read_settings
from aix_lsp.configuration import getattr_dotted, user_file
from aix_lsp.engine.remote_http import without_credentials
from aix_lsp.settings import Option, options
from aix_lsp.settings_documents import json_schema, markdown_table

_ADDRESSES = ("remote.url", "remote.proxy")
"""Options that may hold a user and a password. In others an @ has a meaning of its own (`owner/model@revision`)."""


def run(*, as_json: bool, schema: bool, markdown: bool, model: str | None, assignments: Sequence[str]) -> None:
    """Print the settings, the schema or the table."""
    if schema:
        print(json.dumps(json_schema(), indent=2))  # noqa: T201
        return
    if markdown:
        print(markdown_table(), end="")  # noqa: T201
        return
    configuration = read_settings(model, assignments)
    rows = [
        (item.name, _shown(item, getattr_dotted(configuration.settings, item.name)), configuration.origin(item.name))
        for item in options()
    ]
    if as_json:
        print(json.dumps({name: {"value": value, "origin": origin} for name, value, origin in rows}))  # noqa: T201
        return
    _show(rows)


def _shown(item: Option, value: Any) -> Any:
    """A value as it may be printed: no token, and no password in an address."""
    if item.secret:
        return "(hidden)" if value else ""
    return without_credentials(value) if item.name in _ADDRESSES else value


def _show(rows: Sequence[tuple[str, object, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("option", "value", "from", box=None, padding=(0, 2))
    for name, value, origin in rows:
        style = "" if origin == "default" else "bold"
        table.add_row(name, json.dumps(value), origin, style=style)
    console = Console()
    console.print(table)
    path = user_file()
    console.print(
        f"\nuser file: {path}" + ("" if path.is_file() else " (does not exist)"), markup=False, soft_wrap=True
    )
