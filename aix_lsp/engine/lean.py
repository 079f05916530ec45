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
from aix_lsp.engine.int8 import FEW, Int8Linear, head_for, lay_together
from aix_lsp.engine.key_value_cache import BLOCK, KeyValueCache
from aix_lsp.engine.lean_attention import Attend, Attention
from aix_lsp.engine.lean_support import windows
from aix_lsp.engine.lean_weights import joined, layer_of, norm_of

if TYPE_CHECKING:
    from torch import Tensor

GPU_BLOCK = 4096
"""Places by which a cache grows on a GPU, where graphs are recorded anew whenever the tensors move."""


SMALL = 200_000_000
"""Weights up to which a float32 model on a processor keeps its larger ones in half precision besides: a model as small
as that has the memory to spare."""


class LeanForward:
    """One model of transformers. `int8`: eight-bit weights for passes over a few rows, on a processor. `wide`:
    bfloat16 weights for those over many. `flash`: flash-attn's `flash_attn_with_kvcache`, which takes the place of
    PyTorch's attention."""

    def __init__(
        self, model: Any, *, int8: bool = False, wide: bool = False, flash: Callable[..., Any] | None = None
    ) -> None:
        import torch

        body, config = model.model, model.config
        first = body.layers[0].self_attn
        self.device = model.device
        self.int8 = int8
        self.weights: Any = body.embed_tokens.weight.dtype
        self.dtype = torch.float32 if int8 else self.weights
        self.wide = torch.bfloat16 if wide else None
        self.head: int = first.head_dim
        self.heads: int = config.num_attention_heads
        self.key_heads: int = config.num_key_value_heads
        back = windows(config)
        self.attention = Attention(
            self.heads, self.key_heads, self.head, first.scaling, frozenset(back), self.device, flash
        )
        plain = self.dtype == torch.float32
        on_cpu = self.device.type == "cpu"
        self._threads = FewThreads(torch.get_num_threads() if on_cpu else 1, torch.set_num_threads)
        columns = plain and not int8 and on_cpu
        halves = columns and sum(weight.numel() for weight in model.parameters()) < SMALL
        with torch.no_grad():
            self.layers = [
                layer_of(
                    layer, window=window, int8=int8, wide=self.wide, plain_norms=plain, columns=columns, halves=halves
                )
                for layer, window in zip(body.layers, back, strict=True)
            ]
            products = [part for layer in self.layers for part in layer.few.in_order()]
            lay_together([part for part in products if isinstance(part, Int8Linear)])
            self._norm = norm_of(body.norm, plain=plain)
            head = joined([model.lm_head], columns=columns)
            narrow = int8 and head.plain
            self._head = head_for(model.lm_head.weight, model.lm_head.bias) if narrow else head.product()
            if halves:
                self._head = head.half() or self._head
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
            else:
                states = self._embedding[torch.tensor(ids, device=self.device)]
            states = self.states(
                states,
                self._cos[start:end],
                self._sin[start:end],
                cache.layers,
                lambda layer, made: layer.narrow(1, start, rows).copy_(made.transpose(0, 1)),
                self.attention.last(start, end),
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
                for window in self.attention.windows
            }
            states = self.states(
                self._embedding[torch.tensor(ids, device=self.device)],
                self._cos[position : position + 1],
                self._sin[position : position + 1],
                cache.layers,
                lambda layer, made: layer[:, start:end].copy_(made.transpose(0, 1)),
                self.attention.masked(masks, end),
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
