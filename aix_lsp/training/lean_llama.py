"""The forward pass of a small Llama for training on processors, over the weights of transformers' own modules.

Computes what `LlamaModel` computes (a test compares), about 1.4 times as fast on a processor once compiled
(docs/log.md): attention as plain matrix products over blocks of queries, which skips what lies in the future and lets
the compiler fuse mask and softmax; queries that share a key head are rows of one product; weights are cast to bfloat16
once a pass while masters stay float32; and scores and softmax stay in float32, since a run whose scores were bfloat16
went to NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 256
_HIDDEN = -30_000.0  # far below any score, and still finite in bfloat16: a row of padding has no other


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes that the pass needs: query heads, key heads, and the size of a head."""

    heads: int
    key_heads: int
    head: int
    epsilon: float


def supports(model: nn.Module) -> bool:
    """Whether a model is a plain Llama: no biases, no scaled positions, and no adapter inside its layers."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", "") != "llama" or config.attention_bias or config.mlp_bias:
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    plain = rope.get("rope_type", "default") == "default"
    linears = (module for name, module in model.named_modules() if name.endswith("_proj"))
    return plain and config.hidden_act == "silu" and all(type(module) is nn.Linear for module in linears)


class LeanLlama(nn.Module):
    """`forward(ids, positions, sees)` gives the hidden states (rows, length, hidden) behind the last norm.

    `dtype` is that of the products, bfloat16 or float32. With `compiled` the pass is compiled at the first call for
    each shape, which takes up to a minute.
    """

    def __init__(self, model: Any, *, dtype: torch.dtype = torch.bfloat16, compiled: bool = True) -> None:
        super().__init__()
        self.body = model.model
        config = model.config
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.shape = Shape(config.num_attention_heads, config.num_key_value_heads, head, config.rms_norm_eps)
        theta = (getattr(config, "rope_parameters", None) or {}).get("rope_theta") or config.rope_theta
        frequencies = float(theta) ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.dtype = dtype
        self._run: Callable[..., Tensor] = torch.compile(self._pass, dynamic=False) if compiled else self._pass

    def forward(self, ids: Tensor, positions: Tensor, sees: Tensor) -> Tensor:
        """Hidden states; `sees` (rows, length, length) says which place looks at which."""
        frequencies: Any = self.frequencies
        angles = positions[..., None].float() * frequencies
        hidden = torch.where(sees, 0.0, _HIDDEN).to(self.dtype)
        return self._run(ids, angles.cos()[:, :, None].to(self.dtype), angles.sin()[:, :, None].to(self.dtype), hidden)

    def _pass(self, ids: Tensor, cos: Tensor, sin: Tensor, hidden: Tensor) -> Tensor:
        body: Any = self.body
        shape = self.shape
        rows, length = ids.shape
        x = functional.embedding(ids, body.embed_tokens.weight).to(self.dtype)
        for layer in body.layers:
            attention, feed = layer.self_attn, layer.mlp
            h = self._norm(x, layer.input_layernorm.weight)
            q = self._linear(h, attention.q_proj).view(rows, length, shape.heads, shape.head)
            k = self._linear(h, attention.k_proj).view(rows, length, shape.key_heads, shape.head)
            v = self._linear(h, attention.v_proj).view(rows, length, shape.key_heads, shape.head)
            mixed = self._attention(_rotated(q, cos, sin), _rotated(k, cos, sin), v, hidden)
            x = x + self._linear(mixed, attention.o_proj)
            h = self._norm(x, layer.post_attention_layernorm.weight)
            gate, up = self._linear(h, feed.gate_proj), self._linear(h, feed.up_proj)
            x = x + self._linear(functional.silu(gate) * up, feed.down_proj)
        return self._norm(x, body.norm.weight)

    def _attention(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor) -> Tensor:
        shape = self.shape
        rows, length = q.shape[:2]
        group = shape.heads // shape.key_heads
        # (rows x key heads, places x queries of that key head, head)
        q = q.view(rows, length, shape.key_heads, group, shape.head).permute(0, 2, 1, 3, 4)
        q = q.reshape(rows * shape.key_heads, length * group, shape.head)
        k = k.permute(0, 2, 1, 3).reshape(rows * shape.key_heads, length, shape.head)
        v = v.permute(0, 2, 1, 3).reshape(rows * shape.key_heads, length, shape.head)
        mixed = []
        for start in range(0, length, _BLOCK):
            end = min(start + _BLOCK, length)
            scores = torch.bmm(q[:, start * group : end * group], k[:, :end].transpose(1, 2))
            scores = scores.view(rows, shape.key_heads, end - start, group, end).float() * shape.head**-0.5
            scores = scores + hidden[:, None, start:end, None, :end]
            weights = torch.softmax(scores, -1).to(v.dtype)
            weights = weights.view(rows * shape.key_heads, (end - start) * group, end)
            mixed.append(torch.bmm(weights, v[:, :end]))
        joined = torch.cat(mixed, 1).view(rows, shape.key_heads, length, group, shape.head)
        return joined.permute(0, 2, 1, 3, 4).reshape(rows, length, shape.heads * shape.head)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.shape.epsilon)
        return wide.to(x.dtype) * weight.to(x.dtype)

    def _linear(self, x: Tensor, linear: nn.Linear) -> Tensor:
        return functional.linear(x, linear.weight.to(x.dtype))


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding in halves, as Hugging Face lays it out."""
    left, right = x.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)
