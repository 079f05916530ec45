"""How much of a prompt is new at each key: what the engine must compute although the last prompt was nearly the same.

    python benchmarks/prompt_reuse.py FILE... --positions 1024 4096

At five places of each file a dozen of its lines are typed again, key by key, without snippets; a prompt is built at
each key, and all behind its common beginning with the last one counts as new. `new_tokens` is the mean over all keys,
`p95` the 95th percentile, `whole` the share of the keys (in percent) at which more than half of a prompt was new.
Files that fit into a prompt are not cut and say nothing here. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.prefix_cache import common_prefix
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.languages import language_id_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, FimFormat, ModelInfo

PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
LINES = 12
NEW = 64


def typed(text: str) -> Iterator[Iterator[tuple[str, str]]]:
    """For each place, the texts before and after the cursor at each key."""
    lines = text.splitlines(keepends=True)
    for place in PLACES:
        first = int(place * max(len(lines) - LINES, 0))
        pieces = lines[:first], lines[first : first + LINES], lines[first + LINES :]
        before, part, after = map("".join, pieces)
        yield ((before + part[:count], after) for count in range(len(part) + 1))


def new_tokens(tokenizer: ModelTokenizer, model: ModelInfo, path: Path) -> Iterator[tuple[int, int]]:
    """At each key but a place's first, the tokens of the prompt and how many of them are new."""
    text = path.read_text(encoding="utf-8")
    for keys in typed(text):
        last: tuple[int, ...] = ()
        for before, after in keys:
            document = DocumentSnapshot("untitled:file", before + after, language_id_of(path.name), 0, path.name)
            ids = build_prompt(tokenizer, model, document, len(before), (), PromptSettings(), NEW).ids
            if last:
                yield len(ids), len(ids) - common_prefix(last, ids)
            last = ids


def figures(tokenizer: ModelTokenizer, model: ModelInfo, paths: list[Path]) -> dict[str, float]:
    """Over all keys in all files."""
    keys = [key for path in paths for key in new_tokens(tokenizer, model, path)]
    new = [count for _, count in keys]
    return {
        "keys": len(keys),
        "prompt_tokens": round(statistics.fmean(length for length, _ in keys), 1),
        "new_tokens": round(statistics.fmean(new), 2),
        "p95": sorted(new)[int(0.95 * len(new))],
        "whole": round(100 * statistics.fmean(2 * count > length for length, count in keys), 2),
    }


def main() -> None:
    """Print the figures of each order and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--positions", nargs="+", type=int, default=[1024], help="the model's context, in tokens")
    options = parser.parse_args()
    tokenizer = load_tokenizer(Path(embedded().source))
    orders: tuple[FimFormat, ...] = get_args(FimFormat)
    found = {
        f"{order}, {positions} positions": figures(tokenizer, ModelInfo("model", positions, order), options.files)
        for positions in options.positions
        for order in orders
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
