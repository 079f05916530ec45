"""The options of `aix-lsp download` and `aix-lsp convert`."""

from __future__ import annotations

from pathlib import Path
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


def convert(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the .pt file(s) and tokenizer.model.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the result; new or empty.")],
    heads: Annotated[int, typer.Option("--heads", min=1, help="Attention heads (aiXcoder-7B's).")] = 32,
    rope_theta: Annotated[float, typer.Option("--rope-theta", help="Base of the rotary angles.")] = 256_000.0,
    norm_eps: Annotated[float, typer.Option("--norm-eps", help="Smallest variance of the norms.")] = 1e-5,
    positions: Annotated[int, typer.Option("--positions", min=1, help="Context length in tokens.")] = 32_768,
    json: Json = False,
) -> None:
    """Turn aiXcoder's Megatron weights (aix3-7b-base.pt, or one file per rank) into the Hugging Face layout."""
    from aix_lsp.cli.convert import run
    from aix_lsp.engine.convert import Known

    run(source=source, out=out, known=Known(heads, rope_theta, norm_eps, positions), as_json=json)
