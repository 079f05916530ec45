"""Exact match of the rest of a line at random places, with and without token healing, in one run.

    python benchmarks/rest_of_line.py --package networkx --places 300

Places are drawn with a seed from a package's Python files (no tests), anywhere in a line that goes on after the cursor.
The embedded model sees the whole file around the hole (its own prompt format, no snippets) and answers greedily through
the product's own prompt and engine, without post-processing. Prints one JSON object; figures are percentages, with the
standard error of a share.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import math
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from aix_lsp.engine.base import Engine
from aix_lsp.engine.local import LocalEngine
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import ModelSettings, PromptSettings
from aix_lsp.types import DocumentSnapshot, GenerationRequest

MAX_TOKENS = 48


def places(package: str, count: int, seed: int) -> Iterator[tuple[str, str, int]]:
    """Name, text and offset of places in a package's files."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {package} is not installed")
    root = Path(found.origin).parent
    files = [
        path for path in sorted(root.rglob("*.py")) if "test" not in path.as_posix() and path.stat().st_size > 3000
    ]
    draw = random.Random(seed)
    while count:
        path = draw.choice(files)
        text = path.read_text(encoding="utf-8")
        offset = draw.randrange(500, len(text) - 200)
        start, end = text.rfind("\n", 0, offset) + 1, text.find("\n", offset)
        if text[start:offset].strip() and text[offset:end].strip() and not text[start:end].strip().startswith("#"):
            count -= 1
            yield f"{package}/{path.relative_to(root).as_posix()}", text, offset


async def answer(engine: Engine, name: str, text: str, offset: int, healing: bool) -> str:
    """What the model puts on the rest of the line."""
    document = DocumentSnapshot(f"file:///{name}", text, "python", 0, name)
    request = GenerationRequest(
        build_prompt=partial(
            build_prompt,
            document=document,
            offset=offset,
            snippets=(),
            settings=PromptSettings(token_healing=healing),
            max_new_tokens=MAX_TOKENS,
        ),
        max_new_tokens=MAX_TOKENS,
        stop=lambda so_far: "\n" in so_far,
        document=document.uri,
    )
    return (await engine.generate(request)).text.split("\n")[0].rstrip()


async def measure(package: str, count: int, seed: int, model: str) -> dict[str, object]:
    """Both ways at every place."""
    engine = LocalEngine(ModelSettings(name=model))
    exact = {"with": 0, "without": 0}
    try:
        info = await engine.ready()
        for name, text, offset in places(package, count, seed):
            wanted = text[offset : text.find("\n", offset)].rstrip()
            for way, healing in (("with", True), ("without", False)):
                exact[way] += await answer(engine, name, text, offset, healing) == wanted
    finally:
        engine.close()
    shares = {way: number / count for way, number in exact.items()}
    return {
        "package": package,
        "places": count,
        "seed": seed,
        "model": info.name,
        "exact_match_percent": {way: round(100 * share, 1) for way, share in shares.items()},
        "standard_error": {
            way: round(100 * math.sqrt(share * (1 - share) / count), 1) for way, share in shares.items()
        },
    }


def main() -> None:
    """Read the command line, print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="networkx")
    parser.add_argument("--places", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="aix-mini")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.package, given.places, given.seed, given.model))))


if __name__ == "__main__":
    main()
