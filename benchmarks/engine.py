"""Our decoder against transformers' `generate` and, where installed, llama.cpp: one model, one run, in turns.

    python benchmarks/engine.py                        the embedded model, a table
    python benchmarks/engine.py --json                 one JSON object and nothing else
    python benchmarks/engine.py --gguf FILE            llama.cpp too (llama-cpp-python, the same model as a GGUF file)
    python benchmarks/engine.py --clock cpu --threads 1    on a busy machine: processor time instead of the clock's

At each place of real files every contender answers, one after the other in an order that goes round: the prompt cold
(about 1,000 tokens), then typed on by 1, 5 and 20 tokens of what really stands there, each time after 32 tokens of an
answer to the prompt before. All get the same ids, made by the product's prompt code with 256 tokens behind the cursor.
Figures are medians over the places, in milliseconds; the 95th percentile for `cancel_to_idle`. End tokens end nothing,
so that all have 32 tokens, and places where the model just repeats itself are passed over, since guessing ahead would
shine there.

`ours` is the default configuration. `ours_float32` and `ours_int8` are fixed to those weights and guess nothing ahead;
`generate` is float32, as ours is, `generate_bf16` what the reference's script asks for; neither keeps anything from one
request to the next. In the rows of typing, names without an ending are PSM (what stands behind the cursor must be
run again), those that end with `_spm` are SPM; each has a model of its own, so that none learns from another's answers.
`cold_prefill_ms` is the time to the first token of a cold prompt, `ms_per_token` that of each further one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.hardware import share_processors

share_processors()  # as the product does, before anything imports torch

from engine_contenders import CLOCKS, Contender, Generate, LlamaCpp, Ours, has_llama_cpp, reference_model  # noqa: E402
from engine_workload import ORDERS, TYPED, Order, Place, places  # noqa: E402

from aix_lsp.types import ModelInfo  # noqa: E402

if TYPE_CHECKING:
    from aix_lsp.engine.loading import Loaded

WRITTEN = 32
"""Tokens of an answer."""

FIGURES = ("cold_prefill_ms", "ms_per_token", "typed_first_token_ms", "typed_total_32_ms")
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours_float32": {"cpu_decode": "none", "lookup": False},
    "ours_int8": {"cpu_decode": "int8", "lookup": False},
}


@dataclass
class Results:
    """Figure -> contender -> milliseconds at the places."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    cancels: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The JSON object: medians, and the 95th percentile of the cancelled requests."""
        found: dict[str, Any] = {
            figure: {name: round(middle(times), 3) for name, times in self.figures[figure].items()}
            for figure in FIGURES
        }
        if self.cancels:
            found["cancel_to_idle_p95_ms"] = round(percentile(self.cancels, 95), 3)
        return found


def middle(values: Iterable[float]) -> float:
    """The median."""
    return percentile(values, 50)


def percentile(values: Iterable[float], share: float) -> float:
    """Between the two nearest values, as numpy does it."""
    import numpy as np

    return float(np.percentile(list(values), share))


def loaded(given: argparse.Namespace, *, lookup: bool = True, **options: Any) -> Loaded:
    """Our decoder as the product makes it, but for `options` of `load_model`; `lookup` False leaves out what looks
    tokens up in the text (speculation, the copy prior)."""
    from aix_lsp.engine.loading import load_model
    from aix_lsp.engine.lookup import Lookup
    from aix_lsp.settings import ModelSettings

    made = load_model(given.model, threads=given.threads, **options)
    if lookup:
        Lookup(made.decoder, made.folder, made.tokenizer, ModelSettings())
    return made


def contenders(given: argparse.Namespace) -> dict[str, tuple[Order, Contender]]:
    """Name -> order of its prompts and the model. The SPM twins come behind."""
    import torch

    clock = CLOCKS[given.clock]
    makers: dict[str, Callable[[], Contender]] = {
        name: lambda options=options: Ours(loaded(given, **options).decoder, clock)  # type: ignore[misc]
        for name, options in OURS.items()
    }
    makers["generate"] = lambda: Generate(reference_model(given.model, torch.float32), clock)
    makers["generate_bf16"] = lambda: Generate(reference_model(given.model, torch.bfloat16), clock)
    if given.gguf and has_llama_cpp():
        makers["llama_cpp"] = lambda: LlamaCpp(given.gguf, given.threads, given.tokens + max(TYPED) + WRITTEN, clock)
    elif given.gguf:
        print("llama.cpp is left out: llama-cpp-python is not installed", file=sys.stderr)
    wanted = [name for name in makers if not given.only or name in given.only]
    keeps = [name for name in wanted if not name.startswith("generate")]
    made: dict[str, tuple[Order, Contender]] = {name: ("psm", makers[name]()) for name in wanted}
    made |= {f"{name}_spm": ("spm", makers[name]()) for name in keeps}
    return made


