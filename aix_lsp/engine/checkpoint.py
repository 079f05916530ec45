"""Looks a model's folder over before anything heavy is imported, so that a broken one is told in one line."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.weight_memory import WeightCounts

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_EMBEDDING = re.compile(r"embed|\bwte\b|\bwpe\b")
_LARGEST_JSON = 64 << 20
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder whose configuration is readable and whose safetensors files are whole."""

    folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    counts: WeightCounts

    @property
    def parameters(self) -> int:
        """Numbers in all weight files together."""
        return self.counts.parameters


def inspect(folder: Path) -> Checkpoint:
    """Read a folder in the Hugging Face layout. Raises ModelError with one line that says what is wrong."""
    if not folder.exists():
        raise ModelError(f"the model folder {folder} does not exist")
    if not folder.is_dir():
        raise ModelError(f"{folder} is a file; model.name wants the folder that holds the model's files")
    config = read_json(folder / "config.json")
    weights = _weight_files(folder)
    shapes = {name: shape for path in weights for name, shape in _shapes(path).items()}
    return Checkpoint(folder, config, weights, _counts(shapes))


def read_noted(folder: Path, key: str, checked: Callable[[object], T]) -> T | None:
    """What a model's `aix.json` has under `key`, as `checked` makes it; None where there is nothing. Raises ModelError,
    with the file's name before what `checked` says in a ValueError."""
    path = folder / "aix.json"
    found = read_json(path).get(key) if path.is_file() else None
    try:
        return None if found is None else checked(found)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's folder. Raises ModelError."""
    try:
        content = json.loads(_text(path))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}, so it is not a model in the Hugging Face layout") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no JSON object; download the model again")
    return content


def _text(path: Path) -> str:
    """The text of a file that may be a link, as in the hub's cache, but no pipe, no device and not endless. Raises
    OSError, ValueError."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no file")
        content = file.read(_LARGEST_JSON + 1)
    if len(content) > _LARGEST_JSON:
        raise ValueError(f"it is larger than {_LARGEST_JSON >> 20} MiB")
    return content.decode("utf-8")


def _weight_files(folder: Path) -> tuple[Path, ...]:
    single = folder / _SINGLE
    if single.is_file():
        return (single,)
    if not (folder / _INDEX).is_file():
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            raise ModelError(
                f"{folder} has its weights only as pickle files ({pickles[0]}), which can run any code when they are "
                "read; use a version of the model with safetensors files"
            )
        raise ModelError(f"{folder} has no weights: {_SINGLE} is missing; download the model again")
    names = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ModelError(f"{folder / _INDEX} names no files; download the model again")
    # Only the last part of a name: an index must not lead out of the model's folder.
    files = tuple(folder / Path(str(name)).name for name in sorted(set(names.values())))
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of {len(files)} weight files ({missing[0]}); download it again"
        )
    return files


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a safetensors file's tensors; its header, and that the file is as long as it says, are checked."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, MemoryError) as error:
        if isinstance(error, MemoryError) or errno.ENOMEM in _numbers(error):
            raise ModelError(
                f"the memory does not suffice to read {path}; raise the limit of this process (ulimit -v), choose a "
                "smaller model, or close other programs"
            ) from error
        raise ModelError(f"{path} is damaged or incomplete ({error}); download the model again") from error


def _numbers(error: Exception) -> tuple[int, ...]:
    """The system's number of an error; safetensors says it in its text only."""
    number = getattr(error, "errno", None)
    said = os.strerror(errno.ENOMEM) in str(error) or f"os error {errno.ENOMEM}" in str(error)
    return (*([number] if number is not None else []), *([errno.ENOMEM] if said else []))


def _counts(shapes: Mapping[str, tuple[int, ...]]) -> WeightCounts:
    """What quantization will find: the layers' matrices are those with two dimensions that are no embedding."""
    linear = head = embedding = other = 0
    for name, shape in shapes.items():
        size = prod(shape)
        if name.endswith("lm_head.weight"):
            head += size
        elif len(shape) != 2:
            other += size
        elif _EMBEDDING.search(name):
            embedding = max(embedding, size)
            other += size
        else:
            linear += size
    return WeightCounts(linear, head or embedding, other, tied=not head)
