"""Bits per byte of held-out files, read from left to right: a measure that does not depend on the vocabulary."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aix_lsp.engine.catalog import resolve
from aix_lsp.engine.likelihood import nats_of
from aix_lsp.engine.loading import locate
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.languages import language_id_of
from aix_lsp.prompt.fim import assemble, family_of, plain_family
from aix_lsp.prompt.layout import file_header
from aix_lsp.types import Tokenizer

LONGEST = 16_000
"""Characters of a file that are read at most, to whole lines, so that no single file decides."""

_LONGEST_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Loss:
    """Bits per byte of UTF-8 with its standard error (files as the sample), and over how much it was taken."""

    value: float
    error: float
    files: int
    bytes: int
    tokens: int


def sample(texts: Mapping[str, str], *, size: int, seed: int = 0) -> list[tuple[str, str]]:
    """Files (path, text) drawn until they have `size` bytes together, of each at most its first 16,000 characters."""
    order = sorted(path for path, text in texts.items() if text.strip())
    random.Random(seed).shuffle(order)
    taken: list[tuple[str, str]] = []
    for path in order:
        if size <= 0:
            break
        text = texts[path]
        if len(text) > LONGEST:
            text = text[: text.rfind("\n", 0, LONGEST) + 1] or text[:LONGEST]
        taken.append((path, text))
        size -= len(text.encode())
    return taken


def bits_per_byte(
    model: str, files: Sequence[tuple[str, str]], *, positions: int, threads: int = 0, adapter: Path | None = None
) -> Loss:
    """The loss of a model, by catalog name or folder, over files (path, text), each with its header in front; with the
    adapter in the folder `adapter` in its weights, if given.

    `positions` are the model's; windows have at most 4,096 tokens. Raises ModelError when the model cannot be loaded,
    ValueError for no files.
    """
    if not files:
        raise ValueError("no files to take the loss over")
    source = resolve(model).source
    tokenizer = load_tokenizer(locate(source))
    texts = [(_lead(tokenizer, path), tokenizer.encode(text)) for path, text in files]
    bits = [
        nats / math.log(2)
        for nats in nats_of(source, texts, positions=min(positions, _LONGEST_WINDOW), threads=threads, adapter=adapter)
    ]
    return loss_of(bits, [len(text.encode()) for _, text in files], sum(len(ids) for _, ids in texts))


def _lead(tokenizer: Tokenizer, path: str) -> list[int]:
    family = family_of(tokenizer) or plain_family(tokenizer)
    header = tokenizer.encode(file_header(family, path, language_id_of(path)))
    # something has to stand before the first token that is counted
    return assemble(family, "l2r", prefix=(), header=header) or tokenizer.encode("\n")


def loss_of(bits: Sequence[float], sizes: Sequence[int], tokens: int) -> Loss:
    """The ratio of the sums, with the standard error of a ratio of means (Cochran 1977, section 2.11)."""
    above, below = np.asarray(bits, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    value = float(above.sum() / below.sum())
    count = len(bits)
    spread = float(((above - value * below) ** 2).sum())
    error = math.sqrt(count / (count - 1) * spread) / float(below.sum()) if count > 1 else 0.0
    return Loss(value, error, count, int(below.sum()), tokens)
