"""Whether our ways of decoding say what the model says: eight-bit weights against float32, and ours against `generate`.

    python benchmarks/engine_agreement.py              a table
    python benchmarks/engine_agreement.py --json       one JSON object and nothing else

Teacher-forced: pieces of source files that the model never saw are read token by token, each step through the decoder's
own way for single tokens, and the likeliest next token is compared with float32's at the same place, whatever really
stands there. `int8_agrees_percent` is the share of places where they are the same, with its standard error over pieces;
`int8_right_percent` and `float32_right_percent` say how often each is what really stands there. `equal_to_generate`: of
so many prompts, at how many our float32 answer of 32 tokens is that of `generate`, token for token.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from aix_lsp.engine.hardware import share_processors

share_processors()

import torch  # noqa: E402
from engine_contenders import CLOCKS, Generate, reference_model  # noqa: E402
from engine_workload import ORDERS, TYPED, places, sources  # noqa: E402

from aix_lsp.engine.catalog import embedded  # noqa: E402
from aix_lsp.engine.decode import Decoder  # noqa: E402
from aix_lsp.engine.loading import load_model  # noqa: E402
from aix_lsp.types import ModelInfo, Tokenizer  # noqa: E402

WRITTEN = 32


def likeliest(decoder: Decoder, ids: Sequence[int], start: int) -> list[int]:
    """The decoder's token behind each beginning of `ids` from `start` tokens on, each from a pass over one token."""
    found = []
    for length in range(start, len(ids)):
        # what came before is still held, so that only the last token is run
        produced = decoder.generate(ids[:length])
        found.append(next(produced))
        produced.close()
    return found


def pieces(package: str, tokenizer: Tokenizer, count: int, tokens: int) -> list[list[int]]:
    """Beginnings of lines and what follows, from as many files, or several of a file where there are fewer."""
    files = sources(package)
    found: list[list[int]] = []
    for number in range(count):
        text = files[number * 7919 % len(files)].read_text(encoding="utf-8", errors="ignore")
        start = text.find("\n", len(text) * (1 + number % 5) // 7) + 1
        found.append(tokenizer.encode(text[start : start + 12 * tokens])[:tokens])
    return found


def share(rights: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Percent of all, and the standard error of it from the pieces' own shares."""
    flat = [right for piece in rights for right in piece]
    each = [100 * sum(piece) / len(piece) for piece in rights]
    error = statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else 0.0
    return round(100 * sum(flat) / len(flat), 2), round(error, 2)


def agreement(given: argparse.Namespace) -> dict[str, Any]:
    """int8 against float32."""
    exact = load_model(given.model, threads=given.threads, cpu_decode="none")
    rounded = load_model(given.model, threads=given.threads, cpu_decode="int8")
    for decoder in (exact.decoder, rounded.decoder):
        decoder.stop_ids = frozenset()
    same, exact_right, rounded_right = [], [], []
    texts = pieces(given.package, exact.tokenizer, given.pieces, given.tokens)
    for number, ids in enumerate(texts, 1):
        wanted = ids[given.lead :]
        one, other = (likeliest(loaded.decoder, ids, given.lead) for loaded in (exact, rounded))
        same.append([left == right for left, right in zip(one, other, strict=True)])
        exact_right.append([left == right for left, right in zip(one, wanted, strict=True)])
        rounded_right.append([left == right for left, right in zip(other, wanted, strict=True)])
        print(f"piece {number} of {len(texts)}", file=sys.stderr, flush=True)
    percent, error = share(same)
    return {
        "tokens": sum(map(len, same)),
        "int8_agrees_percent": percent,
        "int8_agrees_error": error,
        "float32_right_percent": share(exact_right)[0],
        "int8_right_percent": share(rounded_right)[0],
    }


def equal_to_generate(given: argparse.Namespace) -> dict[str, Any]:
    """Our float32 answers against those of `generate`, cold and typed on."""
    loaded = load_model(given.model, threads=given.threads, cpu_decode="none")
    loaded.decoder.stop_ids = frozenset()
    reference = Generate(reference_model(given.model, torch.float32), CLOCKS["wall"])
    info = ModelInfo(loaded.folder.name, loaded.max_positions, "psm")
    tokens = min(given.prompt_tokens, info.max_positions - WRITTEN - max(TYPED))
    equal = asked = 0
    for place in places(given.package, loaded.tokenizer, info, tokens, seed=1):
        for order in ORDERS:
            for typed in (0, *TYPED):
                if asked == given.prompts:
                    return {"prompts": asked, "equal_to_generate": equal}
                ids = place.prompts[order][typed]
                answer = list(islice(loaded.decoder.generate(ids), WRITTEN))
                equal += answer == reference.tokens(ids, WRITTEN)
                asked += 1
        print(f"{equal} of {asked} answers are equal", file=sys.stderr, flush=True)
    raise AssertionError("places never end")


def main() -> None:
    """Read the command line, print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--model", type=Path, default=Path(embedded().source), help="a folder; the embedded model")
    parser.add_argument("--package", default="networkx", help="an installed package that the model never saw")
    parser.add_argument("--pieces", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=400, help="of a piece")
    parser.add_argument("--lead", type=int, default=32, help="tokens at a piece's beginning that are not asked for")
    parser.add_argument("--prompts", type=int, default=40, help="for the comparison with generate; 0 leaves it out")
    parser.add_argument("--prompt-tokens", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    if given.tokens <= given.lead or given.lead < 1:
        parser.error("a piece must be longer than its lead, and a lead has a token")
    found = agreement(given) | (equal_to_generate(given) if given.prompts else {})
    print(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
