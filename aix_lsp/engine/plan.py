"""Which model the settings lead to, without loading it: for `doctor` and `context`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aix_lsp.engine.adapter import check_base, inspect_adapter
from aix_lsp.engine.catalog import CatalogEntry, adapted, described
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.choice import Choice, choose, whole_on_disk
from aix_lsp.engine.hardware import Machine, look_around
from aix_lsp.engine.loading import locate
from aix_lsp.engine.prompt_limits import read_limits
from aix_lsp.engine.weight_memory import Quantization, fitting, memory_needed
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


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a planned model would be loaded. `precision` is None when it fits the free memory in none that the
    settings allow; `needed` are the bytes that it takes with room to work, then the fewest possible."""

    machine: Machine
    precision: Quantization | None
    needed: int


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
        limits=read_limits(folder),
    )
    return Plan(entry, folder, info, choice)


def placed(plan: Plan, settings: ModelSettings) -> Placement:
    """Look at the machine for a planned model; imports PyTorch. Raises ModelError when the wanted device is not
    there."""
    machine = look_around(settings.device, settings.dtype)
    reader = "bitsandbytes" if settings.quantizer == "bitsandbytes" else "torch"
    counts, wanted = inspect(plan.folder).counts, plan.choice.quantization
    precision = fitting(counts, wanted, machine.dtype, machine.device, machine.free_bytes, reader)
    least = "int4" if wanted == "auto" else wanted
    needed = memory_needed(counts, machine.dtype, precision or least, machine.device, reader)
    return Placement(machine, precision, needed)
