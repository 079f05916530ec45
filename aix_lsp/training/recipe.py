"""A recipe: everything that decides a model made from scratch, in one TOML file.

The tables are the settings of the steps, field by field; what a table leaves out keeps its default there. Sizes of the
model are a file of their own (`init`), beside the recipe.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from aix_lsp.engine.prompt_limits import limits_of
from aix_lsp.training.loop import LoopSettings
from aix_lsp.training.objective import Weights
from aix_lsp.training.optim import OptimizerSettings
from aix_lsp.training.prepare import PrepareSettings
from aix_lsp.training.windows import WindowSettings

RECIPES = Path(__file__).parent / "recipes"


class RecipeError(ValueError):
    """A recipe cannot be followed; the message is one line that names the file and the field."""


@dataclass(frozen=True, slots=True)
class CorpusTable:
    """Where text comes from and what of it is kept: either `sources`, a list of packages to download (`sources.py`),
    or `folders` of projects, both relative to the recipe. The rest are options of `aix-lsp corpus build`."""

    sources: str | None = None
    folders: tuple[str, ...] = ()
    languages: tuple[str, ...] | None = None
    tests_share: float | None = None
    characters_per_project: int | None = None
    allow_unknown: bool = False
    analysis: bool = True


@dataclass(frozen=True, slots=True)
class TokenizerTable:
    """Most characters of the corpus that a tokenizer is learned from. How many pieces says the `init` file."""

    characters: int = 30_000_000


@dataclass(frozen=True, slots=True)
class TrainTable:
    """What a run takes besides loop and rates: `processes` beside one another, the lengths of rows, tokens in a batch
    of one process, the share of files that are held out, the tokens of them that a validation looks at, and whether the
    model's pass is compiled (a minute at first, twice as fast then). `keep` is the share of the weights that training
    began with in the finished ones (`averaging.py`); of use with `start` only."""

    processes: int = 1
    sequence: tuple[int, ...] = (512, 1024)
    tokens: int = 8192
    held_out: float = 0.015
    held_out_tokens: int = 100_000
    compiled: bool = True
    keep: float = 0.0


@dataclass(frozen=True, slots=True)
class ExportTable:
    """What is said of the finished model, and its largest size in bytes. `prompts` are the lengths of prompts that it
    answers best, by order (`engine/prompt_limits.py`); training windows should be as long."""

    licence: str
    format: str = "psm"
    languages: tuple[str, ...] = ("python",)
    most_bytes: int = 40_000_000
    prompts: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError, with one line, for prompts that cannot be meant."""
        limits_of(self.prompts)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model from scratch: exactly one of `init` (sizes in a file beside the recipe) and `start` (the folder of an
    earlier model that is trained on, with its tokenizer). `layers` deepens a model that is trained on (`growth.py`)."""

    name: str
    export: ExportTable
    corpus: CorpusTable
    init: str | None = None
    start: str | None = None
    layers: int | None = None
    seed: int = 0
    tokenizer: TokenizerTable = field(default_factory=TokenizerTable)
    windows: WindowSettings = field(default_factory=WindowSettings)
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    train: TrainTable = field(default_factory=TrainTable)
    loop: LoopSettings = field(default_factory=LoopSettings)
    rates: OptimizerSettings = field(default_factory=OptimizerSettings)
    weights: Weights = field(default_factory=Weights)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file, or a bundled one by its name. Raises RecipeError."""
    if not path.suffix and path.name == str(path):
        name, path = str(path), RECIPES / f"{path}.toml"
        if not path.is_file():
            known = ", ".join(one.stem for one in bundled_recipes())
            raise RecipeError(f"there is no recipe {name} (known: {known}), and a file's name ends in .toml")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is no TOML: {' '.join(str(error).split())}") from error
    recipe = _validated(path, data)
    if (recipe.init is None) == (recipe.start is None):
        raise RecipeError(f"{path}: give either init (sizes of a new model) or start (a model to go on from)")
    if recipe.layers is not None and recipe.start is None:
        raise RecipeError(f"{path}: layers deepens the model of start; those of a new one stand in its init file")
    if (recipe.corpus.sources is None) == (not recipe.corpus.folders):
        raise RecipeError(f"{path}: corpus takes either sources (a list of packages) or folders")
    if recipe.loop.steps is None and recipe.loop.minutes is None:
        raise RecipeError(f"{path}: loop says neither steps nor minutes")
    if max(recipe.windows.lengths) > max(recipe.train.sequence, default=0):
        raise RecipeError(f"{path}: windows.lengths are longer than train.sequence, and would never be trained on")
    if not 0 < recipe.train.held_out < 1:
        raise RecipeError(f"{path}: train.held_out is a share of the files, above 0 and below 1")
    return recipe


def bundled_recipes() -> list[Path]:
    """The recipes that come with the package; the other files beside them are what they name."""
    return sorted(path for path in RECIPES.glob("*.toml") if "[export]" in path.read_text(encoding="utf-8"))


def _validated(path: Path, data: dict[str, Any]) -> Recipe:
    from pydantic import TypeAdapter, ValidationError

    # unknown fields are errors in every table: a typing error would otherwise train something else for hours
    unknown = _unknown(data, Recipe)
    if unknown:
        raise RecipeError(f"{path}: there is no field {unknown}")
    try:
        found: Recipe = TypeAdapter(Recipe).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
    return found


def _unknown(data: dict[str, Any], kind: Any) -> str:
    """The first field in `data` that the dataclass `kind` lacks, with its table; else an empty string."""
    hints = get_type_hints(kind)
    names = {one.name for one in fields(kind)}
    for name, value in data.items():
        if name not in names:
            return name
        if isinstance(value, dict) and is_dataclass(hints[name]):
            inner = _unknown(value, hints[name])
            if inner:
                return f"{name}.{inner}"
    return ""
