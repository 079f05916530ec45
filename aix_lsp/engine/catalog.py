"""The models known by name, what a name in the settings means, and in which order models are tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import get_args

from aix_lsp.engine.adapter import Adapter, inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import read_json
from aix_lsp.engine.hardware import GIB, GpuInfo
from aix_lsp.settings import ModelSettings
from aix_lsp.types import FimFormat

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model that can be tried. `source` is a folder, or a Hugging Face name for one in the local cache.

    `languages` are LSP language identifiers; empty means many. `memory` gives bytes of the weights by
    quantization (`none` is 16 bits) as far as they are known beforehand.
    """

    name: str
    source: Path | str
    format: FimFormat = "psm"
    languages: tuple[str, ...] = ()
    licence: str = ""
    memory: Mapping[str, int] = field(default_factory=dict)


def embedded() -> CatalogEntry:
    """The model inside the package: always there, runs on any processor."""
    return CatalogEntry(
        name="aix-mini",
        source=Path(str(files("aix_lsp").joinpath("models", "aix-mini"))),
        # It answers better where the prefix stands last in the prompt than behind a suffix (figures in its README).
        format="spm",
        languages=("python",),
        licence="Apache-2.0; trained from scratch on permissively licensed Python, see models/aix-mini/README.md.",
    )


def aixcoder_7b() -> CatalogEntry:
    """The reference model, for a GPU. Sizes as published: 14.6 GB in bfloat16, 9.0 in int8, 5.7 in int4."""
    return CatalogEntry(
        name="aixcoder-7b",
        source="aiXcoder/aixcoder-7b-base",
        licence="aiXcoder-7B weights: free for academic use; any other use needs a licence from aiXcoder.",
        memory={"none": 14_600_000_000, "int8": 9_000_000_000, "int4": 5_700_000_000},
    )


def known() -> dict[str, CatalogEntry]:
    """All models with a short name."""
    return {entry.name: entry for entry in (embedded(), aixcoder_7b())}


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


def choose(settings: ModelSettings, gpu: GpuInfo | None, on_disk: Callable[[str], bool]) -> list[CatalogEntry]:
    """The models to try in order; the embedded one is always last.

    `auto` takes the model that `adapter` was made from, else aixcoder-7b when a GPU has room for it and `on_disk`
    finds its hub name, since nothing is ever downloaded on the way. Raises ModelError for a name that means nothing,
    and for an adapter that cannot be read or does not name its model.
    """
    last = embedded()
    if settings.name == "auto" and settings.adapter:
        first = _base_of(inspect_adapter(Path(settings.adapter)))
        return [last] if _same_files(first, last) else [first, last]
    if settings.name == "auto":
        large = aixcoder_7b()
        fits = gpu is not None and settings.device in ("auto", "cuda") and _memory(large, settings) <= gpu.free_bytes
        return [large, last] if fits and on_disk(str(large.source)) else [last]
    first = resolve(settings.name)
    return [last] if _same_files(first, last) else [first, last]


def _same_files(one: CatalogEntry, other: CatalogEntry) -> bool:
    """Whether two entries mean the same model: a folder may have any name, also that of a known model."""
    if isinstance(one.source, Path) and isinstance(other.source, Path):
        return one.source.expanduser().resolve() == other.source.expanduser().resolve()
    return one.source == other.source


def _base_of(adapter: Adapter) -> CatalogEntry:
    try:
        return resolve(adapter.base)
    except ModelError:
        made = f"was made from {adapter.base}, which is in no catalog" if adapter.base else "does not name its model"
        raise ModelError(
            f"the adapter {adapter.folder} {made}; name the model with --model (model.name), such as a folder"
        ) from None


def _memory(entry: CatalogEntry, settings: ModelSettings) -> int:
    """Bytes on a GPU, with room to work."""
    weights = entry.memory[settings.quantization]
    if settings.quantization == "none" and settings.dtype == "float32":
        weights *= 2
    return weights + GIB


def cached_folder(hub_name: str) -> Path | None:
    """The folder of a model in the local Hugging Face cache; None when it is not there. Never downloads."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(hub_name, "config.json")
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None
