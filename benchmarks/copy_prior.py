"""Fits how much a model copies: the numbers that stand under `copy` in its folder's aix.json.

    python benchmarks/copy_prior.py FOLDER... [--model aix-mini] [--places 240] [--cases 24] [--seed 11]

FOLDERS are projects that the model was not trained on, and not those that it is judged by. Nothing is generated: the
model reads the true rests of lines in PSM and SPM, and the logistic weights are those that make them most likely.
Prints JSON: `copy` is what to write down; `alone`, `copying` and `copied` say, by format, how many lines would be
exactly right token for token (`copied`: the favourite of the longest match wherever there is one), and the mean of
minus the log likelihood of a token. They are taken over each folder with weights fitted to the other ones.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from aix_lsp.engine.catalog import resolve
from aix_lsp.engine.copying import CopyPrior, CopyWeights, Match
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.loading import locate, max_positions
from aix_lsp.engine.prompt_limits import read_limits
from aix_lsp.engine.tokenizer import load_tokenizer, stop_ids
from aix_lsp.evaluation.infilling import MAX_TOKENS
from aix_lsp.evaluation.places import CROSS_FILE, Place, cross_file_places, line_places, texts_in
from aix_lsp.evaluation.retrieval import Workspace
from aix_lsp.languages import language_id_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, ModelInfo, Prompt

ANY = CopyWeights(0, 0, 0, 0, 0, 0)
CANDIDATES = 8  # of the model's likeliest tokens, beside all followers


@dataclass(frozen=True)
class Step:
    """One true token: the match before it, and what the model and the copy distribution say of each candidate.

    `right` are the candidates that would be as good as the true token: at a line's end, any end.
    """

    features: tuple[float, ...]
    match: Match | None
    model: dict[int, float]
    copied: dict[int, float]
    right: frozenset[int]
    likelihood: float  # the model's, of the true token
    copied_likelihood: float


@dataclass(frozen=True)
class Line:
    group: str
    format: str
    task: str
    steps: tuple[Step, ...]


class Reader:
    """Reads true rests of lines with a model."""

    def __init__(self, model: str) -> None:
        folder = locate(resolve(model).source)
        self._network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self._tokenizer = load_tokenizer(folder)
        self._info = ModelInfo(
            model, max_positions(self._network.config, folder), looks_up=True, limits=read_limits(folder)
        )
        self._vocabulary = Vocabulary(self._tokenizer)
        self._markers = stop_ids(self._tokenizer)
        self._ends = self._markers | frozenset(self._tokenizer.encode("\n")[:1])

    def lines(self, places: Sequence[Place]) -> Iterator[Line]:
        """Every place in both formats; cross-file ones with their snippets."""
        for place in places:
            for order in ("psm", "spm"):
                prompt = self._prompt(place, order)
                steps = self._steps(prompt, place)
                if steps:
                    yield Line(place.group, order, place.task, steps)

    def _prompt(self, place: Place, order: str) -> Prompt:
        text = place.before + place.after
        document = DocumentSnapshot("untitled:place", text, language_id_of(place.name), 0, place.name)
        settings = PromptSettings.model_validate({"format": order})
        snippets = place.snippets if place.task in CROSS_FILE else ()
        offset = len(place.before)
        return build_prompt(self._tokenizer, self._info, document, offset, snippets, settings, MAX_TOKENS)

    def _steps(self, prompt: Prompt, place: Place) -> tuple[Step, ...]:
        true = self._tokenizer.encode(prompt.required + place.wanted)[: MAX_TOKENS - 1]
        true += self._tokenizer.encode("\n")[:1]
        with torch.inference_mode():
            ids = torch.tensor([[*prompt.ids, *true[:-1]]])
            logits = self._network(input_ids=ids, logits_to_keep=len(true)).logits[0].float()
        prior = CopyPrior(ANY, self._markers, lambda token: self._tokenizer.decode([token]))
        prior.know(prompt.elsewhere)
        prior.begin(prompt.ids)
        steps, required = [], prompt.required
        for number, token in enumerate(true):
            allowed = self._vocabulary.beginnings(required) if required else ()
            if allowed and token not in allowed:
                return ()  # the true text is not spelled the way healing spells it
            right = self._ends if number == len(true) - 1 else frozenset((token,))
            steps.append(self._step(logits[number], prior.match(allowed, required), allowed, right))
            required = self._vocabulary.rest(token, required) if allowed else ""
            prior.push(token)
        return tuple(steps)

    def _step(self, logits: torch.Tensor, match: Match | None, allowed: Sequence[int], right: frozenset[int]) -> Step:
        if allowed:
            only = torch.full_like(logits, -math.inf)
            only[list(allowed)] = logits[list(allowed)]
            logits = only
        chances = logits.softmax(-1)
        copied = {token: count / match.places for token, count in match.followers} if match else {}
        candidates = {*chances.topk(CANDIDATES).indices.tolist(), *copied}
        model = {token: float(chances[token]) for token in candidates}
        features: tuple[float, ...] = ()
        if match:
            most = match.followers[0][1]
            favourite = max(model[token] for token, count in match.followers if count == most)
            features = (
                *(1, math.log(match.length), match.agreement, math.log(max(favourite, 1e-6))),
                *(bool(allowed), match.places == 1),
            )
        return Step(
            features,
            match,
            model,
            copied,
            right,
            float(chances[list(right)].sum()),
            sum(copied.get(token, 0.0) for token in right),
        )


def fitted(lines: Sequence[Line]) -> list[float]:
    """The weights of the logistic function that make the true tokens likeliest; a trace of ridge holds them."""
    steps = [step for line in lines for step in line.steps if step.match]
    features = torch.tensor([step.features for step in steps], dtype=torch.float64)
    model = torch.tensor([step.likelihood for step in steps], dtype=torch.float64)
    copied = torch.tensor([step.copied_likelihood for step in steps], dtype=torch.float64)
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        share = torch.sigmoid(features @ weights)
        value = -torch.log((1 - share) * model + share * copied + 1e-9).mean() + 1e-4 * (weights[1:] ** 2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.tolist()


def shares(step: Step, weights: Sequence[float] | None, *, always: bool = False) -> float:
    if not step.match or (weights is None and not always):
        return 0.0
    if weights is None:
        return 1.0
    score = sum(weight * feature for weight, feature in zip(weights, step.features, strict=True))
    return (1 + math.tanh(score / 2)) / 2


def judged(pairs: Sequence[tuple[Line, Sequence[float] | None]], *, always: bool = False) -> dict[str, Any]:
    """Share of the lines that are right token for token, and the mean loss of a token in nats."""
    exact, nats, tokens = 0, 0.0, 0
    for line, weights in pairs:
        whole = True
        for step in line.steps:
            share = shares(step, weights, always=always)

            def mixed(token: int, step: Step = step, share: float = share) -> float:
                return (1 - share) * step.model[token] + share * step.copied.get(token, 0.0)

            whole &= max(step.model, key=mixed) in step.right
            nats -= math.log(max((1 - share) * step.likelihood + share * step.copied_likelihood, 1e-9))
            tokens += 1
        exact += whole
    return {"lines": len(pairs), "exact": round(exact / len(pairs), 4), "nats": round(nats / tokens, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="aix-mini")
    parser.add_argument("--places", type=int, default=240)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--languages", default="python")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    languages = frozenset(options.languages.split(","))
    workspaces = [Workspace(folder) for folder in options.folders]
    places = []
    for workspace in workspaces:
        texts = texts_in(workspace.texts, languages)
        count = options.places // len(workspaces)
        places += line_places(texts, workspace.folder.name, count=count, seed=options.seed)
    if options.cases:
        places += cross_file_places(workspaces, languages, count=options.cases, seed=options.seed)
    lines = list(Reader(options.model).lines(places))
    names = sorted({line.group for line in lines})
    held_out = {name: fitted([line for line in lines if line.group != name]) for name in names} if names[1:] else {}
    result: dict[str, Any] = {
        "copy": {
            name: round(value, 2) for name, value in zip(CopyWeights.__dataclass_fields__, fitted(lines), strict=True)
        }
    }
    for order in ("psm", "spm"):
        for title, wanted in (("line", {"line"}), ("cross-file", CROSS_FILE)):
            some = [line for line in lines if line.format == order and line.task in wanted]
            if some:
                result[f"{order} {title}"] = {
                    "alone": judged([(line, None) for line in some]),
                    "copied": judged([(line, None) for line in some], always=True),
                    "copying": judged([(line, held_out.get(line.group)) for line in some]) if held_out else None,
                }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