def measure(contender: Contender, order: Order, place: Place, name: str, results: Results) -> None:
    """One contender at one place: cold, then typed on."""
    prompts = place.prompts[order]
    contender.forget()
    if order == "psm":
        cold = contender.run(place.cold, WRITTEN)
        results.figures["cold_prefill_ms"][name].append(cold.first_ms)
        results.figures["ms_per_token"][name].append(cold.per_token_ms)
    for typed in TYPED:
        contender.remember(prompts[0], WRITTEN)
        timing = contender.run(prompts[typed], WRITTEN if typed == TYPED[0] else 1)
        results.figures[f"typed_{typed}_first_token_ms"][name].append(timing.first_ms)
        if typed == TYPED[0]:
            results.figures["typed_first_token_ms"][name].append(timing.first_ms)
            results.figures["typed_total_32_ms"][name].append(timing.total_of(WRITTEN))


def chosen_places(given: argparse.Namespace) -> tuple[list[Place], int]:
    """The places to measure at, and how many were looked at: those with answers that do not go round in circles.

    Asked of a model that takes no further part: one that has answered before could guess right.
    """
    scout = loaded(given)
    scout.decoder.stop_ids = frozenset()
    info = ModelInfo(scout.folder.name, scout.max_positions, "psm")
    tokens = min(given.tokens, info.max_positions - WRITTEN - max(TYPED))
    chosen: list[Place] = []
    for tried, place in enumerate(places(given.package, scout.tokenizer, info, tokens, given.seed), 1):
        answers = [islice(scout.decoder.generate(place.prompts[order][TYPED[0]]), WRITTEN) for order in ORDERS]
        if all(len(set(answer)) >= WRITTEN // 2 for answer in answers):
            chosen.append(place)
        if len(chosen) == given.places:
            return chosen, tried
        if tried == 40 * given.places:
            break
    raise SystemExit(f"{tried} places of {given.package} gave {len(chosen)} whose answers do not repeat themselves")


def cancel_to_idle(ours: Ours, threads: int, prompts: list[tuple[int, ...]], count: int, seed: int) -> list[float]:
    """Milliseconds from a cancellation until the model's thread is free, at moments all over a cold request."""
    import torch

    draw = random.Random(seed)
    clock, times = ours.clock, list[float]()
    ours.forget()
    began = time.perf_counter()
    ours.run(prompts[0], WRITTEN)
    whole = time.perf_counter() - began
    for number in range(count):
        ours.forget()
        cancelled, running, idle = threading.Event(), threading.Event(), 0.0

        def answer(ids: tuple[int, ...], cancelled: threading.Event, running: threading.Event) -> None:
            nonlocal idle
            torch.set_num_threads(threads or torch.get_num_threads())
            running.set()
            for _ in islice(ours.decoder.generate(ids, cancelled=cancelled.is_set), WRITTEN):
                pass
            idle = clock()

        thread = threading.Thread(target=answer, args=(prompts[number % len(prompts)], cancelled, running))
        thread.start()
        running.wait()
        time.sleep(draw.uniform(0, 0.9 * whole))
        asked = clock()
        cancelled.set()
        thread.join()
        times.append(max(0.0, 1000 * (idle - asked)))
    return times


def compare(given: argparse.Namespace, say: Callable[[str], None]) -> Results:
    """The whole run."""
    chosen, tried = chosen_places(given)
    say(f"{len(chosen)} places of {tried} are taken, with {len(chosen[0].cold)} tokens and the like")
    field = contenders(given)
    results, warm = Results(), Results()
    names = list(field)
    for number, place in enumerate([chosen[-1], *chosen]):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            # the first time round memory is allocated and nothing counts
            measure(field[name][1], field[name][0], place, name, results if number else warm)
        say(f"place {number} of {len(chosen)}")
    ours = next((model for _, model in field.values() if isinstance(model, Ours)), None)
    if ours is not None:
        prompts = [place.cold for place in chosen]
        results.cancels = cancel_to_idle(ours, given.threads, prompts, given.cancels, given.seed)
    return results


def table(results: Results) -> str:
    """Every figure of every contender, and as a share of `generate`'s."""
    rows = ["cold_prefill_ms", "ms_per_token", *(f"typed_{typed}_first_token_ms" for typed in TYPED)]
    rows.append("typed_total_32_ms")
    lines = []
    for row in rows:
        lines.append(row)
        base = middle(results.figures[row].get("generate", [float("nan")]))
        for name, times in results.figures[row].items():
            share = f"{middle(times) / base:8.3f} of generate's" if base == base else ""
            lines.append(f"  {name:20} {middle(times):9.2f}  (p95 {percentile(times, 95):9.2f}) {share}")
    if results.cancels:
        late = percentile(results.cancels, 95)
        count = len(results.cancels)
        lines.append(f"cancel to idle: median {middle(results.cancels):.1f}, 95th percentile {late:.1f} of {count}")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, print the result."""
    from aix_lsp.engine.catalog import embedded

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--model", type=Path, default=Path(embedded().source), help="a folder; the embedded model")
    parser.add_argument("--gguf", type=Path, help="the same model for llama.cpp")
    parser.add_argument("--package", default="networkx", help="an installed package; its files are the prompts")
    parser.add_argument("--places", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=1000, help="of a prompt; less where the model takes fewer")
    parser.add_argument("--cancels", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0, help="0 lets PyTorch choose")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="cpu wants --threads 1")
    parser.add_argument("--only", action="append", help="a contender's name; may be given several times")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.gguf and not given.gguf.is_file():
        parser.error(f"{given.gguf} is no file")
    results = compare(given, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(results.summary()) if given.json else table(results))


if __name__ == "__main__":
    main()
