"""Memory that runs out: on the GPU and in the machine, while a model loads and while it serves."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

from tests.e2e.conftest import status
from tests.faults.fault import ALONE, NotHere, Stage, fault
from tests.faults.model_files import EMBEDDED_ANSWERS, told_only, whole_model
from tests.faults.model_injection import LOADING, SERVING, Injected

GPU_ADVICE = "model.quantization = int8 or int4"


async def _while_loading(stage: Stage, kind: str, *words: str) -> str:
    injected = Injected(stage)
    injected.set(LOADING, f"{kind} 1")
    folder = whole_model(stage.folder / "large")
    editor = await stage.editor(env={**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": str(folder)})
    told = await told_only(editor, words[0])
    assert injected.happened(LOADING)
    assert all(word in told for word in (*words, EMBEDDED_ANSWERS)), f"not all is said: {told}"
    return told.replace(str(stage.folder), "")


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def gpu_out_of_memory_while_loading(stage: Stage) -> str:
    """PyTorch says that CUDA has no memory left as the model is moved there."""
    return await _while_loading(stage, "gpu-memory", "the GPU has no memory left", GPU_ADVICE)


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def out_of_memory_while_loading(stage: Stage) -> str:
    """PyTorch's allocator gets no memory from the system."""
    return await _while_loading(stage, "torch-memory", "the memory does not suffice", "smaller model")


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def python_out_of_memory_while_loading(stage: Stage) -> str:
    """Python gets no memory from the system."""
    return await _while_loading(stage, "memory", "the memory does not suffice", "smaller model")


def _large_model(folder: Path, gigabytes: int) -> Path:
    """The embedded model with a tensor of so many gigabytes that takes no room on the disk (a hole in its file)."""
    whole_model(folder)
    content = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    end = len(content) - 8 - length
    size = gigabytes << 30
    header["model.extra.weight"] = {"dtype": "BF16", "shape": [size // 2048, 1024], "data_offsets": [end, end + size]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + content[8 + length :])
        file.truncate(8 + len(text) + end + size)
    return folder


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def address_space_limited(stage: Stage) -> str:
    """The system lets the server's process have 12 GB of addresses, and the weights take 16 of them."""
    if sys.platform != "linux":
        raise NotHere("the address space is limited on Linux only")
    injected = Injected(stage, addresses=12 << 30)
    folder = _large_model(stage.folder / "large", 16)
    editor = await stage.editor(env={**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": str(folder)})
    told = await told_only(editor, "memory")
    assert EMBEDDED_ANSWERS in told, told
    return told.replace(str(stage.folder), "")


async def _while_serving(stage: Stage, kind: str, times: int, words: str, *, model: str) -> str:
    """Memory runs out so many times, while a request is answered; that request is answered all the same."""
    injected = Injected(stage)
    editor = await stage.editor(env={**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": model})
    await editor.works()
    injected.set(SERVING, f"{kind} {times}")
    await editor.works()
    assert injected.happened(SERVING)
    if words:
        told = await told_only(editor, words)
    else:
        told = await told_only(editor) or "nobody hears of it"
    now = (await status(editor.client))["status"]
    assert now["state"] == ("degraded" if words else "ready"), now
    return told.replace(str(stage.folder), "")


@fault("the request is answered, and the user is told once what is kept back", group="model", quick=False)
async def gpu_out_of_memory_while_serving(stage: Stage) -> str:
    """Twice in a row: what the caches held is not enough."""
    return await _while_serving(stage, "gpu-memory", 2, "memory ran out: only the latest prompt", model="aix-mini")


@fault("the request is answered, and nobody is bothered", group="model", quick=False)
async def gpu_out_of_memory_for_a_moment(stage: Stage) -> str:
    """Once: dropping the caches helps."""
    return await _while_serving(stage, "gpu-memory", 1, "", model="aix-mini")


@fault("the request is answered in less memory, and the user is told once", group="model", quick=False)
async def gpu_out_of_memory_again_and_again(stage: Stage) -> str:
    """Until the weights are in 8 bits."""
    folder = whole_model(stage.folder / "large")
    return await _while_serving(stage, "gpu-memory", 4, "memory ran out: the model was loaded again", model=str(folder))


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def gpu_out_of_memory_for_good(stage: Stage) -> str:
    """Until the embedded model has taken the place of the other."""
    folder = whole_model(stage.folder / "large")
    return await _while_serving(stage, "gpu-memory", 8, "memory ran out: the embedded model", model=str(folder))


@fault("the server answers on, offers come again, and the user is told once", group="model", quick=False)
async def out_of_memory_while_serving(stage: Stage) -> str:
    """The embedded model itself finds no memory for two requests, and then does."""
    injected = Injected(stage)
    editor = await stage.editor(env={**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": "aix-mini"})
    await editor.works()
    injected.set(SERVING, "torch-memory 1000000")
    await editor.works(offers=False)
    await editor.works(offers=False)
    injected.over(SERVING)
    return await told_only(editor, "memory ran out")
