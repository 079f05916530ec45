"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Model = Annotated[Optional[str], typer.Option("--model", help="Catalog name, Hugging Face name, or folder.")]  # noqa: UP045
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="SECTION.OPTION=VALUE", help="Set an option for this run; may be repeated."),
]
Workspace = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--workspace", help="Folder whose other files are quoted; default: the file's repository."),
]
