"""Several texts through the lean forward at once: their keys and values side by side, one token of each in a pass.

A prompt runs alone, into the place of its row, in the pieces in which `decode.py` runs it; the tokens behind it run
together. Every row computes what it would compute alone, up to the last bits of sums that a product over more rows adds
in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aix_lsp.engine.key_value_cache import BLOCK, KeyValueCache
from aix_lsp.engine.lean import LeanForward
from aix_lsp.engine.lean_attention import Attend
from aix_lsp.engine.lean_weights import Layer

if TYPE_CHECKING:
    from torch import Tensor


class BatchDecoder:
    """Up to `most` rows, numbered from 0 without gaps. `chunk` is how many tokens of a prompt run in one pass, `budget`
    the bytes that keys and values may take; one row always fits."""

    def __init__(self, forward: LeanForward, most: int, *, chunk: int, budget: int) -> None:
        self._forward = forward
        self._most = most
        self._chunk = chunk
        self._budget = budget
        self._layers: list[Tensor] = []
        self._places = 0
        self._lengths: list[int] = []

    def __len__(self) -> int:
        """Rows that run."""
        return len(self._lengths)

    @property
    def bytes(self) -> int:
        """Memory that keys and values take now."""
        return sum(layer.numel() * layer.element_size() for layer in self._layers)

    def fits(self, length: int) -> bool:
        """Whether a further row of so many tokens, prompt and answer together, can begin now."""
        rows, places = len(self) + 1, max(self._places, length)
        return rows == 1 or (rows <= self._most and rows * self._row_bytes(places) <= self._budget)

    def begin(self, ids: Sequence[int], length: int) -> Tensor:
        """Start a row, the last one, with a prompt; `length` is that of prompt and answer together. Logits behind the
        prompt, shape (vocabulary,)."""
        row = len(self._lengths)
        self._reserve(row + 1, length)
        cache = KeyValueCache(
            len(self._layers),
            self._forward.key_heads,
            self._forward.head,
            dtype=self._forward.dtype,
            device=self._forward.device,
            most=self._places,
        )
        cache.move_to([layer[row] for layer in self._layers], self._places)
        logits = None
        for start in range(0, len(ids), self._chunk):
            logits = self._forward.run(cache, ids[start : start + self._chunk], 1)
        assert logits is not None
        self._lengths.append(len(ids))
        return logits[0]

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Run the next token of every row; logits, shape (rows, vocabulary)."""
        import torch

        forward, rows = self._forward, len(tokens)
        reach = max(self._lengths) + 1
        with torch.inference_mode():
            places = torch.tensor(self._lengths, device=forward.device)
            numbers = torch.arange(rows, device=forward.device)
            cos, sin = (table[places] for table in forward.angles)

            def write(layer: Tensor, made: Tensor) -> None:
                layer[numbers, :, places] = made

            states = forward.states(
                forward.embedded(torch.tensor(tokens, device=forward.device)),
                cos,
                sin,
                self._layers,
                write,
                self._attend(places, rows, reach),
                # the same weights as for one row, however many there are
                few=forward.int8 or rows == 1,
            )
            logits = forward.logits(states)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def end(self, row: int) -> None:
        """A row is done; the last one takes its number."""
        import torch

        last = len(self._lengths) - 1
        if row != last:
            length = self._lengths[last]
            with torch.inference_mode():
                for layer in self._layers:
                    layer[row, :, :length] = layer[last, :, :length]
            self._lengths[row] = length
        self._lengths.pop()

    def release(self) -> None:
        """Let go of all memory; no row runs."""
        self._layers, self._places, self._lengths = [], 0, []

    def _row_bytes(self, places: int) -> int:
        forward = self._forward
        return 2 * forward.key_heads * forward.head * places * forward.dtype.itemsize * len(forward.layers)

    def _reserve(self, rows: int, length: int) -> None:
        """Have room for so many rows of so many tokens; what is held moves along."""
        had = self._layers[0].shape[0] if self._layers else 0
        if rows <= had and length <= self._places:
            return
        import torch

        forward = self._forward
        places = max(self._places, -(-length // BLOCK) * BLOCK)
        if rows * self._row_bytes(places) > self._budget:
            places = max(self._places, length)
        wanted = max(rows, min(self._most, self._budget // self._row_bytes(places)))
        shape = (wanted, 2 * forward.key_heads, places, forward.head)
        held = len(self._lengths)
        with torch.inference_mode():
            for number in range(len(forward.layers)):
                grown = torch.zeros(shape, dtype=forward.dtype, device=forward.device)
                if held:
                    grown[:held, :, : self._places] = self._layers[number][:held]
                if number < len(self._layers):
                    self._layers[number] = grown
                else:
                    self._layers.append(grown)
        self._places = places

    def _attend(self, places: Tensor, rows: int, reach: int) -> Attend:
        """One token of each row over the keys and values of its own."""
        import torch

        attention = self._forward.attention
        heads, group, size = attention.key_heads, attention.heads // attention.key_heads, attention.head
        scaling = attention.scaling
        columns = torch.arange(reach, device=places.device)[None]
        seen: dict[int | None, Tensor] = {}
        for window in attention.windows:
            sees = columns <= places[:, None]
            if window is not None:
                sees &= columns > places[:, None] - window
            seen[window] = sees[:, None, None]

        def attend(queries: Tensor, held: Tensor, layer: Layer) -> Tensor:
            keys, values = held[:rows, :heads, :reach], held[:rows, heads:, :reach]
            mixed = torch.nn.functional.scaled_dot_product_attention(
                # the query heads of a key head are its rows
                queries.reshape(rows, heads, group, size),
                keys,
                values,
                attn_mask=seen[layer.window],
                scale=scaling,
            )
            return mixed.reshape(rows, heads * group * size)

        return attend
