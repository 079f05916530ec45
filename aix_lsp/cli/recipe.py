"""`aix-lsp recipe`: a model from nothing, by a recipe."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from aix_lsp.cli.failure import UsageError

_PACKAGES = ("accelerate", "datasketch", "detect_secrets", "ruff", "sklearn")


def run(*, recipe: str, work: Path, until: str | None, start: Path | None) -> None:
    """Follow a recipe in the folder `work`, up to the stage `until`; the same call goes on with what was stopped.

    `start` is a model's folder in place of the one that the recipe trains on.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"a recipe needs packages that are not here ({', '.join(missing)}): pip install 'aix-lsp[train]'"
        )
    from aix_lsp.training.recipe import RECIPES, read_recipe
    from aix_lsp.training.stages import STAGES, Stage, Work, bundled, follow

    last: Stage = STAGES[-1]
    if until is not None:
        if until not in get_args(Stage):
            raise UsageError(f"there is no stage {until}; the stages are {', '.join(STAGES)}")
        last = STAGES[STAGES.index(until)]
    path = Path(recipe)
    base = RECIPES if bundled(recipe) else path.parent
    try:
        read = read_recipe(path)
        if start is not None:
            if read.start is None:
                raise UsageError(f"{recipe} makes a new model; there is nothing for --start")
            read = replace(read, start=str(start.resolve()))
        follow(read, Work(work), base=base, until=last, tell=_tell)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if last == STAGES[-1]:
        sys.stdout.write(f"{Work(work).model}\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
