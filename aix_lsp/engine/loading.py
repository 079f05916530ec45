"""Loads a causal language model of the Hugging Face layout, and turns every way to fail into one clear line.

Safetensors only, never code that comes with a model, never the network: a name of the hub means its copy in
the local cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aix_lsp.engine.adapter import Adapter, apply_adapter, check_base, inspect_adapter
from aix_lsp.engine.base import EngineClosed, EngineError, LoadEvent, ModelError
from aix_lsp.engine.catalog import cached_folder
from aix_lsp.engine.checkpoint import Checkpoint, inspect
from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.hardware import (
    find_gpu,
    free_memory,
    has_mps,
    memory_needed,
    pick_attention,
    pick_device,
    pick_dtype,
    quantization_config,
)
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.job import describe
from aix_lsp.engine.tokenizer import TokenizerError, load_tokenizer, stop_ids
from aix_lsp.types import Tokenizer


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to run, and how it was loaded. `parameters` counts the numbers in its weight files, `adapter` is
    what was put into them."""

    decoder: Decoder
    tokenizer: Tokenizer
    folder: Path
    device: str
    dtype: str
    attention: str
    max_positions: int
    parameters: int
    adapter: Adapter | None = None


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How a model will be loaded. `device_index` is the GPU's number."""

    device: str
    dtype: str
    attention: str
    quantization: str
    quantization_config: Any
    device_index: int = 0


def _quiet(event: LoadEvent) -> None:
    del event


def load_model(
    source: Path | str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str = "none",
    attention: str = "auto",
    cpu_decode: str = "auto",
    threads: int = 0,
    adapter: Path | None = None,
    report: Callable[[LoadEvent], None] = _quiet,
) -> Loaded:
    """Load the model in a folder (a Path), or of a Hugging Face name (a str) from the local cache, and put the
    adapter in the folder `adapter` into its weights.

    The options are those of `ModelSettings`. Call it on the thread that will run the model: the number of
    processor threads is set for that thread. Raises ModelError, always with one line.
    """
    folder = locate(source)
    checkpoint = inspect(folder)
    addition = None if adapter is None else inspect_adapter(adapter)
    if addition is not None:
        check_base(addition, checkpoint)
    try:
        tokenizer = load_tokenizer(folder)
    except TokenizerError as error:
        raise ModelError(str(error)) from error
    report(LoadEvent("progress", "importing PyTorch and transformers", 10))
    try:
        plan = plan_load(checkpoint, device, dtype, quantization, attention)
        if threads > 0:
            import torch

            torch.set_num_threads(threads)
        report(LoadEvent("progress", f"reading the weights of {folder.name}", 40))
        model = read_weights(checkpoint, plan)
        if addition is not None:
            apply_adapter(model, addition)
        report(LoadEvent("progress", "running the first token", 90))
        decoder = Decoder(
            model, stop_ids(tokenizer) | _end_ids(model), vocabulary=Vocabulary(tokenizer), cpu_decode=cpu_decode
        )
        _try_out(decoder)
    except EngineClosed:
        raise
    except EngineError as error:
        raise ModelError(str(error)) from error
    except Exception as error:
        raise ModelError(f"the model in {folder} could not be loaded: {describe(error)}") from error
    return Loaded(
        decoder=decoder,
        tokenizer=tokenizer,
        folder=folder,
        device=plan.device,
        dtype=plan.dtype if plan.quantization == "none" else f"{plan.quantization}/{plan.dtype}",
        attention=plan.attention,
        max_positions=max_positions(model.config, checkpoint.folder),
        parameters=checkpoint.parameters,
        adapter=addition,
    )


def locate(source: Path | str) -> Path:
    """The folder of a model. Raises ModelError for a hub name that is not in the local cache."""
    if isinstance(source, Path):
        return source
    folder = cached_folder(source)
    if folder is None:
        raise ModelError(f"{source} is not on this machine; download it with: hf download {source}")
    return folder


