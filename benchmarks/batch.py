"""What it saves to answer several requests at once in this process: time and tokens per second, interleaved.

    python benchmarks/batch.py FOLDER... [--model aix-mini] [--places 48] [--at-once 1,4,16] [--tokens 48]
        [--copy-prior auto,off] [--cpu-decode auto] [--device auto] [--threads 0] [--rounds 2] [--clock cpu]
        [--lines] [--json]

Places are rests of lines in the folders' Python files; each is answered with the product's prompt, up to `--tokens`
tokens, or with `--lines` up to the line's end. Every round asks all places in every way, in changing order; the best
round of each counts. Prints JSON by copy prior and number at once: `seconds`, `tokens`, `tokens_per_second`, `speedup`
beside one by one, and `same`, how many answers are those of one by one. `--clock cpu` counts processor time, for a
machine that others use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aix_lsp.engine.batch import BatchEngine
from aix_lsp.evaluation.places import Place, line_places, texts_in
from aix_lsp.evaluation.retrieval import Workspace
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import ModelSettings, PromptSettings
from aix_lsp.types import DocumentSnapshot, GenerationRequest


class Way:
    """One engine that answers so many at once, and what it took at best."""

    def __init__(self, at_once: int, **options: Any) -> None:
        self.at_once = at_once
        self.engine = BatchEngine(ModelSettings(speculation="off", **options), most=at_once)
        self.seconds = float("inf")
        self.texts: list[str] = []
        self.tokens = 0

    async def run(self, requests: Sequence[GenerationRequest], clock: Callable[[], float]) -> None:
        """Answer all requests, with as many in flight as are answered at once."""
        waiting = iter(enumerate(requests))
        texts = [""] * len(requests)
        tokens = 0

        async def work() -> None:
            nonlocal tokens
            for number, request in waiting:
                generation = await self.engine.generate(request)
                texts[number] = generation.text
                tokens += generation.tokens

        begun = clock()
        await asyncio.gather(*(work() for _ in range(self.at_once)))
        self.seconds = min(self.seconds, clock() - begun)
        self.texts, self.tokens = texts, tokens


def request_for(number: int, place: Place, tokens: int, *, lines: bool) -> GenerationRequest:
    """The product's prompt at a place."""
    document = DocumentSnapshot(f"untitled:{number}", place.before + place.after, "python", 0, place.name)
    return GenerationRequest(
        build_prompt=partial(
            build_prompt,
            document=document,
            offset=len(place.before),
            snippets=(),
            settings=PromptSettings(),
            max_new_tokens=tokens,
        ),
        max_new_tokens=tokens,
        stop=(lambda text: "\n" in text) if lines else None,
        document=document.uri,
    )


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All ways over all places."""
    places: list[Place] = []
    for folder in arguments.folders:
        workspace = Workspace(folder)
        texts = texts_in(workspace.texts, frozenset({"python"}))
        count = -(-arguments.places // len(arguments.folders))
        places += line_places(texts, workspace.folder.name, count=count, seed=0)
    requests = [
        request_for(number, place, arguments.tokens, lines=arguments.lines) for number, place in enumerate(places)
    ]
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    found: dict[str, Any] = {"clock": arguments.clock, "places": len(places), "copy_prior": {}}
    for prior in arguments.copy_prior.split(","):
        ways = [
            Way(
                int(number),
                name=arguments.model,
                copy_prior=prior,
                cpu_decode=arguments.cpu_decode,
                device=arguments.device,
                dtype=arguments.dtype,
                threads=arguments.threads,
                share="off",
            )
            for number in arguments.at_once.split(",")
        ]
        for way in ways:
            info = await way.engine.ready()
            await way.run(requests[:2], clock)  # what is done once only
            way.seconds = float("inf")
        for turn in range(arguments.rounds):
            for way in ways if turn % 2 == 0 else reversed(ways):
                await way.run(requests, clock)
        found["copy_prior"][prior] = {
            way.at_once: {
                "seconds": round(way.seconds, 3),
                "tokens": way.tokens,
                "tokens_per_second": round(way.tokens / way.seconds, 1),
                "speedup": round(ways[0].seconds / way.seconds, 2),
                "same": sum(one == other for one, other in zip(ways[0].texts, way.texts, strict=True)),
            }
            for way in ways
        }
        found |= {"model": info.name, "device": info.device, "dtype": info.dtype}
        for way in ways:
            way.engine.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    parser.add_argument("--model", default="aix-mini")
    parser.add_argument("--places", type=int, default=48)
    parser.add_argument("--at-once", default="1,4,16")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--copy-prior", default="auto,off")
    parser.add_argument("--cpu-decode", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(arguments)), indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
