"""Options of the model that answers: which one, and how it is loaded and run."""

from __future__ import annotations

from typing import Literal

from aix_lsp.settings_option import Section, option


class ModelSettings(Section):
    """Which model answers, and how it is loaded."""

    name: str = option(
        "auto",
        "A name from the catalog (`aixcoder-7b`, `aix-mini`, `qwen2.5-coder-7b`, ...), a Hugging Face name "
        "(`owner/model`), a folder with the model's files, or `remote` for the server of `remote.url`. `auto`: that "
        "server where one is set; else the largest model of the catalog that is on disk and fits the free memory (on a "
        "processor: and is small enough to answer while one types), otherwise the embedded model.",
        scope="machine",
        restart=True,
        min_length=1,
    )
    adapter: str = option(
        "",
        "Folder of a LoRA adapter (`aix-lsp train` makes one) that is put into the model's weights. With `name` on "
        "`auto`, the model is the one that the adapter was made from.",
        scope="machine",
        restart=True,
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = option(
        "auto", "Where the model runs. `auto` takes a GPU when there is one.", scope="machine", restart=True
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto",
        "Number format of the weights. `auto`: bfloat16 on a GPU that has it, else float16; float32 on a processor.",
        scope="machine",
        restart=True,
    )
    quantization: Literal["auto", "none", "int8", "int4"] = option(
        "auto",
        "Keep the weights in 8 or 4 bits. `auto`: only where the model does not fit the free memory otherwise, with as "
        "many bits as fit.",
        scope="machine",
        restart=True,
    )
    quantizer: Literal["auto", "torch", "bitsandbytes"] = option(
        "auto",
        "What reads weights of 8 or 4 bits. `auto` and `torch`: PyTorch's own kernels; `bitsandbytes`: as in the "
        "model's publication (extra `quant`, NVIDIA GPUs).",
        scope="machine",
        restart=True,
    )
    cpu_decode: Literal["auto", "int8", "none"] = option(
        "auto",
        "Weights for single tokens on a processor. `auto`: in 8 bits where the processor has a fast kernel for them "
        "(AVX2, AVX-512, 64-bit ARM), beside bfloat16 ones for prompts where it computes those faster; `none` computes "
        "everything in `dtype`.",
        scope="machine",
        restart=True,
    )
    attention: Literal["auto", "flash_attention_2", "sdpa", "eager"] = option(
        "auto",
        "Attention kernel. `auto`: flash-attn where it is installed and the model runs on an NVIDIA GPU in 16 bits, "
        "else PyTorch's own.",
        scope="machine",
        restart=True,
    )
    copy_prior: Literal["auto", "off"] = option(
        "auto",
        "Mix what the text around the cursor did before into what the model expects. `auto`: as the model's folder "
        "says; the embedded model's asks for it.",
        scope="machine",
        restart=True,
    )
    speculation: Literal["auto", "on", "off"] = option(
        "auto",
        "Guess the next tokens from the text around the cursor and let the model check several at once; the answer "
        "stays the same. `auto`: as many as pay on this machine; `on`: always.",
        scope="machine",
        restart=True,
    )
    threads: int = option(
        0,
        "Processor threads for the model; 0 lets PyTorch choose.",
        scope="machine",
        restart=True,
        ge=0,
        le=256,
    )
    share: Literal["auto", "on", "off"] = option(
        "auto",
        "Let all windows of yours use one model, which a process of its own holds: editors start one server per "
        "window, and two large models do not fit. `auto` shares every model but the embedded one, which is small.",
        scope="machine",
        restart=True,
    )
    share_linger_s: float = option(
        60.0,
        "How many seconds the process of a shared model stays after the last window has gone.",
        scope="machine",
        restart=True,
        ge=0,
        le=86_400,
    )
    idle_minutes: float = option(
        30.0,
        "After so many minutes without a request the model's memory is freed, and the next request loads it again; "
        "0 keeps it for ever. The embedded model always stays.",
        scope="machine",
        restart=True,
        ge=0,
        le=10_080,
    )
    load_wait_s: float = option(
        30.0,
        "How many seconds a request waits for a model that is still loading before it is answered empty.",
        scope="machine",
        ge=0,
        le=600,
    )
