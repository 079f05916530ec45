"""What this machine offers to a model, in plain words for `doctor`."""

from __future__ import annotations

import os
from pathlib import Path

from aix_lsp.engine.hardware import GIB, GpuInfo, Machine, free_memory, processor_bf16
from aix_lsp.engine.weight_memory import GROUP

_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/sys/module/amdgpu"))


def torch_in_words() -> str:
    """PyTorch's version, what it was built for, and its threads."""
    import torch

    version = str(torch.__version__).split("+")[0]
    return f"PyTorch {version} built for {_built_for()}, {torch.get_num_threads()} threads"


def processor_in_words() -> str:
    """The processor: how many, how much memory is free, and what it is good at."""
    free = free_memory(None, "cpu")
    room = f"{free / GIB:.1f} GiB of main memory free" if free is not None else "free main memory unknown"
    formats = {
        "amx": "multiplies in bfloat16 on tiles (AMX): long prompts may run in it, single tokens read int8 weights",
        "avx512": "has bfloat16 products (AVX-512): long prompts may run in it, single tokens read int8 weights",
        "": "has no instructions for bfloat16: prompts run in float32, single tokens read int8 weights",
    }
    return f"{os.cpu_count() or 1} processors, {room}; {formats[processor_bf16()]}"


def gpu_in_words(gpu: GpuInfo | None, mps: bool) -> str:
    """The GPU and its free memory; "" without one."""
    if gpu is not None:
        formats = "bfloat16" if gpu.bf16 else "float16 (it has no bfloat16)"
        free, total = gpu.free_bytes / GIB, gpu.total_bytes / GIB
        return f"{gpu.name}, {free:.1f} of {total:.1f} GiB free, computes in {formats}"
    if mps:
        free_bytes = free_memory(None, "mps")
        room = f", {free_bytes / GIB:.1f} GiB of the shared memory free" if free_bytes is not None else ""
        return f"Apple GPU (mps){room}, computes in float16"
    return ""


def unused_gpu() -> str:
    """Why a GPU with a driver is not used; "" where there is no sign of one."""
    if not any(path.exists() for path in _DRIVERS):
        return ""
    built = _built_for()
    if built == "processors alone":
        return "there is a GPU driver, but this PyTorch is built for processors alone"
    return f"there is a GPU driver, but this PyTorch, built for {built}, finds no GPU it can use"


def kernels_in_words(machine: Machine) -> str:
    """Which kernels for quantized weights work where the model would run."""
    import torch

    from aix_lsp.engine.quantized_linear import kernel_works

    found = {bits: kernel_works(machine.device, getattr(torch, machine.dtype), bits, GROUP) for bits in (8, 4)}
    words = {
        (True, True): "int8 and int4 weights are read as they are, by PyTorch's own kernels",
        (True, False): "int8 weights are read as they are; int4 ones save memory but no time here",
        (False, True): "int4 weights are read as they are; int8 ones save memory but no time here",
        (False, False): "int8 and int4 save memory but no time: this PyTorch has no kernels for them here",
    }
    return words[found[8], found[4]]


def _built_for() -> str:
    import torch

    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return "Apple GPUs" if torch.backends.mps.is_built() else "processors alone"
