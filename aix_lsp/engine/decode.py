"""The decode loop: prefill in chunks, then one token at a time, with the key-value cache kept between requests.

Greedy output equals that of transformers' `generate` in float32; what differs is what is not run: the
tokens that the cache still holds from the request before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.prefix_cache import PrefixCache
from aix_lsp.engine.sampling import Sampler

if TYPE_CHECKING:
    import torch

CPU_CHUNK = 128
"""Prompt tokens per forward pass on a processor: a cancelled request waits for one such pass, which takes about as long
as a few tokens."""

GPU_CHUNK = 2048


def _never() -> bool:
    return False


class Decoder:
    """Runs one causal language model of transformers, for one sequence at a time.

    Not thread-safe: it belongs to the model thread.
    """

    def __init__(
        self,
        model: Any,
        stop_ids: frozenset[int] = frozenset(),
        *,
        chunk: int | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self._model = model
        self._stop_ids = stop_ids
        self._device = model.device
        self._chunk = chunk or (CPU_CHUNK if self._device.type == "cpu" else GPU_CHUNK)
        self._vocabulary: int = model.get_input_embeddings().num_embeddings
        self._words = vocabulary
        # Without this a prefill computes logits for the whole prompt. Models that do not know it just do that.
        known = inspect.signature(model.forward).parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self._prefix = PrefixCache()
        self._cache, self._croppable = new_cache(model.config)
        self._reused = 0

    @property
    def held(self) -> tuple[int, ...]:
        """Tokens whose keys and values are in the cache."""
        return self._prefix.held

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run."""
        return self._reused

    def generate(
        self,
        ids: Sequence[int],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        required: str = "",
        cancelled: Callable[[], bool] = _never,
    ) -> Generator[int]:
        """Tokens that continue `ids`, one at a time, until a stop token (not yielded) or until `cancelled`.

        Their text begins with `required` (token healing): until it is spelled out only tokens that go on spelling it
        may come, as long as the vocabulary has any; a character that it does not have ends the requirement.

        There is no other limit: the caller stops asking. `cancelled` is looked at before every forward pass.
        Raises EngineError when the GPU's memory does not suffice; the cache is dropped then and the next
        request starts afresh.
        """
        if not ids:
            raise EngineError("the prompt is empty")
        if not 0 <= min(ids) <= max(ids) < self._vocabulary:
            # On a GPU an index out of range would break the whole process, so it is refused here.
            raise EngineError("the prompt has tokens that the model does not know")
        sampler = Sampler(temperature, top_p, seed)
        position = self._reused = self._keep(ids)
        logits = None
        while position < len(ids):
            if cancelled():
                return
            logits = self._forward(ids[position : position + self._chunk])
            position = len(self._prefix)
        while logits is not None and not cancelled():
            allowed = self._words.beginnings(required) if self._words is not None and required else ()
            token = sampler.pick(logits, allowed)
            required = self._words.rest(token, required) if self._words is not None and allowed else ""
            if token in self._stop_ids:
                return
            yield token
            if cancelled():
                return
            logits = self._forward([token])

    def forget(self) -> None:
        """Drop the key-value cache."""
        self._prefix = PrefixCache()
        self._cache, self._croppable = new_cache(self._model.config)

    def _keep(self, ids: Sequence[int]) -> int:
        """Crop the cache to what `ids` share with it; returns that length."""
        shared = self._prefix.reusable(ids, croppable=self._croppable)
        surplus = len(self._prefix) - shared
        if shared == 0:
            self.forget()
        elif surplus:
            # transformers 5 takes only the negative form: how many to remove.
            self._cache.crop(-surplus)
            self._prefix.crop(shared)
        return shared

    def _forward(self, ids: Sequence[int]) -> torch.Tensor:
        """Run `ids` after what the cache holds; logits of the last position in float32, shape (vocabulary,)."""
        import torch

        done = exhausted = False
        try:
            with torch.inference_mode():
                output = self._model(
                    input_ids=torch.tensor([list(ids)], device=self._device),
                    past_key_values=self._cache,
                    use_cache=True,
                    **self._options,
                )
                logits: torch.Tensor = output.logits[0, -1].float()
            done = True
        except torch.OutOfMemoryError:
            # Answered below: in here the traceback would still hold on to the tensors to be freed.
            exhausted = True
        finally:
            if not done:
                # Some layers may have taken the new keys and some not.
                self.forget()
        if exhausted:
            release_memory(self._device.type)
            raise EngineError(
                "the GPU ran out of memory; lower prompt.max_tokens, set model.quantization to int8 or int4, "
                "or close other programs that use the GPU"
            )
        self._prefix.extend(ids)
        return logits


def new_cache(config: Any) -> tuple[Any, bool]:
    """An empty key-value cache for a model, and whether tokens can be taken off its end.

    Sliding-window layers get a full cache (their attention mask still limits what they see), because a
    window that has moved on cannot be cropped. Recurrent layers keep the state that transformers chooses.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    by_config = DynamicCache(config=config)
    if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in by_config.layers):
        return DynamicCache(), True
    return by_config, False


def release_memory(device_type: str) -> None:
    """Give the memory that PyTorch keeps for later back to the GPU."""
    import gc

    import torch

    gc.collect()
    if device_type == "cuda":
        torch.cuda.empty_cache()
    elif device_type == "mps":
        torch.mps.empty_cache()
