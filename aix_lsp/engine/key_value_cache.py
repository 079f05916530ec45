"""Keys and values of one text, in tensors that stand still: a token's place is its index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 512
"""Places by which a cache grows, so that a text of a thousand tokens takes two allocations and not a thousand."""


class KeyValueCache:
    """One tensor per layer, shape (2 x key heads, places, head): keys first, then values.

    What lies behind `length` is without meaning and is overwritten; cropping is setting the length. Places beyond
    those that were filled hold finite numbers, so that a hidden place adds nothing.
    """

    def __init__(
        self, layers: int, heads: int, head: int, *, dtype: Any, device: Any, most: int, block: int = BLOCK
    ) -> None:
        self.layers: list[Tensor] = []
        self.length = 0
        self.places = 0
        self._shape = (layers, heads, head)
        self._dtype = dtype
        self._device = device
        self._most = most
        self._block = block

    @property
    def bytes(self) -> int:
        """Memory taken, filled or not."""
        return sum(layer.numel() * layer.element_size() for layer in self.layers)

    def reserve(self, length: int) -> None:
        """Have room for `length` tokens; what is held moves along. A no-op in all but one call in hundreds."""
        if length <= self.places:
            return
        import torch

        # By half again at least: copying then costs a constant share, however long the text gets.
        wanted = max(length, self.places * 3 // 2)
        # Never beyond the model's positions by much: there are no angles for more.
        places = max(length, min(-(-wanted // self._block) * self._block, self._most))
        count, heads, head = self._shape
        with torch.inference_mode():
            for number in range(count):
                grown = torch.zeros((2 * heads, places, head), dtype=self._dtype, device=self._device)
                if self.layers and self.length and number < len(self.layers):
                    grown[:, : self.length] = self.layers[number][:, : self.length]
                if number < len(self.layers):
                    self.layers[number] = grown
                else:
                    self.layers.append(grown)
        self.places = places

    def crop(self, length: int) -> None:
        """Keep the first `length` tokens."""
        self.length = min(self.length, length)

    def park(self) -> None:
        """Move into tensors of exactly the length that is filled, so that others can use the present ones."""
        self.layers = [layer[:, : self.length].clone() for layer in self.layers]
        self.places = self.length

    def move_to(self, tensors: list[Tensor], places: int) -> None:
        """Move into these tensors, each with room for `places` tokens."""
        for own, other in zip(self.layers, tensors, strict=False):
            other[:, : self.length] = own[:, : self.length]
        self.layers, self.places = tensors, places

    def copy_from(self, other: KeyValueCache, length: int) -> None:
        """Begin with the first `length` tokens of another cache."""
        import torch

        self.length = 0
        self.reserve(length)
        with torch.inference_mode():
            for own, others in zip(self.layers, other.layers, strict=True):
                own[:, :length] = others[:, :length]
        self.length = length