def plan_load(
    checkpoint: Checkpoint, device: str, dtype: str, quantization: str, attention: str, device_index: int = 0
) -> LoadPlan:
    """What the options of `ModelSettings` come to on this machine. Raises ModelError when that cannot work."""
    from transformers.utils import is_flash_attn_2_available

    gpu = find_gpu()
    device = pick_device(device, gpu=gpu, mps=has_mps())
    dtype = pick_dtype(dtype, device, gpu=gpu)
    attention = pick_attention(attention, device, dtype, flash=is_flash_attn_2_available())
    quantized = quantization_config(quantization, device, dtype)
    needed = memory_needed(checkpoint.parameters, dtype, quantization, device)
    free = free_memory(gpu, device)
    if free is not None and free < needed:
        where = f"on {gpu.name}" if device == "cuda" and gpu else "in memory"
        smaller = "model.quantization = int8 or int4, or " if device == "cuda" and quantization != "int4" else ""
        raise ModelError(
            f"{checkpoint.folder.name} needs about {needed / 1e9:.1f} GB {where} and {free / 1e9:.1f} GB are free; "
            f"use {smaller}a smaller model, or close other programs"
        )
    return LoadPlan(device, dtype, attention, quantization, quantized, device_index)


def _read_config(checkpoint: Checkpoint) -> Any:
    """The configuration as transformers reads it. Raises ModelError for anything but a causal language model."""
    from transformers import CONFIG_MAPPING, AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    from transformers.utils import logging

    # Progress bars and notices would go to the terminal, or into an editor's log, at every start.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    name = checkpoint.folder.name
    model_type = checkpoint.config.get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise ModelError(
            f"{name} is of type {model_type!r}, which the installed transformers does not know; code that comes with a "
            "model is never run, so choose another model or update transformers"
        )
    architectures = checkpoint.config.get("architectures") or [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)]
    if not set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()).intersection(architectures):
        raise ModelError(
            f"{name} is a {architectures[0] or model_type}, not a causal language model; choose a model for code "
            "completion"
        )
    return AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)


def read_weights(checkpoint: Checkpoint, plan: LoadPlan) -> Any:
    """The model of transformers, in evaluation mode, on the plan's device. Raises ModelError."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import is_accelerate_available

    config = _read_config(checkpoint)
    options: dict[str, Any] = {}
    if plan.quantization_config is not None:
        options["quantization_config"] = plan.quantization_config
    if plan.device != "cpu" and is_accelerate_available():
        # Straight to the GPU, without a copy of all weights in main memory.
        options["device_map"] = {"": plan.device_index if plan.device == "cuda" else plan.device}
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=getattr(torch, plan.dtype),
            attn_implementation=plan.attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
        if "device_map" not in options:
            model = model.to(plan.device)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU has no memory left for {checkpoint.folder.name}; use model.quantization = int8 or int4, a "
            "smaller model, or close other programs that use the GPU"
        ) from error
    # transformers fills gaps with random numbers and says so in a log only.
    gaps = sorted(found["missing_keys"])
    if gaps:
        raise ModelError(
            f"the weights in {checkpoint.folder} lack {len(gaps)} parts of the model ({gaps[0]}); download it again"
        )
    return model.eval()


def _end_ids(model: Any) -> frozenset[int]:
    """What the model's own configuration calls an end of text."""
    ids: set[int] = set()
    for config in (model.config, model.generation_config):
        end = getattr(config, "eos_token_id", None)
        ids.update(end if isinstance(end, list) else [] if end is None else [end])
    return frozenset(ids)


def _try_out(decoder: Decoder) -> None:
    """Run a prompt, a cropped prompt and a token: proves that the model works with a cache, and warms it up."""
    for prompt in ([0, 1, 2, 1], [0, 1, 2, 2]):
        next(decoder.generate(prompt), None)
    decoder.forget()


def max_positions(config: Any, folder: Path) -> int:
    """Tokens that prompt and completion may have together, as the configuration says."""
    text_config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(text_config, name, None)
        if isinstance(value, int) and value > 1:
            return value
    raise ModelError(f"{folder / 'config.json'} does not say how many positions the model has")
