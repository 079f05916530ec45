"""From files to pieces on disk, project by project, each project with snippets from its own other files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aix_lsp.prompt.fim import FimFamily
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.corpus.store import write_json
from aix_lsp.training.piece_store import PieceStoreError, write_shards
from aix_lsp.training.pieces import Piece
from aix_lsp.training.snippets import SnippetFinder
from aix_lsp.training.windows import WindowDrawer, WindowSettings
from aix_lsp.types import Tokenizer

_DONE = "prepared.json"


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """How much of each project is taken.

    `tokens_per_project` keeps large projects from drowning the others (None takes all). `indexed` files of a project
    at most, those that are taken first, are searched for snippets.
    """

    tokens_per_project: int | None = None
    indexed: int = 1200
    seed: int = 0


def prepared(
    projects: Iterable[tuple[str, Sequence[SourceFile]]],
    tokenizer: Tokenizer,
    family: FimFamily,
    windows: WindowSettings,
    settings: PrepareSettings,
    *,
    progress: Callable[[str, int], None] = lambda project, tokens: None,
) -> Iterator[Piece]:
    """Pieces of all projects, one project after another, its files in an order drawn from the seed.

    `progress` gets each project's name with the tokens taken of it.
    """
    drawer = WindowDrawer(tokenizer, family, windows, seed=settings.seed)
    for project, files in projects:
        order = list(files)
        random.Random(f"{settings.seed} {project}").shuffle(order)
        taken, finder = 0, None
        if windows.snippets > 0 and len(order) > 1:
            finder = SnippetFinder(order[: settings.indexed])
        for file in order:
            if settings.tokens_per_project is not None and taken >= settings.tokens_per_project:
                break
            for piece in drawer.pieces(file, finder):
                taken += len(piece)
                yield piece
        progress(project, taken)


def prepare(
    projects: Iterable[tuple[str, Sequence[SourceFile]]],
    tokenizer: Tokenizer,
    family: FimFamily,
    out: Path,
    windows: WindowSettings,
    settings: PrepareSettings,
    *,
    progress: Callable[[str, int], None] = lambda project, tokens: None,
) -> int:
    """Write the pieces of all projects as shards into `out`; the number of tokens.

    A folder that is whole already is left as it is; shards of an interrupted run are written anew. Raises
    PieceStoreError when there was nothing to take, OSError of a full disk.
    """
    done = out / _DONE
    if done.is_file():
        return int(json.loads(done.read_text(encoding="utf-8"))["tokens"])
    for path in out.glob("pieces-*"):
        path.unlink()
    tokens = write_shards(prepared(projects, tokenizer, family, windows, settings, progress=progress), out)
    if not tokens:
        raise PieceStoreError(f"there is nothing to learn from: no file gave a piece for {out.name}")
    write_json(done, {"tokens": tokens})
    return tokens
