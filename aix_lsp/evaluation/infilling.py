"""What models fill in at given places, and what copying fills in there.

Every answer goes the product's way: its prompt, its engine, token healing, greedy, up to the line's end, without
post-processing. The copiers see the whole file as the model's own tokens. A model whose folder asks for a copy prior
answers with it, as in the product, or alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from rapidfuzz import fuzz

from aix_lsp.engine.adapter import check_base, inspect_adapter
from aix_lsp.engine.base import Engine, ModelError
from aix_lsp.engine.catalog import CatalogEntry, known, resolve
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.copying import read_copy_weights
from aix_lsp.engine.loading import locate
from aix_lsp.engine.select import REMOTE, prompt_model
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.evaluation.cases import words
from aix_lsp.evaluation.copying import Copier, copied_line
from aix_lsp.evaluation.one_model import only, settings_for
from aix_lsp.evaluation.places import CROSS_FILE, Place
from aix_lsp.languages import language_id_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.prompt.fim import family_of, plain_family
from aix_lsp.prompt.healing import take_back
from aix_lsp.settings import ModelSettings, PromptSettings
from aix_lsp.types import DocumentSnapshot, FimFormat, GenerationRequest, ModelInfo, Tokenizer

MAX_TOKENS = 48
"""Most tokens of an answer: a line."""


@dataclass(frozen=True, slots=True)
class CopyRule:
    """Longest and shortest n-gram by which a copier continues, and whether it heals the unfinished word."""

    longest: int
    shortest: int
    healing: bool = False


COPIERS: Final = {"copy 3": CopyRule(3, 3), "copy 10": CopyRule(10, 1), "copy 10 healed": CopyRule(10, 1, healing=True)}
"""Copiers by name. With healing they have what the product gives a model; without it they are the usual baseline."""


@dataclass(frozen=True, slots=True)
class Way:
    """How an answer is made: a prompt format in capitals or one of `COPIERS`, with or without snippets."""

    name: str
    snippets: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer and what it is worth. `similarity` is from 0 to 100 (rapidfuzz's ratio), `names` the share of the
    identifiers wanted from other files, None where there are none."""

    text: str
    exact: bool
    similarity: float
    names: float | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """The answers of one model, and of the copiers over its tokens, in the order of the places; None where a way makes
    no sense at a place (snippets where there are none to be had)."""

    label: str
    info: ModelInfo
    answers: dict[Way, list[Answer | None]]


def judged(place: Place, text: str) -> Answer:
    """Compare an answer's first line with what is wanted: without the blanks at its end; HumanEval's without those at
    both ends, since what is wanted is written without its indentation there."""
    line = text.split("\n")[0].rstrip()
    line = line.strip() if place.task == "humaneval" else line
    names = len(place.names & words(line)) / len(place.names) if place.names else None
    wanted = place.wanted.rstrip()
    return Answer(line, line == wanted, fuzz.ratio(line, wanted), names)


def ways_for(formats: Sequence[FimFormat], *, snippets: bool) -> list[Way]:
    """All ways that are compared; with snippets where there are any to quote."""
    names = [*(format_.upper() for format_ in formats), *COPIERS]
    return [Way(name, quoted) for quoted in ((False, True) if snippets else (False,)) for name in names]


def labels_of(models: Sequence[str], adapters: Sequence[Path] = ()) -> list[str]:
    """Short names for models given by name or folder, and behind them for the first one with each of the adapters.

    A folder that shares its name with another one, or with a model of the catalog, is told by as many of the folders
    above as it takes. Raises ModelError for a name that means nothing, and for what is given twice.
    """
    entries = [CatalogEntry(REMOTE, REMOTE) if model == REMOTE else resolve(model) for model in models]
    places = [
        None if model in known() or not isinstance(entry.source, Path) else entry.source.expanduser().resolve()
        for model, entry in zip(models, entries, strict=True)
    ]
    told = [entry.name if place is None else place for entry, place in zip(entries, places, strict=True)]
    for number, model in enumerate(models):
        if told[number] in told[:number]:
            raise ModelError(f"the model {model} is given twice")
    labels = [entry.name for entry in entries]
    for depth in range(1, max((len(place.parts) for place in places if place is not None), default=0)):
        shared = {label for label in labels if labels.count(label) > 1 or label in known()}
        labels = [
            label if place is None or label not in shared else "/".join((".", *place.parts[1:][-depth:]))
            for label, place in zip(labels, places, strict=True)
        ]
    names = [inspect_adapter(adapter).name for adapter in adapters]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"two adapters are called {name}; rename the folder of one")
    return [*labels, *(f"{labels[0]}+{name}" for name in names)]


ALONE: Final = " alone"
"""Behind the label of a model whose copy prior is off."""


def copies(model: str) -> bool:
    """Whether the folder of a model by name or folder asks for a copy prior; that of a server never copies. Raises
    ModelError."""
    return model != REMOTE and read_copy_weights(locate(resolve(model).source)) is not None


