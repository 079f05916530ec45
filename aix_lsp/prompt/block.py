"""A piece of a prompt, as token ids and as the text that a person reads in a trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aix_lsp.prompt.fim import Marker
from aix_lsp.types import Tokenizer


@dataclass(frozen=True, slots=True)
class Block:
    """Ids and the same as text, markers spelled out. `len(block)` counts tokens."""

    ids: tuple[int, ...] = ()
    text: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def __add__(self, other: Block) -> Block:
        return Block(self.ids + other.ids, self.text + other.text)


EMPTY = Block()


def encoded(tokenizer: Tokenizer, text: str) -> Block:
    """A text encoded by itself."""
    return Block(tuple(tokenizer.encode(text)), text) if text else EMPTY


def marked(*markers: Marker | None) -> Block:
    """Markers one after another; those that a model lacks are left out."""
    present = [marker for marker in markers if marker is not None]
    return Block(tuple(marker.id for marker in present), "".join(marker.piece for marker in present))


def joined(blocks: Iterable[Block]) -> Block:
    """Blocks one after another."""
    listed = list(blocks)
    return Block(tuple(token for block in listed for token in block.ids), "".join(block.text for block in listed))
