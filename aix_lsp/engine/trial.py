"""Loads the model of the settings and runs a few tokens: how it runs and how fast, for `doctor --load`."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

from aix_lsp.engine.hardware import share_processors
from aix_lsp.engine.plan import planned
from aix_lsp.settings import ModelSettings

_PROMPT = 256
_TOKENS = 8


def try_out(settings: ModelSettings) -> str:
    """One sentence on what was loaded, the way it runs, and milliseconds. Raises ModelError."""
    share_processors()
    from aix_lsp.engine.loading import load_model

    plan = planned(settings)
    began = time.perf_counter()
    loaded = load_model(
        plan.entry.source,
        device=settings.device,
        dtype=settings.dtype,
        quantization=plan.choice.quantization,
        quantizer=settings.quantizer,
        attention=settings.attention,
        cpu_decode=settings.cpu_decode,
        threads=settings.threads,
        adapter=Path(settings.adapter) if settings.adapter else None,
    )
    ready = time.perf_counter()
    # Any tokens will do; a piece that no text begins with would end the answer at once in some models.
    prompt = [5 + number % 100 for number in range(min(_PROMPT, loaded.max_positions // 2))]
    times = [time.perf_counter()]
    for _ in islice(loaded.decoder.generate(prompt), _TOKENS):
        times.append(time.perf_counter())  # noqa: PERF401
    steps = times[2:]
    per_token = f", {1e3 * (steps[-1] - times[1]) / len(steps):.1f} ms per token" if steps else ""
    first = f"first token of {len(prompt)} after {1e3 * (times[1] - times[0]):.0f} ms" if times[1:] else "no token"
    return (
        f"{plan.info.name} in {loaded.dtype} on {loaded.device}, {loaded.attention} attention, "
        f"{loaded.decoder.way}; loaded in {ready - began:.1f} s, {first}{per_token}"
    )
