"""Memory that runs out: what is told of it, how it is given back, and shared between the texts whose keys are kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any

from aix_lsp.engine.base import OutOfMemory
from aix_lsp.engine.hardware import GIB, free_memory

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
_ARENAS = 2

_CPU_SHARE = 0.1
_GPU_SHARE = 0.4
_LEAST = GIB // 16
_MOST_ON_CPU = 2 * GIB


def out_of_memory(device_type: str) -> OutOfMemory:
    """What to tell the user."""
    if device_type == "cpu":
        return OutOfMemory(
            "the memory ran out; lower prompt.max_tokens, choose a smaller model, or close other programs"
        )
    return OutOfMemory(
        "the GPU ran out of memory; lower prompt.max_tokens, set model.quantization to int8 or int4, "
        "or close other programs that use the GPU"
    )


def release_memory(device_type: str) -> None:
    """Give the memory that PyTorch keeps for later back to the GPU; one that was not imported yet keeps nothing."""
    import gc

    gc.collect()
    if sys.modules.get("torch") is None:
        return
    import torch

    if device_type == "cuda":
        torch.cuda.empty_cache()
    elif device_type == "mps":
        torch.mps.empty_cache()


def keep_together() -> None:
    """Let the threads that are still to come share two heaps. glibc gives them up to eight for each core: what one
    has freed another cannot use then, and the gaps of all of them add up (docs/log.md). To be called before there are
    threads; nothing where that is not glibc. A choice in the environment is respected."""
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").mallopt(_ARENA_MAX, _ARENAS)


def give_back_unused() -> None:
    """Give free memory that the C library keeps for later back to the system; nothing where that is not glibc. Takes
    some milliseconds, in any thread: prompts of many lengths leave gaps that would add up over days."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def cache_budget(device: Any) -> int:
    """Bytes that the key-value caches of all documents may take together: a tenth of a processor's free memory (at
    most 2 GiB), four tenths of a GPU's. Call it when the weights are loaded."""
    import torch

    if device.type == "cuda":
        return max(_LEAST, int(torch.cuda.mem_get_info(device)[0] * _GPU_SHARE))
    free = free_memory(None, "cpu") or 4 * GIB
    return max(_LEAST, min(_MOST_ON_CPU, int(free * _CPU_SHARE)))
