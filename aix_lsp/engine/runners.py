"""The two ways in which a model runs, of which the decode loop sees one: the lean forward, or transformers' own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aix_lsp.engine.hardware import free_memory
from aix_lsp.engine.int8 import has_fast_bfloat16, has_kernel
from aix_lsp.engine.lean_support import objection

if TYPE_CHECKING:
    from torch import Tensor

    from aix_lsp.engine.key_value_cache import KeyValueCache
    from aix_lsp.engine.lean import LeanForward


class Runner(Protocol):
    """Runs tokens behind what a cache holds. A pass that fails leaves the cache unusable: make a new one."""

    @property
    def way(self) -> str:
        """One line that says how the model runs, for `doctor`."""
        ...

    @property
    def lean(self) -> LeanForward | None:
        """The lean forward, for passes over several texts at once; None where it does not run this model."""
        ...

    @property
    def croppable(self) -> bool:
        """Whether tokens can be taken off a cache's end."""
        ...

    @property
    def branches(self) -> bool:
        """Whether `branch` can be used."""
        ...

    @property
    def most_guesses(self) -> int:
        """Tokens to verify in one pass at most."""
        ...

    @property
    def guess_cost(self) -> float:
        """Time that one more token in a pass takes, as a share of a pass over one: about, to begin with."""
        ...

    def new_cache(self) -> Any: ...

    def bytes(self, cache: Any) -> int:
        """Memory that a cache takes."""
        ...

    def crop(self, cache: Any, length: int) -> None:
        """Keep the first `length` tokens."""
        ...

    def copy(self, cache: Any, length: int) -> Any | None:
        """A new cache with the first `length` tokens of another; None where that is not worth it."""
        ...

    def run(self, cache: Any, ids: Sequence[int], keep: int = 1) -> Tensor:
        """Run `ids`; float32 logits of the last `keep`, shape (keep, vocabulary)."""
        ...

    def branch(self, cache: Any, ids: Sequence[int], trunk: int, step: int) -> Tensor:
        """See `LeanForward.branch`."""
        ...

    def release(self) -> None:
        """Let go of memory beside the caches that can be made anew."""
        ...


def runner_for(model: Any, *, cpu_decode: str = "none", graphs: bool = True) -> Runner:
    """The lean way where it is exact, else transformers' own.

    `cpu_decode` is `auto`, `int8` or `none`: whether passes over a few tokens use eight-bit weights on a processor
    (`auto`: where it has a kernel for them, and memory to spare). `graphs`: record CUDA graphs on a GPU.
    """
    reason = objection(model)
    if reason:
        return TransformersRunner(model, reason)
    int8, wide = _weights_beside(model, cpu_decode)
    return LeanRunner(model, int8=int8, wide=wide, graphs=graphs and model.device.type == "cuda")


def _weights_beside(model: Any, wanted: str) -> tuple[bool, bool]:
    """Which weights a processor gets besides the model's own: eight-bit ones, and bfloat16 ones for prompts. Those that
    were not asked for may take half of the free memory."""
    if wanted == "none" or model.device.type != "cpu":
        return False, False
    import torch

    if model.model.embed_tokens.weight.dtype not in (torch.float32, torch.bfloat16):
        return False, False
    numbers = sum(weight.numel() for weight in model.parameters())
    free = free_memory(None, "cpu")
    room = float("inf") if free is None else free / 2
    int8 = wanted == "int8" or (has_kernel() and numbers <= room)
    return int8, int8 and has_fast_bfloat16() and 3 * numbers <= room


def _flash(model: Any) -> Callable[..., Any] | None:
    """flash-attn's kernel for caches, where the model was loaded to use flash-attn and it has that kernel."""
    if model.device.type != "cuda" or getattr(model.config, "_attn_implementation", "") != "flash_attention_2":
        return None
    try:
        from flash_attn import flash_attn_with_kvcache
    except ImportError:
        return None
    kernel: Callable[..., Any] = flash_attn_with_kvcache
    return kernel


def _not_recordable(model: Any) -> str:
    """The kind of a linear layer that does not promise (`graph_safe`) to run without a look at the GPU's numbers."""
    import torch

    for module in model.modules():
        plain = isinstance(module, torch.nn.Linear) and type(module) is torch.nn.Linear
        if hasattr(module, "in_features") and not plain and not getattr(module, "graph_safe", False):
            return type(module).__name__
    return ""


def _quantized(model: Any) -> str:
    """The number format of weights that were quantized when they were loaded, empty where there are none."""
    kinds = {"Linear4bit": "int4", "Linear8bitLt": "int8"}  # those of bitsandbytes
    for module in model.model.layers.modules():
        if isinstance(getattr(module, "bits", None), int):
            return f"int{module.bits}"
        if type(module).__name__ in kinds:
            return kinds[type(module).__name__]
    return ""


