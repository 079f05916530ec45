"""The models with a short name, as a table: where they are, how large, in which form they want a prompt, what is
allowed.

Shapes are those of the published `config.json` files, so that memory is computed and not remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from aix_lsp.engine.weight_memory import WeightCounts

Family = Literal["aixcoder", "codellama", "deepseek", "qwen", "starcoder"]
"""Names of the families in `prompt/fim.py`, which recognises them by the tokenizer; here they are told beforehand."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a transformer: numbers of layers, heads and vocabulary, widths of its vectors.

    `head_size` 0 means hidden / heads. `gated` layers have three matrices (SwiGLU), others two. `biases`: none, those
    of queries, keys and values, or one per matrix and norm.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    tied: bool = False
    gated: bool = True
    biases: Literal["none", "qkv", "all"] = "none"
    head_size: int = 0

    @property
    def counts(self) -> WeightCounts:
        """Numbers in its weights."""
        width = self.head_size or self.hidden // self.heads
        query, key = self.heads * width, self.kv_heads * width
        matrices = 3 if self.gated else 2
        linear = self.hidden * (2 * query + 2 * key + matrices * self.feed_forward)
        small = 2 * self.hidden
        if self.biases == "qkv":
            small += query + 2 * key
        elif self.biases == "all":
            small += query + 2 * key + self.hidden + self.feed_forward + self.hidden + 2 * self.hidden
        last = 2 * self.hidden if self.biases == "all" else self.hidden
        embedding = self.vocabulary * self.hidden
        return WeightCounts(self.layers * linear, embedding, embedding + self.layers * small + last, self.tied)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A row of the table. `source` is the hub's name, with `@revision` where the main one has no safetensors files.

    `positions` is the context length in tokens; `commercial` says whether the licence allows work that is paid for
    without a contract of one's own.
    """

    name: str
    source: str
    family: Family
    shape: Shape
    positions: int
    licence: str
    commercial: bool = True


NON_COMMERCIAL: Final = "NON-COMMERCIAL. "
"""How the licence begins of a model that is not for work that is paid for."""

_AIXCODER: Final = (
    f"{NON_COMMERCIAL}aiXcoder model licence: free for academic research; "
    "any commercial use needs a licence from aiXcoder"
)
_LLAMA2: Final = (
    "Llama 2 Community Licence: commercial use allowed below 700 million users a month, with use restrictions"
)
_DEEPSEEK: Final = "DeepSeek licence: commercial use allowed, with use restrictions"
_APACHE: Final = "Apache-2.0"
_QWEN_RESEARCH: Final = (
    f"{NON_COMMERCIAL}Qwen Research Licence: research and evaluation only; "
    "commercial use needs a licence from Alibaba Cloud"
)
_OPENRAIL: Final = "BigCode OpenRAIL-M v1: commercial use allowed, with use restrictions"

KNOWN: Final[tuple[KnownModel, ...]] = (
    KnownModel(
        "aixcoder-7b",
        "aiXcoder/aixcoder-7b-base",
        "aixcoder",
        Shape(32, 4096, 32, 8, 14464, 49152),
        32_768,
        _AIXCODER,
        commercial=False,
    ),
    KnownModel(
        "codellama-7b",
        "codellama/CodeLlama-7b-hf",
        "codellama",
        Shape(32, 4096, 32, 32, 11008, 32016),
        16_384,
        _LLAMA2,
    ),
    KnownModel(
        "codellama-13b",
        "codellama/CodeLlama-13b-hf",
        "codellama",
        Shape(40, 5120, 40, 40, 13824, 32016),
        16_384,
        _LLAMA2,
    ),
    KnownModel(
        "deepseek-coder-1.3b",
        # Its main revision has pickle files only; this is the hub's own conversion of them.
        "deepseek-ai/deepseek-coder-1.3b-base@refs/pr/3",
        "deepseek",
        Shape(24, 2048, 16, 16, 5504, 32256),
        16_384,
        _DEEPSEEK,
    ),
    KnownModel(
        "deepseek-coder-6.7b",
        "deepseek-ai/deepseek-coder-6.7b-base",
        "deepseek",
        Shape(32, 4096, 32, 32, 11008, 32256),
        16_384,
        _DEEPSEEK,
    ),
    KnownModel(
        "qwen2.5-coder-0.5b",
        "Qwen/Qwen2.5-Coder-0.5B",
        "qwen",
        Shape(24, 896, 14, 2, 4864, 151936, tied=True, biases="qkv"),
        32_768,
        _APACHE,
    ),
    KnownModel(
        "qwen2.5-coder-1.5b",
        "Qwen/Qwen2.5-Coder-1.5B",
        "qwen",
        Shape(28, 1536, 12, 2, 8960, 151936, tied=True, biases="qkv"),
        32_768,
        _APACHE,
    ),
    KnownModel(
        "qwen2.5-coder-3b",
        "Qwen/Qwen2.5-Coder-3B",
        "qwen",
        Shape(36, 2048, 16, 2, 11008, 151936, tied=True, biases="qkv"),
        32_768,
        _QWEN_RESEARCH,
        commercial=False,
    ),
    KnownModel(
        "qwen2.5-coder-7b",
        "Qwen/Qwen2.5-Coder-7B",
        "qwen",
        Shape(28, 3584, 28, 4, 18944, 152064, biases="qkv"),
        32_768,
        _APACHE,
    ),
    KnownModel(
        "qwen2.5-coder-14b",
        "Qwen/Qwen2.5-Coder-14B",
        "qwen",
        Shape(48, 5120, 40, 8, 13824, 152064, biases="qkv"),
        32_768,
        _APACHE,
    ),
    KnownModel(
        "starcoder2-3b",
        "bigcode/starcoder2-3b",
        "starcoder",
        Shape(30, 3072, 24, 2, 12288, 49152, tied=True, gated=False, biases="all"),
        16_384,
        _OPENRAIL,
    ),
    KnownModel(
        "starcoder2-7b",
        "bigcode/starcoder2-7b",
        "starcoder",
        Shape(32, 4608, 36, 4, 18432, 49152, tied=True, gated=False, biases="all"),
        16_384,
        _OPENRAIL,
    ),
    KnownModel(
        "starcoder2-15b",
        "bigcode/starcoder2-15b",
        "starcoder",
        Shape(40, 6144, 48, 4, 24576, 49152, gated=False, biases="all"),
        16_384,
        _OPENRAIL,
    ),
)

EMBEDDED_SHAPE: Final = Shape(6, 384, 6, 2, 1024, 8192, tied=True, head_size=64)
"""aix-mini's, which lies in the package."""
