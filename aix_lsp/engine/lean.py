"""The forward pass of Llama, Mistral, Qwen2 and StarCoder2 without what a library has to carry along.

Computes what transformers' modules compute, with their weights (tests compare tokens and logits). For a small model,
and for any model on a fast GPU, most of a token's time is spent between the products: wrappers, masks that are made
anew, caches that are copied as they grow. Here a pass is a few operations per layer on tensors that stand still, in
the manner of gpt-fast. `lean_support.py` says which models qualify.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.few_threads import FewThreads
from aix_lsp.engine.int8 import FEW, Int8Linear, has_fast_bfloat16, head_for, lay_together
from aix_lsp.engine.key_value_cache import BLOCK, KeyValueCache
from aix_lsp.engine.lean_support import windows
from aix_lsp.engine.lean_weights import Layer, joined, layer_of, norm_of

if TYPE_CHECKING:
    from torch import Tensor

Attend = Callable[["Tensor", "Tensor", Layer], "Tensor"]
"""Rotated rows (rows, all heads, head), the layer's keys and values, the layer: (rows, query heads x head)."""


GPU_BLOCK = 4096
"""Places by which a cache grows on a GPU, where graphs are recorded anew whenever the tensors move."""


class LeanForward:
    """One model of transformers. `int8`: eight-bit weights for passes over a few rows, on a processor. `flash`:
    flash-attn's `flash_attn_with_kvcache`, which takes the place of PyTorch's attention."""

    def __init__(self, model: Any, *, int8: bool = False, flash: Callable[..., Any] | None = None) -> None:
        import torch

        body, config = model.model, model.config
        attention = body.layers[0].self_attn
        self.device = model.device
        self.int8 = int8
        self._flash = flash
        self.weights: Any = body.embed_tokens.weight.dtype
        self.dtype = torch.float32 if int8 else self.weights
        self.wide = torch.bfloat16 if int8 and has_fast_bfloat16() else None
        self.head: int = attention.head_dim
        self.heads: int = config.num_attention_heads
        self.key_heads: int = config.num_key_value_heads
        self.scaling: float = attention.scaling
        plain = self.dtype == torch.float32
        on_cpu = self.device.type == "cpu"
        self._threads = FewThreads(torch.get_num_threads() if on_cpu else 1, torch.set_num_threads)
        columns = plain and not int8 and on_cpu
        with torch.no_grad():
            self.layers = [
                layer_of(layer, window=window, int8=int8, wide=self.wide, plain_norms=plain, columns=columns)
                for layer, window in zip(body.layers, windows(config), strict=True)
            ]
            products = [part for layer in self.layers for part in layer.few.in_order()]
            lay_together([part for part in products if isinstance(part, Int8Linear)])
            self._norm = norm_of(body.norm, plain=plain)
            head = joined([model.lm_head], columns=columns)
            narrow = int8 and head.plain
            self._head = head_for(model.lm_head.weight, model.lm_head.bias) if narrow else head.product()
        self._embedding: Tensor = body.embed_tokens.weight.detach()
        self._rotary = body.rotary_emb
        self._cos, self._sin = self._angles(config.max_position_embeddings)
        self._most: int = config.max_position_embeddings

    @property
    def angles(self) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines of every position, shape (positions, 1, head)."""
        return self._cos, self._sin

    def new_cache(self) -> KeyValueCache:
        """An empty cache for this model's keys and values."""
        return KeyValueCache(
            len(self.layers),
            self.key_heads,
            self.head,
            dtype=self.dtype,
            device=self.device,
            most=self._most,
            block=BLOCK if self.device.type == "cpu" else GPU_BLOCK,
        )

    def embedded(self, ids: Tensor) -> Tensor:
        """Where the layers begin, (rows, hidden), for a tensor of tokens."""
        return self._embedding[ids]

    def reserve(self, cache: KeyValueCache, length: int) -> bool:
        """Have room for so many tokens within the model's positions; False when they are more than these."""
        if length > self._most:
            return False
        cache.reserve(length)
        return True

    def flash_attend(self, length: Tensor) -> Attend | None:
        """Attention by flash-attn's kernel for caches, with `length`, shape (1,), tokens in them; None without it."""
        if self._flash is None:
            return None
        import torch

        kernel, heads, scaling = self._flash, self.key_heads, self.scaling
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

    def run(self, cache: KeyValueCache, ids: Sequence[int], keep: int = 1) -> Tensor:
        """Run `ids` behind what the cache holds; float32 logits of the last `keep`, shape (keep, vocabulary)."""
        import torch

        start, rows = cache.length, len(ids)
        end = start + rows
        few = rows <= FEW
        cache.reserve(end)
        self._reach(end)
        with self._threads if few else contextlib.nullcontext(), torch.inference_mode():
            if rows == 1:
                states = self._embedding[ids[0] : ids[0] + 1]
                attend = self._whole(end) or self._one_row(end)
            else:
                states = self._embedding[torch.tensor(ids, device=self.device)]
                attend = self._whole(end) or self._many_rows(start, end)
            states = self.states(
                states,
                self._cos[start:end],
                self._sin[start:end],
                cache.layers,
                lambda layer, made: layer.narrow(1, start, rows).copy_(made.transpose(0, 1)),
                attend,
                few=few,
            )
            logits = self.logits(states[rows - keep :])
        cache.length = end
        return logits

    def branch(self, cache: KeyValueCache, ids: Sequence[int], trunk: int, step: int) -> Tensor:
        """Run one token of each of several texts that share the first `trunk` tokens of the cache; logits of all.

        `step` counts the tokens that each text has beyond them; those of all texts lie side by side behind the
        trunk. Crop the cache to the trunk afterwards.
        """
        import torch

        rows = len(ids)
        start = trunk + step * rows
        end = start + rows
        position = trunk + step
        cache.reserve(end)
        self._reach(position + 1)
        with torch.inference_mode():
            own = torch.eye(rows, dtype=torch.bool, device=self.device).repeat(1, step + 1)
            common = torch.ones((rows, trunk), dtype=torch.bool, device=self.device)
            sees = torch.cat([common, own], dim=1)
            place = torch.cat(
                [
                    torch.arange(trunk, device=self.device),
                    torch.arange(trunk, position + 1, device=self.device).repeat_interleave(rows),
                ]
            )
            masks: dict[int | None, Tensor | None] = {
                window: sees if window is None else sees & (place > position - window)[None]
                for window in {layer.window for layer in self.layers}
            }
            states = self.states(
                self._embedding[torch.tensor(ids, device=self.device)],
                self._cos[position : position + 1],
                self._sin[position : position + 1],
                cache.layers,
                lambda layer, made: layer[:, start:end].copy_(made.transpose(0, 1)),
                self._masked(masks, end),
                few=rows <= FEW,
            )
            logits = self.logits(states)
        cache.length = end
        return logits

    def states(
        self,
        states: Tensor,
        cos: Tensor,
        sin: Tensor,
        held: Sequence[Tensor],
        write: Callable[[Tensor, Tensor], Any],
        attend: Attend,
        *,
        few: bool,
    ) -> Tensor:
        """All layers over (rows, hidden). `cos` and `sin` have the shape (rows or 1, 1, head), the first half of `sin`
        negative; `write` puts (rows, 2 x key heads, head) of new keys and values into a layer's tensor."""
        import torch

        heads, half, dtype = self.heads, self.head // 2, self.dtype
        rotated = heads + self.key_heads
        rows = states.shape[0]
        states = states.to(dtype)
        for layer, keys_and_values in zip(self.layers, held, strict=True):
            products = layer.few if few else layer.many
            made = products.qkv(layer.norm(states)).to(dtype).view(rows, -1, self.head)
            turning = made.narrow(1, 0, rotated)
            # x * cos + (-x2, x1) * sin, the minus sign in the table
            torch.addcmul(turning * cos, turning.roll(half, -1), sin, out=turning)
            write(keys_and_values, made.narrow(1, heads, 2 * self.key_heads))
            states = states + products.out(attend(made.narrow(1, 0, heads), keys_and_values, layer))
            states += products.down(layer.activate(products.up(layer.second_norm(states))))
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Scores of all tokens in float32, (rows, vocabulary), from what the layers left."""
        made: Tensor = self._head(self._norm(states)).float()
        return made

    def _whole(self, end: int) -> Attend | None:
        if self._flash is None:
            return None
        import torch

        return self.flash_attend(torch.tensor([end], device=self.device))

    def _one_row(self, end: int) -> Attend:
        """One query row: the query heads of a key head are its rows, and nothing is hidden."""
        import torch

        shape = (1, self.key_heads, self.heads // self.key_heads, self.head)
        attention, scaling = torch.nn.functional.scaled_dot_product_attention, self.scaling

        def attend(queries: Tensor, held: Tensor, layer: Layer) -> Tensor:
            first = 0 if layer.window is None else max(0, end - layer.window)
            # (1, key heads, tokens, head) each
            keys, values = held.narrow(1, first, end - first).unsqueeze(0).chunk(2, 1)
            return attention(queries.reshape(shape), keys, values, scale=scaling).view(1, -1)

        return attend

    def _many_rows(self, start: int, end: int) -> Attend:
        import torch

        rows = torch.arange(start, end, device=self.device)[:, None]
        places = torch.arange(end, device=self.device)[None]
        masks: dict[int | None, Tensor | None] = {}
        for window in {layer.window for layer in self.layers}:
            if start == 0 and (window is None or window >= end):
                masks[window] = None  # plainly causal, for which there are faster kernels
            else:
                sees = places <= rows
                masks[window] = sees if window is None else sees & (places > rows - window)
        return self._masked(masks, end)

    def _masked(self, masks: dict[int | None, Tensor | None], end: int) -> Attend:
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

    def _reach(self, length: int) -> None:
        """Have angles for positions below `length`: past the model's own they are made when they are asked for."""
        if length > self._cos.shape[0]:
            self._cos, self._sin = self._angles(length + FEW)

    def _angles(self, count: int) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines of every position, shape (count, 1, head), from the model's own module."""
        import torch

        with torch.inference_mode():
            probe = torch.empty(0, dtype=self.dtype, device=self.device)
            cos, sin = self._rotary(probe, torch.arange(count, device=self.device)[None])
            cos, sin = cos[0, :, None].clone(), sin[0, :, None].clone()
            sin[..., : self.head // 2].neg_()
        return cos, sin
