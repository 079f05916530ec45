"""What this machine has, and what follows for device, number format and attention kernel.

The choices are pure functions of what was found; only the functions that look import torch.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aix_lsp.engine.base import ModelError

GIB = 2**30


def share_processors() -> None:
    """Let PyTorch's threads sleep while they wait for one another, instead of spinning. Before torch's import.

    Spinning threads and an editor's other work starve each other: on two busy cores a token of the embedded
    model took 93 ms so, and 6.5 ms with sleeping threads; on idle cores sleeping costs up to a tenth. A choice in
    the environment is respected.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """The first CUDA (or ROCm) GPU. Sizes in bytes; `bf16` says whether it computes in bfloat16 itself."""

    name: str
    free_bytes: int
    total_bytes: int
    bf16: bool


def find_gpu() -> GpuInfo | None:
    """The GPU that PyTorch would use; None without one, or with a PyTorch that was built without CUDA."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    bf16 = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return GpuInfo(torch.cuda.get_device_name(), free, total, bf16)


def has_mps() -> bool:
    """Whether PyTorch can use an Apple GPU."""
    import torch

    return torch.backends.mps.is_available()


def free_memory(gpu: GpuInfo | None, device: str) -> int | None:
    """Bytes that a model may take on `device`; None when that cannot be told."""
    if device == "cuda":
        return gpu.free_bytes if gpu else None
    if device != "cpu":
        return None
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def pick_device(wanted: str, *, gpu: GpuInfo | None, mps: bool) -> str:
    """`cuda`, `mps` or `cpu`. Raises ModelError when the wanted one is not there."""
    if wanted == "auto":
        return "cuda" if gpu else "mps" if mps else "cpu"
    if wanted == "cuda" and gpu is None:
        raise ModelError(
            "model.device is cuda, but PyTorch finds no GPU here; install the NVIDIA driver and a PyTorch built for "
            "CUDA, or set model.device to auto"
        )
    if wanted == "mps" and not mps:
        raise ModelError("model.device is mps, but PyTorch finds no Apple GPU here; set model.device to auto")
    return wanted


def pick_dtype(wanted: str, device: str, *, gpu: GpuInfo | None) -> str:
    """The number format's name. `auto`: bfloat16 on a GPU that has it, else float16; float32 on a processor.

    Float32 stays the processor's format although some compute bfloat16 natively: that makes a long prompt
    faster but not the single tokens (measured on the embedded model), and on processors without it both
    are many times slower.
    """
    if wanted != "auto":
        return wanted
    if device == "cpu":
        return "float32"
    return "bfloat16" if device == "cuda" and gpu is not None and gpu.bf16 else "float16"


def pick_attention(wanted: str, device: str, dtype: str, *, flash: bool) -> str:
    """The attention kernel as transformers names it. `flash`: whether flash-attn can be imported.

    Raises ModelError when flash-attn is asked for and cannot work.
    """
    usable = flash and device == "cuda" and dtype != "float32"
    if wanted == "auto":
        return "flash_attention_2" if usable else "sdpa"
    if wanted == "flash_attention_2" and not usable:
        raise ModelError(
            "model.attention is flash_attention_2, which needs flash-attn (pip install 'aix-lsp[flash]'), an NVIDIA "
            "GPU and a 16-bit model.dtype; set model.attention to auto"
        )
    return wanted


def quantization_config(wanted: str, device: str, dtype: str) -> Any:
    """The bitsandbytes configuration for transformers; None for `none`. Raises ModelError when it cannot work."""
    if wanted == "none":
        return None
    if device != "cuda":
        raise ModelError(f"model.quantization is {wanted}, which needs an NVIDIA GPU; set model.quantization to none")
    from importlib.util import find_spec

    missing = [package for package in ("bitsandbytes", "accelerate") if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"model.quantization is {wanted}, but {' and '.join(missing)} cannot be imported; "
            "pip install 'aix-lsp[quant]', or set model.quantization to none"
        )
    import torch
    from transformers import BitsAndBytesConfig

    if wanted == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
    )


def memory_needed(parameters: int, dtype: str, quantization: str, device: str) -> int:
    """Bytes that a model of so many parameters takes, with room to work.

    Quantized sizes include what bitsandbytes keeps in 16 bits (embeddings, norms, scales): 1.25 and 0.8
    bytes per parameter, after the published figures of aiXcoder-7B (9.0 and 5.7 GB for 7.3 billion).
    """
    per_parameter = {"int8": 1.25, "int4": 0.8}.get(quantization, 4.0 if dtype == "float32" else 2.0)
    # On a GPU: kernels, activations, and the key-value cache of a few thousand tokens.
    room = GIB if device == "cuda" else GIB // 4
    return int(parameters * per_parameter) + room
