"""A model of the 7B shape on a GPU: our decoder against transformers' `generate`, in every precision, in one run.

    python benchmarks/gpu.py                           a table, and the picture gpu.png
    python benchmarks/gpu.py --json --plot FILE.png    one JSON object
    python benchmarks/gpu.py --shape small --device cpu    a trial that needs no GPU

Needs this checkout (nothing of it has to be installed), torch, transformers and safetensors, 24 GB of free memory on
the GPU, and at most 8 minutes; nothing is downloaded. The weights are random and made on the GPU, the prompts are
random tokens: both take the time that real ones would, but for guessing ahead, which is off. Rows for flash-attn,
bitsandbytes and torchao appear where those are installed, the picture where matplotlib is.

The shape is aiXcoder-7B's: 32 layers, hidden size 4096, 32 heads with 8 for keys and values, 14464, 49152 tokens. How
fast the GPU copies within its own memory (bytes read and written) is measured first; `bandwidth_gb_per_s` is what a
token's pass reads of the weights in the time per token. The typed rows: one token typed on behind an answered prompt
of 2,048 tokens; in PSM (`ours`) 256 tokens stand behind the cursor and are run again, in SPM (`ours_spm`) none.
Figures are medians.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import logging
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # a bare machine has the checkout and no installation

import torch
from engine_contenders import CLOCKS, Contender, Generate, Ours, Timing
from gpu_models import SHAPES, Shape, bytes_per_token, precisions, random_model

from aix_lsp.engine.decode import Decoder

WRITTEN = 32
"""Tokens of an answer."""

DEADLINE_S = 7 * 60
"""No further precision is begun after so long, so that the whole stays within 8 minutes."""

Figures = dict[str, dict[str, list[float]]]


class GenerateFlash(Generate):
    """`generate` with flash-attn, as the reference loads its model where that is installed."""

    def run(self, ids: Sequence[int], count: int) -> Timing:
        """See `Contender`."""
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation("flash_attention_2")
        try:
            return super().run(ids, count)
        finally:
            self.model.set_attn_implementation(before)


def copy_speed(device: torch.device, size: int) -> float:
    """Bytes per second, read and written, of the best of some copies within the device's memory."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(10):
        synchronize(device)
        began = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        best = max(best, 2 * size / (time.perf_counter() - began))
    return best