def checked(model: str, formats: Sequence[FimFormat], adapter: Path | None = None) -> Tokenizer:
    """The tokenizer of a model by name or folder, once it is clear that its files are there, that the adapter fits it,
    and that it knows these orders of a prompt. Raises ModelError or TokenizerError with one line."""
    tokenizer: Tokenizer
    if model == REMOTE:
        if adapter is not None:
            raise ModelError("an adapter cannot be put into a model that a server runs")
        tokenizer = prompt_model(settings_for(ModelSettings(name=model)))[0]
    else:
        folder = locate(resolve(model).source)
        checkpoint = inspect(folder)
        if adapter is not None:
            check_base(inspect_adapter(adapter), checkpoint)
        tokenizer = load_tokenizer(folder)
    family = family_of(tokenizer) or plain_family(tokenizer)
    missing = [format_ for format_ in formats if family.resolve(format_, has_suffix=True) != format_]
    if missing:
        raise ModelError(f"{model} knows no prompt in the order {', '.join(missing)}; leave it out of the formats")
    return tokenizer


def evaluate(
    model: str,
    places: Sequence[Place],
    *,
    adapter: Path | None = None,
    label: str = "",
    formats: Sequence[FimFormat] = ("psm", "spm"),
    threads: int = 0,
    copying: bool = True,
    on_answer: Callable[[], None] = lambda: None,
) -> ModelAnswers:
    """All ways at all places with one model: a catalog name or a folder, as `model.name` takes it, and the folder of an
    adapter for it, if any; or `remote` for the server of the user's settings.

    `threads` 0 lets PyTorch choose. Without `copying` the model answers alone, even if its folder asks for a copy prior
    (`engine/copying.py`). `on_answer` is called after each answer of the model. Raises ModelError when the
    model cannot be loaded; another one never answers for it.
    """
    tokenizer = checked(model, formats, adapter)
    snippets = any(place.task in CROSS_FILE for place in places)
    ways = ways_for(formats, snippets=snippets)
    answers: dict[Way, list[Answer | None]] = {
        way: _copied(tokenizer, places, way) for way in ways if way.name in COPIERS
    }
    settings = ModelSettings(
        name=model,
        adapter="" if adapter is None else str(adapter),
        threads=threads,
        copy_prior="auto" if copying else "off",
    )
    info, generated = asyncio.run(_generated(settings, places, [way for way in ways if way not in answers], on_answer))
    answers |= generated
    return ModelAnswers(label or info.name, info, {way: answers[way] for way in ways})


def answers_needed(places: Sequence[Place], formats: Sequence[FimFormat]) -> int:
    """How often `evaluate` asks the model."""
    return len(formats) * sum(2 if place.task in CROSS_FILE else 1 for place in places)


async def _generated(
    settings: ModelSettings, places: Sequence[Place], ways: Sequence[Way], on_answer: Callable[[], None]
) -> tuple[ModelInfo, dict[Way, list[Answer | None]]]:
    answers: dict[Way, list[Answer | None]] = {}
    async with only(settings_for(settings)) as (engine, info):
        for way in ways:
            answers[way] = []
            for place in places:
                if way.snippets and place.task not in CROSS_FILE:
                    answers[way].append(None)
                    continue
                answers[way].append(judged(place, await generated(engine, place, way)))
                on_answer()
    return info, answers


async def generated(engine: Engine, place: Place, way: Way) -> str:
    """What the model puts at a place, up to the line's end (which may be included)."""
    document = DocumentSnapshot(
        f"untitled:{place.name}", place.before + place.after, language_id_of(place.name), 0, place.name
    )
    request = GenerationRequest(
        build_prompt=partial(
            build_prompt,
            document=document,
            offset=len(place.before),
            snippets=place.snippets if way.snippets else (),
            settings=PromptSettings.model_validate({"format": way.name.lower()}),
            max_new_tokens=MAX_TOKENS,
        ),
        max_new_tokens=MAX_TOKENS,
        stop=lambda so_far: "\n" in so_far,
        document=document.uri,
    )
    return (await engine.generate(request)).text


def _copied(tokenizer: Tokenizer, places: Sequence[Place], way: Way) -> list[Answer | None]:
    text_of = lru_cache(maxsize=None)(lambda token: tokenizer.decode([token]))
    return [
        None if way.snippets and place.task not in CROSS_FILE else judged(place, _copy(tokenizer, text_of, place, way))
        for place in places
    ]


def _copy(tokenizer: Tokenizer, text_of: Callable[[int], str], place: Place, way: Way) -> str:
    rule = COPIERS[way.name]
    quoted = [tokenizer.encode(snippet.text) for snippet in place.snippets] if way.snippets else []
    tail: Sequence[int] = tokenizer.encode(place.before)
    required = ""
    if rule.healing:
        tail, required = take_back(tokenizer, tail, place.before)
    copier = Copier([*quoted, tokenizer.encode(place.after), tail])
    tokens = copied_line(
        copier, tail, text_of, longest=rule.longest, shortest=rule.shortest, required=required, limit=MAX_TOKENS
    )
    return tokenizer.decode(tokens)[len(required) :]
