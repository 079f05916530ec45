"""Which model the settings lead to on this machine, in which precision, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aix_lsp.engine.adapter import Adapter, inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, cached_folder, embedded, known, resolve, same_files
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.hardware import Machine
from aix_lsp.engine.weight_memory import PRECISIONS, bytes_per_token, memory_needed
from aix_lsp.settings import ModelSettings

CPU_TOKEN_BYTES = 700_000_000
"""Most bytes of weights per token for which a processor counts as quick enough. Every token reads all weights once, and
a desktop's memory gives 10 to 20 GB a second: 700 MB are 35 to 70 ms, so that a line comes within a second. (Measured:
15 GB of a 7 B model are one token a second.)"""


REFERENCE = "aixcoder-7b"
"""The model that this project is made for: `auto` takes it in spite of its licence, and then says what that is."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Models to try in order; the embedded one is always last. `quantization` is for the first.

    `reasons` say in plain words, one each, why it came to this; empty where the settings name the model.
    """

    entries: tuple[CatalogEntry, ...]
    quantization: str
    reasons: tuple[str, ...] = ()

    @property
    def first(self) -> CatalogEntry:
        """The model to try first."""
        return self.entries[0]


def choose(settings: ModelSettings, look: Callable[[], Machine], on_disk: Callable[[str], bool]) -> Choice:
    """The models to try.

    `auto` takes the model that `adapter` was made from, else the largest of the catalog that `on_disk` finds, since
    nothing is ever downloaded on the way, and that fits the memory which `look` sees, in the best precision that fits.
    Models that are not for commercial use have to be named, all but `REFERENCE`.
    `look` imports PyTorch and is only called when there is something to choose from. Raises ModelError for a name that
    means nothing, and for an adapter that cannot be read or does not name its model.
    """
    last = embedded()
    if settings.name == "auto" and not settings.adapter:
        return _largest(settings, look, on_disk)
    named = base_of(inspect_adapter(Path(settings.adapter))) if settings.name == "auto" else resolve(settings.name)
    entries = (last,) if same_files(named, last) else (named, last)
    return Choice(entries, settings.quantization)


def in_one_line(choice: Choice) -> str:
    """What was chosen and why, for the log."""
    if not choice.reasons:
        return f"{choice.first.name}, as the settings say"
    kept = [reason for reason in choice.reasons if reason.startswith(f"{choice.first.name}:")]
    passed = len(choice.reasons) - len(kept)
    return kept[0] + (f" ({passed} larger passed over)" if passed else "")


def whole_on_disk(source: str) -> bool:
    """Whether a hub model is in the local cache with all its files."""
    folder = cached_folder(source)
    try:
        return folder is not None and bool(inspect(folder).weights)
    except ModelError:
        return False


def _largest(settings: ModelSettings, look: Callable[[], Machine], on_disk: Callable[[str], bool]) -> Choice:
    last = embedded()
    there = [entry for entry in known().values() if isinstance(entry.source, str) and on_disk(entry.source)]
    if not there:
        why = "no other model of the catalog is on disk (aix-lsp download NAME gets one)"
        return Choice((last,), settings.quantization, (f"{last.name}: {why}",))
    machine: Machine | None = None
    reasons: list[str] = []
    for entry in sorted(there, key=lambda entry: entry.memory(), reverse=True):
        if not entry.commercial and entry.name != REFERENCE:
            reasons.append(f"{entry.name}: not for commercial use, so only taken when it is named (model.name)")
            continue
        machine = machine or look()
        precision, reason = best_precision(entry, settings, machine)
        terms = "" if entry.commercial or precision is None else f"; {entry.licence.rstrip('.')}"
        reasons.append(f"{entry.name}: {reason}{terms}")
        if precision is not None:
            return Choice((entry, last), precision, tuple(reasons))
    return Choice((last,), settings.quantization, (*reasons, f"{last.name}: what always runs"))


def best_precision(entry: CatalogEntry, settings: ModelSettings, machine: Machine) -> tuple[str | None, str]:
    """The first precision in which a model of the table is usable on the machine, None without one, and the reason."""
    assert entry.counts is not None, "every model of the table has its counts"
    wanted: tuple[str, ...] = PRECISIONS if settings.quantization == "auto" else (settings.quantization,)
    if settings.quantizer == "bitsandbytes" and machine.device != "cuda":
        wanted = tuple(precision for precision in wanted if precision == "none")
    if machine.free_bytes is None:
        return None, f"how much memory is free on the {machine.name} cannot be told; name the model to use it"
    free = f"{machine.free_bytes / 1e9:.1f} GB of {machine.name} are free"
    slow = ""
    sizes = []
    for precision in wanted:
        needed = memory_needed(entry.counts, machine.dtype, precision, machine.device, _quantizer(settings))
        words = _in_words(precision, machine.dtype)
        sizes.append(f"{needed / 1e9:.1f} GB in {words}")
        if needed > machine.free_bytes:
            continue
        read = bytes_per_token(entry.counts, machine.dtype, precision)
        if machine.device == "cpu" and read > CPU_TOKEN_BYTES:
            slow = (
                f"too slow on a processor: every token reads {read / 1e9:.1f} GB in {words}, "
                f"and up to {CPU_TOKEN_BYTES / 1e9:.1f} GB keep up with typing"
            )
            continue
        return precision, f"needs {needed / 1e9:.1f} GB in {words}, {free}"
    return None, slow or f"needs {' or '.join(sizes)}, {free}"


def _quantizer(settings: ModelSettings) -> str:
    return "bitsandbytes" if settings.quantizer == "bitsandbytes" else "torch"


def _in_words(precision: str, dtype: str) -> str:
    return dtype if precision == "none" else precision


def base_of(adapter: Adapter) -> CatalogEntry:
    """The model that an adapter was made from. Raises ModelError when the adapter does not name one that is known."""
    try:
        return resolve(adapter.base)
    except ModelError:
        made = f"was made from {adapter.base}, which is in no catalog" if adapter.base else "does not name its model"
        raise ModelError(
            f"the adapter {adapter.folder} {made}; name the model with --model (model.name), such as a folder"
        ) from None
