"""What this machine has, and what follows for device, number format and attention kernel.

The choices are pure functions of what was found; only the functions that look import torch.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aix_lsp.engine.base import ModelError

GIB = 2**30


def share_processors() -> None:
    """Let PyTorch's threads sleep while they wait for one another, instead of spinning. Before torch's import.

    Spinning threads and an editor's other work starve each other: on two busy cores a token of the embedded
    model took 93 ms so, and 6.5 ms with sleeping threads; on idle cores sleeping costs up to a tenth. And let oneDNN
    and PyTorch's layer above it keep fewer kernels than 1,024 each: one is made for each product at each length of a
    prompt's rest, and they add up to hundreds of megabytes (docs/log.md). A choice in the environment is respected.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
        os.environ.setdefault("LRU_CACHE_CAPACITY", "16")


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """The first CUDA (or ROCm) GPU. Sizes in bytes; `bf16` says whether it computes in bfloat16 itself."""

    name: str
    free_bytes: int
    total_bytes: int
    bf16: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a model would run: `device` and `dtype` as PyTorch names them, bytes that are free there (None: cannot be
    told), and what a sentence calls it."""

    device: str
    dtype: str
    free_bytes: int | None
    name: str


def look_around(device: str = "auto", dtype: str = "auto") -> Machine:
    """What the settings' `device` and `dtype` come to here. Raises ModelError when the wanted device is not there."""
    gpu = find_gpu()
    picked = pick_device(device, gpu=gpu, mps=has_mps())
    names = {"cuda": f"{gpu.name}'s memory" if gpu else "", "mps": "the memory shared with the Apple GPU"}
    return Machine(
        picked, pick_dtype(dtype, picked, gpu=gpu), free_memory(gpu, picked), names.get(picked, "main memory")
    )


def need_torch() -> None:
    """Raises ModelError, with the way out, where PyTorch cannot be imported: it may be left out where the model runs on
    another machine, and an installation of it may be broken."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise ModelError(f"PyTorch cannot be loaded: {error}") from error
        way_out = f"{sys.executable} -m pip install torch, or set remote.url to a server that runs the model"
        raise ModelError(f"PyTorch is missing, and no model runs here without it: {way_out}") from error
    except (ImportError, OSError) as error:
        raise ModelError(f"PyTorch cannot be loaded: {error}") from error


def find_gpu() -> GpuInfo | None:
    """The GPU that PyTorch would use; None without one, or with a PyTorch that was built without CUDA.

    Raises ModelError without PyTorch.
    """
    need_torch()
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
    if device == "mps":
        return _free_on_mps()
    if device != "cpu":
        return None
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return _half_of_main_memory()
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return min([int(line.split()[1]) * 1024, *left_in_control_groups()])
    return None


def left_in_control_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Bytes that each limit on this process's memory leaves (a container's, a session's; Linux's control groups of
    version 2). Beyond one of them the system kills the process, or slows it until it hardly moves (`memory.high`).
    Pages of files count as free, as in MemAvailable: weights that were read twice are among the active ones."""
    try:
        name = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    group = root / name.strip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(root):
            with contextlib.suppress(OSError, ValueError):
                limits = [text for name in ("memory.max", "memory.high") if (text := _line_of(folder / name)).isdigit()]
                used = int(_line_of(folder / "memory.current"))
                figures = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                dropped = sum(int(figures[name]) for name in ("active_file", "inactive_file") if name in figures)
                yield from (max(0, int(limit) - used + dropped) for limit in limits)


def _line_of(path: Path) -> str:
    """A line that the system tells ("max" where there is no limit); "" where it does not."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _free_on_mps() -> int | None:
    """Of an Apple GPU: what the system recommends at most, less what this process has taken already."""
    import torch

    if not torch.backends.mps.is_available():
        return None
    return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())


def _half_of_main_memory() -> int | None:
    """Where the system does not say what is available (macOS), half of what is built in."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return None


def processor_bf16() -> str:
    """How this processor multiplies matrices in bfloat16: `amx` (tiles), `avx512` (its dot products), or "" for
    neither."""
    import torch

    for name, question in (("amx", "_is_amx_tile_supported"), ("avx512", "_is_avx512_bf16_supported")):
        if getattr(torch.cpu, question, lambda: False)():
            return name
    return ""


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


def pick_quantizer(wanted: str, quantization: str, device: str) -> str:
    """`torch` or `bitsandbytes`. Raises ModelError when bitsandbytes is asked for and cannot work."""
    if wanted != "bitsandbytes" or quantization == "none":
        return "torch"
    if device != "cuda":
        raise ModelError("model.quantizer is bitsandbytes, which needs an NVIDIA GPU; set model.quantizer to auto")
    return "bitsandbytes"


def bitsandbytes_config(wanted: str, dtype: str) -> Any:
    """The configuration for transformers, as aiXcoder-7B's publication has it. Raises ModelError without the
    packages."""
    from importlib.util import find_spec

    missing = [package for package in ("bitsandbytes", "accelerate") if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"model.quantizer is bitsandbytes, but {' and '.join(missing)} cannot be imported; "
            "pip install 'aix-lsp[quant]', or set model.quantizer to auto"
        )
    import torch
    from transformers import BitsAndBytesConfig

    if wanted == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
    )
