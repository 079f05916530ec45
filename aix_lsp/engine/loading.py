"""Loads a causal language model of the Hugging Face layout, and turns every way to fail into one clear line.

Safetensors only, never code that comes with a model, never the network: a name of the hub means its copy in
the local cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aix_lsp.engine.adapter import Adapter, apply_adapter, check_base, inspect_adapter
from aix_lsp.engine.base import EngineClosed, EngineError, LoadEvent, ModelError
from aix_lsp.engine.catalog import cached_folder, known
from aix_lsp.engine.checkpoint import Checkpoint, inspect
from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.hardware import (
    bitsandbytes_config,
    find_gpu,
    free_memory,
    has_mps,
    need_torch,
    pick_attention,
    pick_device,
    pick_dtype,
    pick_quantizer,
)
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.job import describe
from aix_lsp.engine.recovery import is_out_of_memory
from aix_lsp.engine.tokenizer import TokenizerError, load_tokenizer, stop_ids
from aix_lsp.engine.weight_memory import fitting, memory_needed
from aix_lsp.types import Tokenizer


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to run, and how it was loaded. `parameters` counts the numbers in its weight files, `adapter` is
    what was put into them, `quantization` what the option came to: `none`, `int8` or `int4`."""

    decoder: Decoder
    tokenizer: Tokenizer
    folder: Path
    device: str
    dtype: str
    attention: str
    max_positions: int
    parameters: int
    adapter: Adapter | None = None
    quantization: str = "none"


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How a model will be loaded. `quantization` is none, int8 or int4; `quantizer` torch or bitsandbytes, with the
    latter's configuration. `device_index` is the GPU's number."""

    device: str
    dtype: str
    attention: str
    quantization: str
    quantizer: str = "torch"
    quantization_config: Any = None
    device_index: int = 0

    @property
    def place(self) -> str:
        """The device as PyTorch names it, with the GPU's number."""
        return f"cuda:{self.device_index}" if self.device == "cuda" else self.device


def _quiet(event: LoadEvent) -> None:
    del event


def load_model(
    source: Path | str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str = "none",
    quantizer: str = "auto",
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
        need_torch()
        plan = plan_load(checkpoint, device, dtype, quantization, attention, quantizer=quantizer)
        if threads > 0:
            import torch

            torch.set_num_threads(threads)
        report(LoadEvent("progress", f"reading the weights of {folder.name}", 40))
        model = read_weights(checkpoint, plan, addition, report)
        report(LoadEvent("progress", "running the first token", 90))
        decoder = Decoder(
            model, stop_ids(tokenizer) | _end_ids(model), vocabulary=Vocabulary(tokenizer), cpu_decode=cpu_decode
        )
        _try_out(decoder)
    except EngineClosed:
        raise
    except EngineError as error:
        raise ModelError(str(error)) from error
    except (Exception, SystemExit) as error:
        # Nobody wants the model any more where the import gate has ended the load: then this raises EngineClosed.
        report(LoadEvent("progress", "the load has failed"))
        if is_out_of_memory(error):
            raise ModelError(
                f"the memory does not suffice to load the model in {folder}; use model.quantization = int8 or int4, a "
                "smaller model, or close other programs"
            ) from error
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
        quantization=plan.quantization,
    )


def locate(source: Path | str) -> Path:
    """The folder of a model. Raises ModelError for a hub name that is not in the local cache."""
    if isinstance(source, Path):
        return source
    folder = cached_folder(source)
    if folder is None:
        raise ModelError(f"{source} is not on this machine; download it with: aix-lsp download {_short_name(source)}")
    return folder


def _short_name(source: str) -> str:
    """What the catalog calls a hub model, else its own name."""
    return next((name for name, entry in known().items() if entry.source == source), source)


