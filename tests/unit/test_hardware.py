"""What follows from the machine: device, number format, attention, quantization, memory."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.hardware import (
    GIB,
    GpuInfo,
    bitsandbytes_config,
    free_memory,
    look_around,
    pick_attention,
    pick_device,
    pick_dtype,
    pick_quantizer,
    processor_bf16,
    share_processors,
)

GPU = GpuInfo("a GPU", 20 * GIB, 24 * GIB, bf16=True)
OLD_GPU = GpuInfo("an old GPU", 20 * GIB, 24 * GIB, bf16=False)


def test_waiting_threads_sleep_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    share_processors()
    assert environment == {}  # torch is imported here already: too late to matter
    monkeypatch.delitem(sys.modules, "torch")
    share_processors()
    few_kernels = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "16"}
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"} | few_kernels
    environment["OMP_WAIT_POLICY"] = "ACTIVE"
    share_processors()
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE"} | few_kernels


@pytest.mark.parametrize(
    ("wanted", "gpu", "mps", "device"),
    [
        ("auto", GPU, False, "cuda"),
        ("auto", None, True, "mps"),
        ("auto", None, False, "cpu"),
        ("cpu", GPU, True, "cpu"),
        ("cuda", GPU, False, "cuda"),
        ("mps", None, True, "mps"),
    ],
)
def test_the_device_is_what_there_is(wanted: str, gpu: GpuInfo | None, mps: bool, device: str) -> None:
    assert pick_device(wanted, gpu=gpu, mps=mps) == device


@pytest.mark.parametrize(
    ("wanted", "device", "gpu", "dtype"),
    [
        ("auto", "cuda", GPU, "bfloat16"),
        ("auto", "cuda", OLD_GPU, "float16"),
        ("auto", "mps", None, "float16"),
        ("auto", "cpu", None, "float32"),
        ("bfloat16", "cpu", None, "bfloat16"),
    ],
)
def test_the_number_format_follows_the_device(wanted: str, device: str, gpu: GpuInfo | None, dtype: str) -> None:
    assert pick_dtype(wanted, device, gpu=gpu) == dtype


@pytest.mark.parametrize(
    ("wanted", "device", "dtype", "flash", "attention"),
    [
        ("auto", "cuda", "bfloat16", True, "flash_attention_2"),
        ("auto", "cuda", "bfloat16", False, "sdpa"),
        ("auto", "cuda", "float32", True, "sdpa"),
        ("auto", "cpu", "bfloat16", True, "sdpa"),
        ("eager", "cuda", "bfloat16", True, "eager"),
        ("flash_attention_2", "cuda", "float16", True, "flash_attention_2"),
    ],
)
def test_flash_attention_is_used_where_it_works(
    wanted: str, device: str, dtype: str, flash: bool, attention: str
) -> None:
    assert pick_attention(wanted, device, dtype, flash=flash) == attention


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: pick_device("cuda", gpu=None, mps=False), "model.device is cuda, .* set model.device to auto"),
        (lambda: pick_device("mps", gpu=None, mps=False), "model.device is mps, .* set model.device to auto"),
        (lambda: pick_attention("flash_attention_2", "cpu", "float32", flash=False), "set model.attention to auto"),
        (lambda: pick_quantizer("bitsandbytes", "int8", "cpu"), "needs an NVIDIA GPU; set model.quantizer to auto"),
    ],
)
def test_what_the_machine_cannot_do_is_refused_with_the_way_out(attempt: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        attempt()


def _pretend(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
    """Answer for the packages of the extra `quant`, and leave the others alone."""
    find_spec = importlib.util.find_spec
    answer = object() if installed else None
    packages = ("bitsandbytes", "accelerate")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: answer if name in packages else find_spec(name))


def test_quantization_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, installed=False)
    with pytest.raises(ModelError, match=r"bitsandbytes and accelerate cannot be imported; pip install 'aix-lsp\[quan"):
        bitsandbytes_config("int4", "bfloat16")


def test_quantization_is_configured_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    # Imported before the pretence, which its own look for accelerate would believe.
    from transformers import BitsAndBytesConfig

    assert BitsAndBytesConfig().load_in_4bit is False
    _pretend(monkeypatch, installed=True)
    assert bitsandbytes_config("int8", "bfloat16").load_in_8bit
    int4 = bitsandbytes_config("int4", "bfloat16")
    assert (int4.load_in_4bit, int4.bnb_4bit_compute_dtype) == (True, torch.bfloat16)


def test_torchs_own_kernels_are_taken_unless_the_published_way_is_asked_for() -> None:
    assert pick_quantizer("auto", "int4", "cuda") == pick_quantizer("torch", "int8", "cpu") == "torch"
    assert pick_quantizer("bitsandbytes", "int8", "cuda") == "bitsandbytes"
    assert pick_quantizer("bitsandbytes", "none", "cpu") == "torch"


def test_free_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_memory(GPU, "cuda") == 20 * GIB
    assert free_memory(None, "cuda") is None
    assert free_memory(None, "mps") is None
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * GIB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 5 * GIB)
    assert free_memory(None, "mps") == 7 * GIB
    if Path("/proc/meminfo").exists():
        assert (free_memory(None, "cpu") or 0) > 1_000_000


def test_a_system_that_does_not_say_what_is_available_counts_as_half_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert free_memory(None, "cpu") == pages // 2


def test_a_look_around_says_where_a_model_would_run() -> None:
    machine = look_around("cpu")
    assert (machine.device, machine.dtype, machine.name) == ("cpu", "float32", "main memory")
    assert processor_bf16() in ("amx", "avx512", "")
