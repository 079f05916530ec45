"""What a model's folder says of the prompts that it answers best: `prompts` in its `aix.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, get_args

from aix_lsp.engine.checkpoint import read_noted
from aix_lsp.types import FimFormat, ModelInfo, PromptLimits

KEY: Final = "prompts"
_LEAST: Final = {"tokens": 64, "suffix": 8}
"""As `prompt.max_tokens` has it; and fewer tokens of a suffix would cost more in markers than they bring."""


def read_limits(folder: Path) -> tuple[PromptLimits, ...]:
    """Limits by order, such as `{"psm": {"tokens": 400, "suffix": 40}}`; none where the folder says nothing. Raises
    ModelError."""
    return read_noted(folder, KEY, limits_of) or ()


def limits_of(found: object) -> tuple[PromptLimits, ...]:
    """Checked limits. Raises ValueError with one line."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{KEY} wants an entry for each order, not {found!r}")
    orders: tuple[FimFormat, ...] = get_args(FimFormat)
    unknown = [name for name in found if name not in orders]
    if unknown:
        raise ValueError(f"{KEY} names {unknown[0]!r}, which is none of {', '.join(orders)}")
    return tuple(_checked(order, found[order]) for order in orders if order in found)


def limits_noted(limits: Iterable[PromptLimits]) -> dict[str, dict[str, int]]:
    """Limits as `limits_of` reads them, for JSON."""
    return {one.order: {"tokens": one.tokens, "suffix": one.suffix} for one in limits}


def format_in_words(info: ModelInfo) -> str:
    """The order of a model's prompts, with their length where the model asks for one: for people."""
    limits = info.limited(info.format)
    most = f" of at most {min(limits.tokens, info.max_positions):,} tokens" if limits else ""
    return f"prompt format {info.format}{most}"


def _checked(order: FimFormat, wanted: object) -> PromptLimits:
    if not isinstance(wanted, Mapping) or set(wanted) != set(_LEAST):
        raise ValueError(f"{KEY}.{order} wants {' and '.join(_LEAST)}, and nothing else")
    for name, least in _LEAST.items():
        # true is a number to Python
        if isinstance(wanted[name], bool) or not isinstance(wanted[name], int) or wanted[name] < least:
            raise ValueError(f"{KEY}.{order}.{name} is {wanted[name]!r}, not a whole number from {least} on")
    return PromptLimits(order, wanted["tokens"], wanted["suffix"])