def plan_load(
    checkpoint: Checkpoint,
    device: str,
    dtype: str,
    quantization: str,
    attention: str,
    device_index: int = 0,
    quantizer: str = "auto",
) -> LoadPlan:
    """What the options of `ModelSettings` come to on this machine. Raises ModelError when that cannot work.

    `quantization` auto is the best precision that fits the free memory.
    """
    from transformers.utils import is_flash_attn_2_available

    gpu = find_gpu()
    device = pick_device(device, gpu=gpu, mps=has_mps())
    dtype = pick_dtype(dtype, device, gpu=gpu)
    attention = pick_attention(attention, device, dtype, flash=is_flash_attn_2_available())
    free = free_memory(gpu, device)
    reader = pick_quantizer(quantizer, "none" if quantization == "auto" else quantization, device)
    if quantization == "auto" and quantizer == "bitsandbytes":
        reader = "bitsandbytes"
    precision = fitting(checkpoint.counts, quantization, dtype, device, free, reader)
    if precision is not None:
        reader = pick_quantizer(quantizer, precision, device)
        config = bitsandbytes_config(precision, dtype) if reader == "bitsandbytes" else None
        return LoadPlan(device, dtype, attention, precision, reader, config, device_index)
    least = "int4" if quantization == "auto" else quantization
    needed = memory_needed(checkpoint.counts, dtype, least, device, reader)
    where = f"on {gpu.name}" if device == "cuda" and gpu else "in memory"
    even = " even in int4" if quantization == "auto" else ""
    smaller = {"none": "model.quantization = int8 or int4, or ", "int8": "model.quantization = int4, or "}
    raise ModelError(
        f"{checkpoint.folder.name} needs about {needed / 1e9:.1f} GB {where}{even} and {(free or 0) / 1e9:.1f} GB are "
        f"free; use {smaller.get(quantization, '')}a smaller model, or close other programs"
    )


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


def read_weights(
    checkpoint: Checkpoint,
    plan: LoadPlan,
    adapter: Adapter | None = None,
    report: Callable[[LoadEvent], None] = _quiet,
) -> Any:
    """The model of transformers with the adapter in its weights, in evaluation mode, on the plan's device.

    Raises ModelError.
    """
    import torch

    try:
        if plan.quantization != "none" and plan.quantizer == "torch":
            return _read_quantized(checkpoint, plan, adapter, report)
        model = _read_plain(checkpoint, plan)
        if adapter is not None:
            apply_adapter(model, adapter)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU has no memory left for {checkpoint.folder.name}; use model.quantization = int8 or int4, a "
            "smaller model, or close other programs that use the GPU"
        ) from error
    return model


def _read_plain(checkpoint: Checkpoint, plan: LoadPlan) -> Any:
    """As transformers reads it, quantized by bitsandbytes if the plan says so."""
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
    # transformers fills gaps with random numbers and says so in a log only.
    gaps = sorted(found["missing_keys"])
    if 2 * len(gaps) > len(model.state_dict()):
        raise ModelError(
            f"the weights in {checkpoint.folder} are those of another architecture than its config.json names "
            f"({config.model_type}: {gaps[0]} is missing); download it again"
        )
    if gaps:
        raise ModelError(
            f"the weights in {checkpoint.folder} lack {len(gaps)} parts of the model ({gaps[0]}); download it again"
        )
    return model.eval()


def _read_quantized(
    checkpoint: Checkpoint, plan: LoadPlan, adapter: Adapter | None, report: Callable[[LoadEvent], None]
) -> Any:
    """Layer by layer into PyTorch's own kernels; through main memory where the weights have other names."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    from aix_lsp.engine.quantized_loading import load_quantized, quantize_in_place

    config = _read_config(checkpoint)
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(f"{checkpoint.folder.name} is quantized already; set model.quantization to none")
    bits, device, dtype = int(plan.quantization[3:]), torch.device(plan.place), getattr(torch, plan.dtype)

    def build() -> Any:
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=plan.attention)

    def progress(share: float) -> None:
        report(LoadEvent("progress", f"reading {checkpoint.folder.name} into {bits} bits", 40 + int(45 * share)))

    model = load_quantized(checkpoint, build, bits=bits, device=device, dtype=dtype, adapter=adapter, progress=progress)
    if model is None:
        model = _read_plain(checkpoint, replace(plan, device="cpu"))
        if adapter is not None:
            apply_adapter(model, adapter)
        model = quantize_in_place(model, bits, device)
    elif (checkpoint.folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(checkpoint.folder, local_files_only=True)
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
