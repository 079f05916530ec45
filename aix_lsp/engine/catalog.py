"""The models known by name, and what a name in the settings means."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import get_args

from aix_lsp.engine.adapter import Adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import read_json
from aix_lsp.engine.known_models import EMBEDDED_SHAPE, KNOWN
from aix_lsp.engine.weight_memory import WeightCounts, weight_bytes
from aix_lsp.types import FimFormat

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model that can be tried. `source` is a folder, or a Hugging Face name for one in the local cache.

    A Hugging Face name may end with `@revision`. `languages` are LSP language identifiers; empty means many. `family`
    is the prompt's as `prompt/fim.py` names it, `positions` the context length in tokens, `counts` the numbers in the
    weights; all three as far as they are known beforehand.
    """

    name: str
    source: Path | str
    format: FimFormat = "psm"
    languages: tuple[str, ...] = ()
    licence: str = ""
    family: str = ""
    positions: int = 0
    counts: WeightCounts | None = None
    commercial: bool = True

    def memory(self, quantization: str = "none") -> int:
        """Bytes of the weights in 16 bits, or quantized; 0 when they are not known beforehand."""
        return weight_bytes(self.counts, "bfloat16", quantization) if self.counts else 0


def embedded() -> CatalogEntry:
    """The model inside the package: always there, runs on any processor."""
    return CatalogEntry(
        name="aix-mini",
        source=Path(str(files("aix_lsp").joinpath("models", "aix-mini"))),
        # It answers better where the prefix stands last in the prompt than behind a suffix (figures in its README).
        format="spm",
        languages=("python",),
        licence="Apache-2.0; trained from scratch on permissively licensed Python, see models/aix-mini/README.md.",
        family="aixcoder",
        positions=1024,
        counts=EMBEDDED_SHAPE.counts,
    )


def known() -> dict[str, CatalogEntry]:
    """All models with a short name: the embedded one, and those of the table in `known_models.py`."""
    entries = (
        embedded(),
        *(
            CatalogEntry(
                name=row.name,
                source=row.source,
                licence=row.licence + ".",
                family=row.family,
                positions=row.positions,
                counts=row.shape.counts,
                commercial=row.commercial,
            )
            for row in KNOWN
        ),
    )
    return {entry.name: entry for entry in entries}


def resolve(name: str) -> CatalogEntry:
    """The entry for a short name, a folder, or a Hugging Face name. Raises ModelError for anything else.

    A folder is written as an absolute path or begins with `.` or `~`: `owner/model` always means the hub's
    name, so that a folder of that name in the current directory cannot take its place. A folder may say its
    prompt format in `aix.json`.
    """
    entries = known()
    if name in entries:
        return entries[name]
    path = Path(name).expanduser()
    if name.startswith((".", "~")) or path.is_absolute():
        return described(CatalogEntry(path.resolve().name, path), path)
    if _HUB_NAME.fullmatch(name):
        return CatalogEntry(name, name)
    raise ModelError(
        f"there is no model {name!r}; model.name takes {', '.join(sorted(entries))}, a Hugging Face name (owner/model) "
        "or a folder (./path or an absolute path)"
    )


def described(entry: CatalogEntry, folder: Path) -> CatalogEntry:
    """`entry` with what the folder's `aix.json` says: `format`, `languages`, `licence`. Raises ModelError."""
    if not (folder / "aix.json").is_file():
        return entry
    notes = read_json(folder / "aix.json")
    format_ = notes.get("format", entry.format)
    if format_ not in get_args(FimFormat):
        raise ModelError(f"{folder / 'aix.json'}: format is {format_!r}, not one of {', '.join(get_args(FimFormat))}")
    languages = notes.get("languages", entry.languages)
    if not isinstance(languages, list | tuple) or not all(isinstance(language, str) for language in languages):
        raise ModelError(f"{folder / 'aix.json'}: languages is no list of language identifiers")
    return replace(entry, format=format_, languages=tuple(languages), licence=str(notes.get("licence", entry.licence)))


def adapted(entry: CatalogEntry, adapter: Adapter | None) -> CatalogEntry:
    """`entry` as it is with an adapter in its weights: named after both, and knowing the languages of both."""
    if adapter is None:
        return entry
    languages = tuple(dict.fromkeys((*entry.languages, *adapter.languages))) if entry.languages else ()
    return replace(entry, name=f"{entry.name}+{adapter.name}", languages=languages)


def same_files(one: CatalogEntry, other: CatalogEntry) -> bool:
    """Whether two entries mean the same model: a folder may have any name, also that of a known model."""
    if isinstance(one.source, Path) and isinstance(other.source, Path):
        return one.source.expanduser().resolve() == other.source.expanduser().resolve()
    return one.source == other.source


def split_revision(source: str) -> tuple[str, str]:
    """A hub name without its revision, and that revision (`main` where none is named)."""
    name, _, revision = source.partition("@")
    return name, revision or "main"


def cached_folder(hub_name: str) -> Path | None:
    """The folder of a model in the local Hugging Face cache; None when it is not there. Never downloads."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    name, revision = split_revision(hub_name)
    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None