def synchronize(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def contenders(model: Any, device: torch.device) -> dict[str, Contender]:
    """Name -> a way to run the model. All run the same weights."""
    clock = CLOCKS["wall"]
    found: dict[str, Contender] = {"ours": Ours(Decoder(model), clock)}
    if device.type == "cuda":
        found["ours_no_graphs"] = Ours(Decoder(model, graphs=False), clock)
    found["generate"] = Generate(model, clock)
    if device.type == "cuda" and importlib.util.find_spec("flash_attn"):
        found["generate_flash"] = GenerateFlash(model, clock)
    return found


def prompts(shape: Shape, number: int) -> dict[str, tuple[list[int], list[int]]]:
    """Random prompts: order -> before and after one token was typed."""
    draw = random.Random(number)
    ids = draw.choices(range(4, shape.vocabulary), k=shape.prompt)
    typed = draw.randrange(4, shape.vocabulary)
    cursor = shape.prompt - shape.suffix
    return {"psm": (ids, [*ids[:cursor], typed, *ids[cursor:]]), "spm": (ids, [*ids, typed])}


def measure(contender: Contender, name: str, asked: dict[str, tuple[list[int], list[int]]], into: Figures) -> None:
    """One contender with one prompt: cold, then typed on."""
    contender.forget()
    ids = asked["psm"][0]
    cold = contender.run(ids, WRITTEN)
    into["cold_prefill_ms"][name].append(cold.first_ms)
    into["ms_per_token"][name].append(cold.per_token_ms)
    for order, (before, after) in asked.items():
        row = name if order == "psm" else f"{name}_spm"
        if order == "spm" and isinstance(contender, Generate):
            continue  # it keeps nothing: both are the same to it
        contender.remember(before, WRITTEN)
        timing = contender.run(after, WRITTEN)
        into["typed_first_token_ms"][row].append(timing.first_ms)
        into["typed_total_32_ms"][row].append(timing.total_of(WRITTEN))


def measure_precision(
    shape: Shape, device: torch.device, dtype: torch.dtype, layers: Callable[[], Any], rounds: int, copied: float
) -> dict[str, Any]:
    """All figures of one way to hold the weights."""
    # what the precision before held must be gone, its graphs too
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    model = random_model(shape, device, dtype, layers())
    synchronize(device)
    made = time.perf_counter() - began
    weights = bytes_per_token(model)
    figures: Figures = defaultdict(lambda: defaultdict(list))
    field = contenders(model, device)
    names = list(field)
    for number in range(rounds + 1):
        asked = prompts(shape, number)
        # the first round captures graphs, picks kernels and allocates, and does not count
        into = figures if number else defaultdict(lambda: defaultdict(list))
        for name in names[number % len(names) :] + names[: number % len(names)]:
            measure(field[name], name, asked, into)
    way = next(one.decoder.way for one in field.values() if isinstance(one, Ours))
    found: dict[str, Any] = {"way": way, "made_s": round(made, 1), "weights_gb": round(weights / 1e9, 4)}
    if device.type == "cuda":
        found["peak_memory_gb"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
    for figure, rows in figures.items():
        found[figure] = {name: round(statistics.median(times), 3) for name, times in rows.items()}
    speeds = {name: weights / (taken / 1000) for name, taken in found["ms_per_token"].items()}
    found["bandwidth_gb_per_s"] = {name: round(speed / 1e9, 3) for name, speed in speeds.items()}
    found["share_of_copy"] = {name: round(speed / copied, 3) for name, speed in speeds.items()}
    return found


def compare(given: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole run: the JSON object."""
    began = time.monotonic()
    shape, device = SHAPES[given.shape], torch.device(given.device)
    dtype = torch.bfloat16
    copied = copy_speed(device, shape.copied)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "shape": given.shape,
        "prompt_tokens": shape.prompt,
        "copy_gb_per_s": round(copied / 1e9, 3),
        "precisions": {},
        "left_out": {},
    }
    for name, layers in precisions(shape).items():
        if given.only and name not in given.only:
            continue
        if time.monotonic() - began > DEADLINE_S:
            found["left_out"][name] = "the time was over"
            continue
        say(f"{name}, {time.monotonic() - began:.0f} s")
        try:
            found["precisions"][name] = measure_precision(shape, device, dtype, layers, given.rounds, copied)
        except (RuntimeError, ImportError, NotImplementedError, ValueError) as error:
            # out of memory, or no kernel for this device: the others still stand
            found["left_out"][name] = (str(error).splitlines() or [type(error).__name__])[0]
            say(f"{name} is left out: {found['left_out'][name]}")
    found["seconds"] = round(time.monotonic() - began, 1)
    return found


def table(found: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{found['device']}, shape {found['shape']}: a copy moves {found['copy_gb_per_s']} GB/s"]
    for precision, figures in found["precisions"].items():
        peak = f", {figures['peak_memory_gb']} GB at most" if "peak_memory_gb" in figures else ""
        lines.append(f"{precision}: {figures['weights_gb']} GB read per token{peak}; {figures['way']}")
        for figure, rows in figures.items():
            if isinstance(rows, dict):
                lines.append(f"  {figure:22}" + "  ".join(f"{name} {value:g}" for name, value in rows.items()))
    lines += [f"{name} is left out: {why}" for name, why in found["left_out"].items()]
    lines.append(f"{found['seconds']} s in all")
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """Bars per precision: memory bandwidth reached, first token after a typed one, whole answer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "bandwidth_gb_per_s": "weights read, GB/s",
        "typed_first_token_ms": "first token after one typed, ms",
        "typed_total_32_ms": "32 tokens after one typed, ms",
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(15, 4.5), layout="constrained")
    measured = found["precisions"]
    for axis, (key, title) in zip(axes, panels.items(), strict=True):
        names = list(dict.fromkeys(name for rows in measured.values() for name in rows[key]))
        width = 0.8 / len(names)
        for number, name in enumerate(names):
            places = [place + (number + 0.5) * width - 0.4 for place in range(len(measured))]
            axis.bar(places, [rows[key].get(name, 0) for rows in measured.values()], width, label=name)
        axis.set_xticks(range(len(measured)), list(measured))
        axis.set_title(title)
        if key == "bandwidth_gb_per_s":
            axis.axhline(found["copy_gb_per_s"], color="black", linestyle="--", label="copy")
        axis.legend(fontsize="small")
    figure.suptitle(f"{found['device']}, shape {found['shape']}, prompt of {found['prompt_tokens']} tokens")
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    """Read the command line, print the result, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", action="append", help="a precision; may be given several times")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path, default=Path("gpu.png"), help="where the picture goes")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; try --shape small --device cpu")

    # it tells at every layer of every pass that it casts
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    found = compare(given, say)
    print(json.dumps(found) if given.json else table(found))
    if not found["precisions"]:
        say("there is no picture, since nothing could be measured")
    elif importlib.util.find_spec("matplotlib"):
        draw(found, given.plot)
    else:
        say("the picture is left out: matplotlib is not installed")


if __name__ == "__main__":
    main()