class LeanRunner:
    """The lean forward."""

    croppable = True
    branches = True

    def __init__(self, model: Any, *, int8: bool = False, wide: bool = False, graphs: bool = False) -> None:
        from aix_lsp.engine.lean import LeanForward
        from aix_lsp.engine.lean_steps import FixedSteps

        self._flash = _flash(model)
        self._forward = LeanForward(model, int8=int8, wide=wide, flash=self._flash)
        self._quantized = _quantized(model)
        self._graphs = "CUDA graphs" if graphs else ""
        self._steps: FixedSteps | None = None
        stubborn = _not_recordable(model) if graphs else ""
        if stubborn:
            self._graphs = f"no CUDA graphs ({stubborn} cannot be recorded)"
        elif graphs:
            self._steps = FixedSteps(self._forward, record=True)
        on_cpu = model.device.type == "cpu"
        self.most_guesses = 7 if on_cpu else 15
        # Measured on the embedded model (docs/log.md): float32 products of a few rows cost nearly a pass each.
        self.guess_cost = 0.03 if not on_cpu else 0.15 if int8 else 0.8

    @property
    def way(self) -> str:
        """See `Runner.way`."""
        import torch

        forward = self._forward
        name = str(forward.weights).removeprefix("torch.")
        if self._quantized or not forward.int8:
            steps = self._steps
            graphs = steps.failure if steps is not None and steps.failure else self._graphs
            attention = "flash-attn" if self._flash is not None else ""
            weights = f"{self._quantized} weights" if self._quantized else ""
            head = "int8 head" if forward.int8 else ""
            return ", ".join(part for part in ("lean", weights, name, head, attention, graphs) if part)
        many = "bfloat16" if forward.wide is torch.bfloat16 else name
        return f"lean, int8 weights for single tokens, {many} for prompts"

    @property
    def lean(self) -> LeanForward:
        """See `Runner.lean`."""
        return self._forward

    def new_cache(self) -> KeyValueCache:
        """See `Runner.new_cache`."""
        return self._forward.new_cache()

    def bytes(self, cache: KeyValueCache) -> int:
        """See `Runner.bytes`."""
        return cache.bytes

    def crop(self, cache: KeyValueCache, length: int) -> None:
        """See `Runner.crop`."""
        cache.crop(length)

    def copy(self, cache: KeyValueCache, length: int) -> KeyValueCache | None:
        """See `Runner.copy`."""
        made = self._forward.new_cache()
        made.copy_from(cache, length)
        return made

    def run(self, cache: KeyValueCache, ids: Sequence[int], keep: int = 1) -> Tensor:
        """See `Runner.run`."""
        if self._steps is not None:
            rows = self._steps.run(cache, ids, keep)
            if rows is not None:
                return rows
        return self._forward.run(cache, ids, keep)

    def release(self) -> None:
        """See `Runner.release`."""
        if self._steps is not None:
            self._steps.release()

    def branch(self, cache: KeyValueCache, ids: Sequence[int], trunk: int, step: int) -> Tensor:
        """See `Runner.branch`."""
        return self._forward.branch(cache, ids, trunk, step)


class TransformersRunner:
    """Any causal language model through its own `forward`."""

    branches = False
    lean = None
    most_guesses = 7
    guess_cost = 0.3

    def __init__(self, model: Any, reason: str) -> None:
        self._model = model
        self._reason = reason
        # Without this a prefill computes logits for the whole prompt. Models that do not know it just do that.
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.croppable = new_cache(model.config)[1]

    @property
    def way(self) -> str:
        """See `Runner.way`."""
        return f"transformers' own forward, which is slower: {self._reason}"

    def new_cache(self) -> Any:
        """See `Runner.new_cache`."""
        return new_cache(self._model.config)[0]

    def bytes(self, cache: Any) -> int:
        """See `Runner.bytes`."""
        held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
        return sum(part.numel() * part.element_size() for part in held if part is not None)

    def crop(self, cache: Any, length: int) -> None:
        """See `Runner.crop`."""
        surplus = cache.get_seq_length() - length
        if surplus > 0:
            # transformers 5 takes only the negative form: how many to remove.
            cache.crop(-surplus)

    def copy(self, cache: Any, length: int) -> None:
        """Not worth it here."""

    def run(self, cache: Any, ids: Sequence[int], keep: int = 1) -> Tensor:
        """See `Runner.run`."""
        import torch

        with torch.inference_mode():
            output = self._model(
                input_ids=torch.tensor([list(ids)], device=self._model.device),
                past_key_values=cache,
                use_cache=True,
                **({"logits_to_keep": keep} if self._keeps else {}),
            )
            logits: Tensor = output.logits[0, -keep:].float()
        return logits

    def release(self) -> None:
        """There is none."""

    def branch(self, cache: Any, ids: Sequence[int], trunk: int, step: int) -> Tensor:
        """Not this way: `branches` says so."""
        raise NotImplementedError("transformers' caches hold one text")


def new_cache(config: Any) -> tuple[Any, bool]:
    """An empty key-value cache of transformers for a model, and whether tokens can be taken off its end.

    Sliding-window layers get a full cache (their attention mask still limits what they see), because a
    window that has moved on cannot be cropped. Recurrent layers keep the state that transformers chooses.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    by_config = DynamicCache(config=config)
    if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in by_config.layers):
        return DynamicCache(), True
    return by_config, False
