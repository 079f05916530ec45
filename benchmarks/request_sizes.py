"""How many tokens a completion request has, and how many of them a server with a prefix cache runs anew.

    python benchmarks/request_sizes.py --folder aix_lsp --places 60

At random places the text in front of the cursor is typed in, a character per request, through the completion service
itself: its retrieval, its prompt, its stop. The model is the file: it goes on with what stands there, until the service
has enough, so that a completion is as long as a right one would be. Tokens are those of `--tokenizer` (a folder; the
embedded model's 8,192 pieces give more tokens than a vocabulary of 49,152 would). No model runs.

`new` counts the prompt's tokens behind what it shares with the request before, as vLLM keeps it: in whole blocks of 16.
Prints one JSON object; README and docs/deploy take their figures from it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.service import CompletionService
from aix_lsp.engine.base import EngineState
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.evaluation.places import Place, line_places
from aix_lsp.languages import language_id_of
from aix_lsp.settings import Settings
from aix_lsp.types import (
    CompletionRequest,
    DocumentSnapshot,
    FimFormat,
    Generation,
    GenerationRequest,
    ModelInfo,
    Tokenizer,
)
from aix_lsp.uris import path_to_uri

BLOCK = 16


class WrittenAlready:
    """An engine that writes what stands in the file, token by token, until it is stopped. Keeps what it was asked."""

    def __init__(self, tokenizer: Tokenizer, info: ModelInfo) -> None:
        self._tokenizer = tokenizer
        self.model = info
        self.state = EngineState("ready")
        self.rest = ""
        self.prompts: list[tuple[int, ...]] = []
        self.written: list[int] = []

    async def ready(self) -> ModelInfo:
        return self.model

    async def generate(self, request: GenerationRequest) -> Generation:
        prompt = request.build_prompt(self._tokenizer, self.model)
        ids = self._tokenizer.encode(self.rest[: 16 * request.max_new_tokens])[: request.max_new_tokens]
        text, count = "", 0
        for count in range(1, len(ids) + 1):
            text = self._tokenizer.decode(ids[:count])
            if request.stop is not None and request.stop(text):
                break
        self.prompts.append(prompt.ids)
        self.written.append(count)
        return Generation(text, count, "stop", prompt, self.model.name)

    def close(self) -> None:
        """Nothing to close."""


async def typed(
    engine: WrittenAlready, context: WorkspaceContext, root: Path, place: Place, keys: int, settings: Settings
) -> None:
    """Ask at each of the last `keys` characters before the place."""
    service = CompletionService(engine, context)
    path = root / place.name.partition("/")[2]
    for back in range(keys, -1, -1):
        before = place.before[: len(place.before) - back]
        engine.rest = place.before[len(before) :] + place.wanted + place.after
        document = DocumentSnapshot(
            path_to_uri(path), before + place.after, language_id_of(path.name), 0, place.name, path
        )
        await service.complete(CompletionRequest(document, len(before), "invoked"), settings)


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens at the start of both, in whole blocks."""
    same = next((number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return (min(len(one), len(other)) if same is None else same) // BLOCK * BLOCK


def figures(numbers: Sequence[int]) -> dict[str, float]:
    """Mean, median and 90th percentile."""
    cuts = statistics.quantiles(numbers, n=10, method="inclusive")
    return {"mean": round(statistics.fmean(numbers), 1), "p50": statistics.median(numbers), "p90": round(cuts[8], 1)}


async def measure(root: Path, places: Sequence[Place], keys: int, tokenizer: Tokenizer) -> dict[str, Any]:
    """All figures, by prompt format."""
    found: dict[str, Any] = {}
    for order in [name for name in get_args(FimFormat) if name != "l2r"]:
        settings = Settings.model_validate({"prompt": {"format": order}, "completion": {"reuse": False}})
        context = WorkspaceContext(settings)
        context.index_now(root)
        first, all_tokens, new, written = [], [], [], []
        for place in places:
            engine = WrittenAlready(tokenizer, ModelInfo("file", 32_768, order, token_healing=False))
            await typed(engine, context, root, place, keys, settings)
            prompts = engine.prompts
            first.append(len(prompts[0]))
            all_tokens += [len(ids) for ids in prompts]
            new += [len(after) - shared(before, after) for before, after in pairwise(prompts)]
            written += engine.written
        await context.close()
        found[order] = {
            "requests": len(all_tokens),
            "prompt_tokens": figures(all_tokens),
            "new_tokens_of_the_first": figures(first),
            "new_tokens_of_each_further": figures(new),
            "completion_tokens": figures(written),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="a Python project")
    parser.add_argument("--places", type=int, default=60)
    parser.add_argument("--keys", type=int, default=12, help="characters typed before each place")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer", type=Path, default=Path(str(embedded().source)))
    options = parser.parse_args()
    tokenizer = load_tokenizer(options.tokenizer)
    root = options.folder.resolve()
    texts = {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in sorted(root.rglob("*.py"))}
    places = line_places(texts, root.name, count=options.places, seed=options.seed)
    found = asyncio.run(measure(root, places, options.keys, tokenizer))
    command = (
        f"python benchmarks/request_sizes.py --folder {options.folder.name} --places {options.places} "
        f"--keys {options.keys} --seed {options.seed}"
    )
    print(json.dumps({"command": command, "tokenizer": options.tokenizer.name, "formats": found}))


if __name__ == "__main__":
    main()
