"""Places of real files for `engine.py`, with the prompts that an editor's keys would lead to there.

The prompts are made by the product's own prompt code, without token healing: every contender gets the same ids, and
nobody but us could be told what the first tokens must spell.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aix_lsp.prompt.budget import keep_tail
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, ModelInfo, Tokenizer

Order = Literal["psm", "spm"]
ORDERS: tuple[Order, ...] = ("psm", "spm")
TYPED = (1, 5, 20)
"""Tokens that were typed on since the last request."""

SUFFIX = 256
"""Tokens behind the cursor. In PSM they stand behind what is typed, and must be run again."""

_FRAME = 48
"""Tokens left for the header and the markers; what of them is not needed stays unused."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor where a line's text begins, and the prompts there.

    `prompts[order][typed]` are the ids once so many tokens of what really stands there have been typed; 0 is the
    place as it was found. `name` is the document's.
    """

    name: str
    prompts: dict[Order, dict[int, tuple[int, ...]]]

    @property
    def cold(self) -> tuple[int, ...]:
        """The prompt for a model that has seen nothing of it."""
        return self.prompts["psm"][0]


def sources(package: str) -> list[Path]:
    """The Python files of an installed package that are long enough, without its tests."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {package} is not installed; name another with --package")
    files = [
        path
        for path in sorted(Path(found.origin).parent.rglob("*.py"))
        if "test" not in path.as_posix() and path.stat().st_size > 8000
    ]
    if not files:
        raise SystemExit(f"the package {package} has no Python file of 8,000 bytes")
    return files


def places(package: str, tokenizer: Tokenizer, model: ModelInfo, tokens: int, seed: int) -> Iterator[Place]:
    """Places drawn from a package's files, without end. Prompts have about `tokens` tokens, never more."""
    files, draw = sources(package), random.Random(seed)
    root = files[0].parent
    while True:
        path = draw.choice(files)
        text = path.read_text(encoding="utf-8", errors="ignore")
        offset = draw.randrange(len(text) // 3, len(text))
        offset = text.find("\n", offset) + 1
        offset += len(text[offset:]) - len(text[offset:].lstrip(" "))
        name = f"{package}/{path.name if path.parent == root else f'{path.parent.name}/{path.name}'}"
        place = _place(tokenizer, model, name, text, offset, tokens)
        if place is not None:
            yield place


def _place(tokenizer: Tokenizer, model: ModelInfo, name: str, text: str, offset: int, tokens: int) -> Place | None:
    """The place at `offset`; None where it is too near the file's ends, or on an empty line."""
    if not text[offset : offset + 1].strip():
        return None
    prefix = keep_tail(tokenizer, text[:offset], tokens - SUFFIX - _FRAME)
    written = [typed_text(tokenizer, text[offset:], count) for count in TYPED]
    suffix = exactly(tokenizer, text[text.find("\n", offset) + 1 :], SUFFIX)
    if not prefix.cut_characters or suffix is None or None in written:
        return None
    prompts: dict[Order, dict[int, tuple[int, ...]]] = {order: {} for order in ORDERS}
    for order in ORDERS:
        for typed, more in zip((0, *TYPED), ("", *written), strict=True):
            before = prefix.text + str(more)
            prompt = build_prompt(
                tokenizer,
                model,
                DocumentSnapshot(f"file:///{name}", before + "\n" + suffix, "python", 0, name),
                len(before),
                (),
                PromptSettings(format=order, token_healing=False, suffix_share=0.5),
                max_new_tokens=1,
            )
            if prompt.cut or prompt.format != order:
                return None
            prompts[order][typed] = prompt.ids
    return Place(name, prompts)


def typed_text(tokenizer: Tokenizer, text: str, count: int) -> str | None:
    """The text of the first `count` tokens; None where tokens do not say it by themselves (half a character)."""
    typed = tokenizer.decode(tokenizer.encode(text[: 40 * count])[:count])
    return typed if typed and text.startswith(typed) else None


def exactly(tokenizer: Tokenizer, text: str, count: int) -> str | None:
    """A beginning of `text` that takes `count` tokens with the line break before it; None where there is none."""
    end = low = 0
    high = min(len(text), 40 * count)
    while low < high:
        end = (low + high) // 2
        size = len(tokenizer.encode("\n" + text[:end]))
        if size == count:
            return text[:end]
        if size < count:
            low = end + 1
        else:
            high = end
    return None
