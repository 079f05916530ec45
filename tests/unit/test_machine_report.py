"""What the machine offers, in words that say what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aix_lsp.engine import machine_report
from aix_lsp.engine.hardware import GIB, GpuInfo, Machine


def test_gpus_are_named_with_their_memory_and_format(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = GpuInfo("NVIDIA X", 20 * GIB, 24 * GIB, bf16=True)
    assert machine_report.gpu_in_words(gpu, False) == "NVIDIA X, 20.0 of 24.0 GiB free, computes in bfloat16"
    old = GpuInfo("NVIDIA O", 2 * GIB, 8 * GIB, bf16=False)
    assert "float16 (it has no bfloat16)" in machine_report.gpu_in_words(old, False)
    monkeypatch.setattr(machine_report, "free_memory", lambda gpu, device: 5 * GIB)
    apple = machine_report.gpu_in_words(None, True)
    assert apple == "Apple GPU (mps), 5.0 GiB of the shared memory free, computes in float16"
    assert machine_report.gpu_in_words(None, False) == ""


@pytest.mark.parametrize(
    ("hip", "cuda", "built"),
    [("6.4", None, "ROCm 6.4"), (None, "13.0", "CUDA 13.0"), (None, None, "processors alone")],
)
def test_the_build_is_told_and_a_driver_without_one_is_too(
    hip: str | None, cuda: str | None, built: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    assert f"built for {built}, " in machine_report.torch_in_words()
    monkeypatch.setattr(machine_report, "_DRIVERS", (tmp_path / "nowhere",))
    assert machine_report.unused_gpu() == ""
    monkeypatch.setattr(machine_report, "_DRIVERS", (tmp_path,))
    assert built in machine_report.unused_gpu()


@pytest.mark.parametrize(
    ("capability", "words"),
    [("amx", "on tiles (AMX)"), ("avx512", "AVX-512"), ("", "no instructions for bfloat16: prompts run in float32")],
)
def test_the_processor_says_what_it_is_good_at(capability: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_report, "processor_bf16", lambda: capability)
    assert words in machine_report.processor_in_words()


def test_kernels_are_those_that_were_tried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("cpu", "float32", None, "main memory")
    assert machine_report.kernels_in_words(machine).startswith("int8 and int4 weights are read as they are")
    from aix_lsp.engine import quantized_linear

    monkeypatch.setattr(quantized_linear, "kernel_works", lambda device, dtype, bits, group: bits == 8)
    assert "int4 ones save memory but no time" in machine_report.kernels_in_words(machine)
