"""What guessing tokens from the text saves: right guesses, forward passes and time, on real places, interleaved.

    python benchmarks/speculation.py FOLDER... [--model aix-mini] [--places 30] [--format spm] [--threads 1] [--alone]

Every place is completed without guesses, with as many as pay (`auto`) and with as many as there are (`on`), one after
the other in changing order, with the prompt's cache kept; half of the places as rests of lines, half as blocks of up to
96 tokens. Prints JSON by task and way: `tokens`, `passes` after the first token, `guessed` and `right`, `ms_per_token`
over all tokens, and `time`, the ratio to no guesses. `same` says how many answers are those without guesses. With
`--alone` the model's copy prior is off.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from aix_lsp.engine.catalog import resolve
from aix_lsp.engine.loading import Loaded, load_model
from aix_lsp.engine.lookup import Lookup
from aix_lsp.engine.plugs import Proposer
from aix_lsp.evaluation.places import Place, line_places, texts_in
from aix_lsp.evaluation.retrieval import Workspace
from aix_lsp.languages import language_id_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import ModelSettings, PromptSettings
from aix_lsp.types import DocumentSnapshot, ModelInfo, Prompt

WAYS = ("off", "auto", "on")
BLOCK = 96


class Counting:
    """A proposer that counts what it guessed."""

    def __init__(self, inner: Proposer) -> None:
        self._inner = inner
        self.guessed = self.right = 0

    def begin(self, prompt: Sequence[int]) -> None:
        self._inner.begin(prompt)

    def propose(self, limit: int) -> Sequence[int]:
        return self._inner.propose(limit)

    def accept(self, tokens: Sequence[int], proposed: int, right: int) -> None:
        self._inner.accept(tokens, proposed, right)
        self.guessed += proposed
        self.right += right


class Completer:
    """One model with one way of guessing after another."""

    def __init__(self, loaded: Loaded, *, alone: bool) -> None:
        self._loaded = loaded
        self._plugs = {}
        for way in WAYS:
            settings = ModelSettings.model_validate({"speculation": way, "copy_prior": "off" if alone else "auto"})
            lookup = Lookup(loaded.decoder, loaded.folder, loaded.tokenizer, settings)
            proposer = loaded.decoder.proposer
            self._plugs[way] = lookup, loaded.decoder.prior, Counting(proposer) if proposer else None

    def complete(self, prompt: Prompt, way: str, limit: int, *, line: bool) -> tuple[list[int], int, int, float]:
        """Tokens, guesses made, right ones, and the seconds behind the first token."""
        decoder = self._loaded.decoder
        lookup, decoder.prior, proposer = self._plugs[way]
        decoder.proposer = proposer
        lookup.know(prompt.elsewhere)
        before = (proposer.guessed, proposer.right) if proposer else (0, 0)
        found: list[int] = []
        start = time.perf_counter()
        for token in islice(decoder.generate(prompt.ids, required=prompt.required), limit):
            if not found:
                start = time.perf_counter()
            found.append(token)
            if line and "\n" in self._loaded.tokenizer.decode([token]):
                break
        seconds = time.perf_counter() - start
        after = (proposer.guessed, proposer.right) if proposer else (0, 0)
        return found, after[0] - before[0], after[1] - before[1], seconds


def prompt_of(place: Place, loaded: Loaded, order: str, limit: int) -> Prompt:
    text = place.before + place.after
    document = DocumentSnapshot("untitled:place", text, language_id_of(place.name), 0, place.name)
    settings = PromptSettings.model_validate({"format": order})
    info = ModelInfo("a model", loaded.max_positions, looks_up=True)
    return build_prompt(loaded.tokenizer, info, document, len(place.before), (), settings, limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="aix-mini")
    parser.add_argument("--places", type=int, default=30)
    parser.add_argument("--format", default="spm", choices=("psm", "spm"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-decode", default="auto", choices=("auto", "int8", "none"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--alone", action="store_true")
    options = parser.parse_args()
    source = resolve(options.model).source
    loaded = load_model(source, threads=options.threads, cpu_decode=options.cpu_decode)
    completer = Completer(loaded, alone=options.alone)
    places: list[Place] = []
    for workspace in map(Workspace, options.folders):
        texts = texts_in(workspace.texts, {"python"})
        count = options.places // len(options.folders)
        places += line_places(texts, workspace.folder.name, count=count, seed=options.seed)
    sums: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for number, place in enumerate(places):
        line = number % 2 == 0
        limit = 48 if line else BLOCK
        prompt = prompt_of(place, loaded, options.format, limit)
        # once for the cache, so that no way runs the prompt
        plain = completer.complete(prompt, "off", limit, line=line)[0]
        for turn in range(len(WAYS)):
            way = WAYS[(number + turn) % len(WAYS)]
            found, guessed, right, seconds = completer.complete(prompt, way, limit, line=line)
            row = sums["line" if line else "block", way]
            row["tokens"] += max(len(found) - 1, 0)
            row["passes"] += max(len(found) - 1 - right, 0)
            row["guessed"] += guessed
            row["right"] += right
            row["seconds"] += seconds
            row["same"] += found == plain
            row["places"] += 1
    result: dict[str, Any] = {"way": loaded.decoder.way, "format": options.format, "copying": not options.alone}
    for (task, way), row in sorted(sums.items()):
        result[f"{task} {way}"] = {
            **{name: int(row[name]) for name in ("places", "same", "tokens", "passes", "guessed", "right")},
            "share_right": round(row["right"] / row["guessed"], 3) if row["guessed"] else None,
            "passes_per_token": round(row["passes"] / max(row["tokens"], 1), 3),
            "ms_per_token": round(1000 * row["seconds"] / max(row["tokens"], 1), 3),
            "time": round(row["seconds"] / sums[task, "off"]["seconds"], 3),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
