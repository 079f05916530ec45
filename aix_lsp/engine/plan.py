"""Which model the settings lead to, without loading it: for `doctor` and `context`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aix_lsp.engine.adapter import check_base, inspect_adapter
from aix_lsp.engine.catalog import CatalogEntry, adapted, described
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.choice import Choice, choose, whole_on_disk
from aix_lsp.engine.hardware import look_around
from aix_lsp.engine.loading import locate
from aix_lsp.settings import ModelSettings
from aix_lsp.types import ModelInfo

_DEFAULT_POSITIONS = 2048


@dataclass(frozen=True, slots=True)
class Plan:
    """A model that would be tried first, and its folder. `info` says what is known of it before it is loaded, `choice`
    how it came to it."""

    entry: CatalogEntry
    folder: Path
    info: ModelInfo
    choice: Choice


def planned(settings: ModelSettings) -> Plan:
    """The first choice of these settings. Raises ModelError when its files are not there or not whole."""
    choice = choose(settings, lambda: look_around(settings.device, settings.dtype), whole_on_disk)
    entry = choice.first
    folder = locate(entry.source)
    checkpoint = inspect(folder)
    adapter = inspect_adapter(Path(settings.adapter)) if settings.adapter else None
    if adapter is not None:
        check_base(adapter, checkpoint)
    entry = adapted(described(entry, folder), adapter)
    positions = int(checkpoint.config.get("max_position_embeddings", _DEFAULT_POSITIONS))
    info = ModelInfo(
        entry.name,
        positions,
        entry.format,
        parameters=checkpoint.parameters,
        languages=entry.languages,
        note=entry.licence,
    )
    return Plan(entry, folder, info, choice)
