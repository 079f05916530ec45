"""Attention over a cache of keys and values that stand still: one row, many, with masks, of fixed lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.lean_weights import Layer

if TYPE_CHECKING:
    from torch import Tensor

Attend = Callable[["Tensor", "Tensor", Layer], "Tensor"]
"""Rotated rows (rows, query heads, head), the layer's keys and values, the layer: (rows, query heads x head)."""


@dataclass(frozen=True, slots=True)
class Attention:
    """The sizes of a model's attention, and the ways to compute it. `windows` are those of its layers; `flash` is
    flash-attn's `flash_attn_with_kvcache`, which takes the place of PyTorch's attention where nothing else is hidden
    than what comes later."""

    heads: int
    key_heads: int
    head: int
    scaling: float
    windows: frozenset[int | None]
    device: Any
    flash: Callable[..., Any] | None = None

    def by_flash(self, length: Tensor) -> Attend | None:
        """Attention by flash-attn's kernel for caches, with `length`, shape (1,), tokens in them; None without it."""
        if self.flash is None:
            return None
        import torch

        kernel, heads, scaling = self.flash, self.key_heads, self.scaling
        lengths = length.to(torch.int32)

        def attend(queries: Tensor, held: Tensor, layer: Layer) -> Tensor:
            # (one text, places, heads, head): views, no copies
            keys, values = held[:heads].transpose(0, 1)[None], held[heads:].transpose(0, 1)[None]
            back = (-1, -1) if layer.window is None else (layer.window - 1, 0)
            mixed: Tensor = kernel(
                queries[None],
                keys,
                values,
                cache_seqlens=lengths,
                softmax_scale=scaling,
                causal=True,
                window_size=back,
            )
            return mixed.reshape(queries.shape[0], -1)

        return attend

    def last(self, start: int, end: int) -> Attend:
        """The rows from `start` to `end`, the last of the cache's tokens; each sees what is not later."""
        import torch

        if self.flash is not None:
            return self.by_flash(torch.tensor([end], device=self.device)) or self._one(end)
        return self._one(end) if end - start == 1 else self._many(start, end)

    def _one(self, end: int) -> Attend:
        """One row: the query heads of a key head are its rows, and nothing is hidden."""
        import torch

        shape = (1, self.key_heads, self.heads // self.key_heads, self.head)
        attention, scaling = torch.nn.functional.scaled_dot_product_attention, self.scaling

        def attend(queries: Tensor, held: Tensor, layer: Layer) -> Tensor:
            first = 0 if layer.window is None else max(0, end - layer.window)
            # (1, key heads, tokens, head) each
            keys, values = held.narrow(1, first, end - first).unsqueeze(0).chunk(2, 1)
            return attention(queries.reshape(shape), keys, values, scale=scaling).view(1, -1)

        return attend

    def _many(self, start: int, end: int) -> Attend:
        import torch

        rows = torch.arange(start, end, device=self.device)[:, None]
        places = torch.arange(end, device=self.device)[None]
        masks: dict[int | None, Tensor | None] = {}
        for window in self.windows:
            if start == 0 and (window is None or window >= end):
                masks[window] = None  # plainly causal, for which there are faster kernels
            else:
                sees = places <= rows
                masks[window] = sees if window is None else sees & (places > rows - window)
        return self.masked(masks, end)

    def masked(self, masks: dict[int | None, Tensor | None], end: int) -> Attend:
        """Several query rows, each of which sees what its row of the mask says; without a mask, what is not later."""
        import torch

        heads, scaling = self.key_heads, self.scaling
        group = self.heads // heads
        attention = torch.nn.functional.scaled_dot_product_attention
        # A kernel for masks that knows grouped heads exists on processors only; elsewhere the heads are spelled out.
        grouped = group > 1 and self.device.type == "cpu"

        def attend(queries: Tensor, held: Tensor, layer: Layer) -> Tensor:
            keys, values = held[None, :heads, :end], held[None, heads:, :end]
            if group > 1 and not grouped:
                keys, values = keys.repeat_interleave(group, dim=1), values.repeat_interleave(group, dim=1)
            mask = masks[layer.window]
            mixed = attention(
                queries.transpose(0, 1)[None],
                keys,
                values,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=grouped,
            )
            return mixed[0].transpose(0, 1).reshape(queries.shape[0], -1)

        return attend

    def fixed(self, places: Tensor, rows: int, reach: int) -> Attend:
        """Rows at `places`, a tensor of (rows,), over the first `reach` tokens, what is later or too far back hidden:
        shapes that do not depend on how much is filled."""
        import torch

        heads, group, size = self.key_heads, self.heads // self.key_heads, self.head
        scaling = self.scaling
        columns = torch.arange(reach, device=self.device)[None]
        later = columns > places[:, None]
        hidden: dict[int | None, Tensor] = {}
        for window in self.windows:
            out = later if window is None else later | (columns <= places[:, None] - window)
            hidden[window] = out[None, None]

        def attend(queries: Tensor, held: Tensor, layer: Layer) -> Tensor:
            turned = queries.view(rows, heads, group, size).permute(1, 2, 0, 3).reshape(heads, group * rows, size)
            scores = torch.bmm(turned, held[:heads, :reach].transpose(1, 2)).float() * scaling
            scores = scores.view(heads, group, rows, reach).masked_fill_(hidden[layer.window], -torch.inf)
            shares = torch.softmax(scores, dim=-1).to(held.dtype).view(heads, group * rows, reach)
            mixed = torch.bmm(shares, held[heads:, :reach]).view(heads, group, rows, size)
            return mixed.permute(2, 0, 1, 3).reshape(rows, heads * group * size)

        return attend
