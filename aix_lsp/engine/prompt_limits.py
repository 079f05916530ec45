"""What a model's folder says of the prompts that it answers best: `prompts` in its `aix.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import read_json
from aix_lsp.types import FimFormat, ModelInfo, PromptLimits

KEY: Final = "prompts"
_LEAST_TOKENS = 64  # as `prompt.max_tokens` has it
_MOST_SHARE = 0.8  # as `prompt.suffix_share` has it


def read_limits(folder: Path) -> tuple[PromptLimits, ...]:
    """Limits by order, such as `{"psm": {"tokens": 400, "suffix_share": 0.1}}`; none where the folder says nothing.
    Raises ModelError."""
    path = folder / "aix.json"
    found = read_json(path).get(KEY) if path.is_file() else None
    try:
        return limits_of(found) if found is not None else ()
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def limits_of(found: object) -> tuple[PromptLimits, ...]:
    """Checked limits. Raises ValueError with one line."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{KEY} wants an entry for each order, not {found!r}")
    orders: tuple[FimFormat, ...] = get_args(FimFormat)
    unknown = [name for name in found if name not in orders]
    if unknown:
        raise ValueError(f"{KEY} names {unknown[0]!r}, which is none of {', '.join(orders)}")
    return tuple(_checked(order, found[order]) for order in orders if order in found)


def format_in_words(info: ModelInfo) -> str:
    """The order of a model's prompts, with their length where the model asks for one: for people."""
    limits = info.limited(info.format)
    return f"prompt format {info.format}" + (f" of at most {limits.tokens:,} tokens" if limits else "")


def _checked(order: FimFormat, wanted: object) -> PromptLimits:
    if not isinstance(wanted, Mapping) or set(wanted) != {"tokens", "suffix_share"}:
        raise ValueError(f"{KEY}.{order} wants tokens and suffix_share, and nothing else")
    tokens, share = wanted["tokens"], wanted["suffix_share"]
    # true is a number to Python, and NaN is one to json
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < _LEAST_TOKENS:
        raise ValueError(f"{KEY}.{order}.tokens is {tokens!r}, not a whole number from {_LEAST_TOKENS} on")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= _MOST_SHARE:
        raise ValueError(f"{KEY}.{order}.suffix_share is {share!r}, not a number from 0 to {_MOST_SHARE}")
    return PromptLimits(order, tokens, float(share))
