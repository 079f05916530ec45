"""The tokenizer of a model that is served elsewhere, found on this machine. Needs its files, not the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.calibration import read_calibration
from aix_lsp.engine.catalog import CatalogEntry, cached_folder, described, known, resolve
from aix_lsp.engine.checkpoint import read_json
from aix_lsp.engine.prompt_limits import read_limits
from aix_lsp.engine.remote_errors import shown_name
from aix_lsp.engine.tokenizer import ModelTokenizer, TokenizerError, load_tokenizer
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import ModelInfo

_DEFAULT_CONTEXT = 4096
_LEAST_CONTEXT = 64
_FILES = ("tokenizer.model", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What is known of a served model from files on this machine. `positions` is 0 where they do not say."""

    entry: CatalogEntry
    folder: Path
    tokenizer: ModelTokenizer
    positions: int


def served_model(settings: RemoteSettings, served_as: str) -> ServedModel:
    """The model that the server calls `served_as`, as far as its tokenizer's files tell. Raises ModelError."""
    entry, folder = _find(settings, served_as)
    try:
        tokenizer = load_tokenizer(folder)
    except TokenizerError as error:
        raise ModelError(str(error)) from error
    entry = described(entry, folder)
    if settings.format != "auto":
        entry = replace(entry, format=settings.format)
    return ServedModel(entry, folder, tokenizer, _positions(folder))


def described_remotely(
    served: ServedModel, settings: RemoteSettings, *, served_as: str = "", context: int = 0, place: str = ""
) -> ModelInfo:
    """What the service must know of a served model; `context` is what the server says of its positions. Raises
    ModelError for a calibration that cannot be meant."""
    entry = served.entry
    return ModelInfo(
        name=shown_name(_short(served_as)) if settings.tokenizer and served_as else entry.name,
        max_positions=max(settings.context or context or served.positions or _DEFAULT_CONTEXT, _LEAST_CONTEXT),
        format=entry.format,
        device=place,
        dtype="remote",
        attention="remote",
        languages=entry.languages,
        note=entry.licence,
        token_healing=False,
        calibration=read_calibration(served.folder),
        limits=read_limits(served.folder),
    )


def _short(served_as: str) -> str:
    """A server that was started with a path calls its model by that."""
    is_path = served_as.startswith((".", "/", "\\")) or served_as.endswith(".gguf")
    return Path(served_as).stem if is_path else served_as


def _find(settings: RemoteSettings, served_as: str) -> tuple[CatalogEntry, Path]:
    if settings.tokenizer:
        named = Path(settings.tokenizer).expanduser()
        if named.is_file():
            return CatalogEntry(named.parent.name, named.parent), named.parent
        try:
            entry = resolve(settings.tokenizer)
        except ModelError:
            raise ModelError(
                f"remote.tokenizer is {settings.tokenizer!r}; it takes a folder (./path or an absolute path), a name "
                f"from the catalog ({', '.join(sorted(known()))}) or a Hugging Face name (owner/model)"
            ) from None
        return entry, _local(entry, settings.tokenizer)
    found = _by_name(served_as)
    folder = None if found is None else _folder(found)
    if found is None or folder is None:
        raise ModelError(
            f"the tokenizer of {shown_name(served_as) or 'the served model'} is not on this machine; name a folder "
            "with its tokenizer.model or tokenizer.json in remote.tokenizer"
        )
    return found, folder


def _by_name(served_as: str) -> CatalogEntry | None:
    """The catalog's entry for a model as a server names it: by short name or hub name. A path is the server's own: here
    it could lead to files of a workspace, which would then decide how prompts are built (remote.tokenizer takes paths).
    """
    for entry in known().values():
        if served_as in (entry.name, str(entry.source)):
            return entry
    try:
        entry = resolve(served_as)
    except ModelError:
        return None
    return None if isinstance(entry.source, Path) else entry


def _folder(entry: CatalogEntry) -> Path | None:
    folder = entry.source.expanduser() if isinstance(entry.source, Path) else cached_folder(entry.source)
    return folder if folder is not None and any((folder / name).is_file() for name in _FILES) else None


def _local(entry: CatalogEntry, name: str) -> Path:
    folder = _folder(entry)
    if folder is not None:
        return folder
    if isinstance(entry.source, Path):
        raise ModelError(f"{entry.source} holds no tokenizer: neither tokenizer.model nor tokenizer.json is there")
    raise ModelError(
        f"the tokenizer of {name} is not on this machine; download it, without the weights, with: "
        f"hf download {entry.source} --include 'tokenizer*' --include config.json"
    )


def _positions(folder: Path) -> int:
    if not (folder / "config.json").is_file():
        return 0
    found = read_json(folder / "config.json").get("max_position_embeddings", 0)
    return found if isinstance(found, int) else 0
