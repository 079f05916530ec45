"""The options of `aix-lsp download` and `aix-lsp convert`."""

from __future__ import annotations

from typing import Annotated

import typer

from aix_lsp.cli.options import Json


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Catalog name (aixcoder-7b), or owner/model.")],
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without being asked.")] = False,
    json: Json = False,
) -> None:
    """Fetch a model into the local cache: licence first, resumed where it was broken off, checksums verified."""
    from aix_lsp.cli.download import run

    run(name=name, yes=yes, as_json=json)
