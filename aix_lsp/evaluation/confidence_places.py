"""What the product offers on a project's own lines: places where somebody might be typing, and the answers there.

A place is a line typed up to some column, with the lines around it as they are. Every answer goes through the whole
`CompletionService`, with the project indexed, as an editor's automatic request does; nothing waits, nothing is reused,
and the confidence gate is off, since what it would do at each threshold is worked out from the answers
(`confidence_curve.py`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.place import Place, place_at
from aix_lsp.completion.policy import decide
from aix_lsp.completion.service import CompletionService
from aix_lsp.engine.base import Engine, EngineState
from aix_lsp.evaluation.one_model import only, settings_for
from aix_lsp.languages import language_id_of, language_of
from aix_lsp.settings import CompletionSettings, ModelSettings, Settings
from aix_lsp.types import (
    CompletionRequest,
    DocumentSnapshot,
    Generation,
    GenerationRequest,
    ModelInfo,
)
from aix_lsp.uris import path_to_uri

_SMALLEST_FILE: Final = 1500  # bytes
_SHORTEST_LINE: Final = 4
_DRAWS_FOR_ONE: Final = 200

OnAnswer = Callable[[int], None]
"""Called after each answer with how many there will be."""


@dataclass(frozen=True, slots=True)
class TypedPlace:
    """A line of a file, typed up to a column: `wanted` is the rest of it, without blanks at its end. `group` is the
    folder's name, `path` is relative to it; `before` and `after` are the texts around, `after` from the line's end."""

    group: str
    path: str
    language: str
    before: str
    after: str
    wanted: str


@dataclass(frozen=True, slots=True)
class PlaceAnswer:
    """What was offered at a place with the confidence gate off (empty: nothing, for this `reason`), and what the model
    wrote for it: None where it was not asked."""

    place: TypedPlace
    offer: str
    reason: str
    generation: Generation | None
    fitting: Place | None
    milliseconds: float


def draw(texts: Mapping[str, str], group: str, *, count: int, seed: int = 0) -> list[TypedPlace]:
    """Up to `count` different places in files given as path -> text, shared evenly among their languages.

    A file is drawn with equal chance among those of its language, then a line, then a column of it, from behind its
    indentation to before its last character. Small files, files with `test` in their path, comments and lines of only
    a bracket are left out. The same files and seed give the same places.
    """
    by_language: dict[str, list[str]] = {}
    for path in sorted(texts):
        if "test" not in path.lower() and len(texts[path].encode()) >= _SMALLEST_FILE and language_of(path).name:
            by_language.setdefault(language_id_of(path), []).append(path)
    found: list[TypedPlace] = []
    for number, (language, paths) in enumerate(sorted(by_language.items())):
        share = (count - len(found)) // (len(by_language) - number)
        found += _draw_in(texts, paths, group, language, share, seed)
    return found


def _draw_in(
    texts: Mapping[str, str], paths: Sequence[str], group: str, language: str, count: int, seed: int
) -> list[TypedPlace]:
    random_ = random.Random(f"{seed} {language}")
    places: dict[tuple[str, int], TypedPlace] = {}
    for _ in range(_DRAWS_FOR_ONE * count):
        if len(places) == count:
            break
        path = random_.choice(paths)
        place = _line_typed(texts[path], path, group, language, random_)
        if place is not None:
            # a place that is drawn twice would count twice
            places.setdefault((path, len(place.before)), place)
    # neighbours share the beginnings of their prompts, which the engine runs only once
    return sorted(places.values(), key=lambda place: (place.path, len(place.before)))


def _line_typed(text: str, path: str, group: str, language: str, random_: random.Random) -> TypedPlace | None:
    line_start = text.rfind("\n", 0, random_.randrange(len(text))) + 1
    line_end = text.find("\n", line_start)
    line_end = len(text) if line_end < 0 else line_end
    line = text[line_start:line_end].rstrip()
    code = line.strip()
    opening = language_of(path).comment
    if len(code) < _SHORTEST_LINE or code.startswith(opening if isinstance(opening, str) else opening[0]):
        return None
    column = random_.randrange(len(line) - len(code), len(line))
    behind = text[line_start + len(line) :]
    if behind[:1] not in ("", "\n", "\r"):
        behind = text[line_end:]  # blanks at a line's end are nobody's
    cursor = line_start + column
    return TypedPlace(group, path, language, text[:cursor], behind, line[column:])


class _Recording:
    """An engine whose latest generation can be taken and looked at."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._latest: Generation | None = None

    @property
    def model(self) -> ModelInfo | None:
        return self._engine.model

    @property
    def state(self) -> EngineState:
        return self._engine.state

    async def ready(self) -> ModelInfo:
        return await self._engine.ready()

    async def generate(self, request: GenerationRequest) -> Generation:
        self._latest = await self._engine.generate(request)
        return self._latest

    def take(self) -> Generation | None:
        latest, self._latest = self._latest, None
        return latest

    def close(self) -> None:
        self._engine.close()


def settings_of(model: str, *, threads: int = 0) -> Settings:
    """The product's defaults for one model by name or folder, in this process; `remote` is the user's own server. What
    waits for somebody who types is off, and so is the gate."""
    completion = CompletionSettings(
        debounce="fixed",
        debounce_ms=0,
        reuse=False,
        prepare_next=False,
        confidence="off",
        time_limit_ms=120_000,
    )
    settings = settings_for(ModelSettings(name=model, threads=threads))
    return settings.model_copy(update={"completion": completion})


def answers_in(
    folders: Sequence[Path],
    *,
    model: str,
    limit: int,
    seed: int = 0,
    threads: int = 0,
    on_answer: OnAnswer = lambda total: None,
) -> tuple[ModelInfo, list[PlaceAnswer]]:
    """Draw `limit` places, shared evenly among the folders, and ask for an offer at each.

    Raises ValueError when no folder has a line to type, ModelError when the model cannot be loaded; another one never
    answers for it.
    """
    settings = settings_of(model, threads=threads)
    checkouts: list[_Checkout] = []
    for number, folder in enumerate(folders):
        root = folder.resolve()
        context = WorkspaceContext(settings)
        context.index_now(root)
        (own,) = context.folders
        paths = sorted(own.index.paths())
        texts = {path: text for path in paths if (text := own.scanner.read(path)) is not None}
        checkouts.append(_Checkout(root, context, texts, limit // len(folders) + (number < limit % len(folders))))
    return asyncio.run(_answered(checkouts, settings, seed, on_answer))


@dataclass(frozen=True, slots=True)
class _Checkout:
    """A project as the server has it, and how many places it gets."""

    root: Path
    context: WorkspaceContext
    texts: Mapping[str, str]
    count: int


async def _answered(
    checkouts: Sequence[_Checkout], settings: Settings, seed: int, on_answer: OnAnswer
) -> tuple[ModelInfo, list[PlaceAnswer]]:
    answers: list[PlaceAnswer] = []
    async with only(settings) as (asked, info):
        engine = _Recording(asked)
        drawn = [_places(checkout, info, seed) for checkout in checkouts]
        total = sum(map(len, drawn))
        if not total:
            raise ValueError("nothing to type: the folders have no file of some length in a language of the model")
        for checkout, places in zip(checkouts, drawn, strict=True):
            service = CompletionService(engine, checkout.context)
            for place in places:
                answers.append(await _answer(service, engine, checkout.root, place, settings))
                on_answer(total)
            service.close()
            await checkout.context.close()
    return info, answers


def _places(checkout: _Checkout, model: ModelInfo, seed: int) -> list[TypedPlace]:
    """Places in the languages in which this model offers by itself."""
    texts = {
        path: text
        for path, text in checkout.texts.items()
        if not model.languages or language_id_of(path) in model.languages
    }
    return draw(texts, checkout.root.name, count=checkout.count, seed=seed)


async def _answer(
    service: CompletionService, engine: _Recording, root: Path, place: TypedPlace, settings: Settings
) -> PlaceAnswer:
    path = root / place.path
    document = DocumentSnapshot(path_to_uri(path), place.before + place.after, place.language, 0, place.path, path)
    request = CompletionRequest(document, len(place.before))
    engine.take()
    start = time.perf_counter()
    result = await service.complete(request, settings)
    milliseconds = (time.perf_counter() - start) * 1000
    generation, fitting = engine.take(), None
    if generation is not None:
        amount = decide(request, settings.completion).amount
        fitting = place_at(document, request.offset, amount, settings.completion.max_lines)
        fitting = replace(fitting, unfinished=generation.finish in ("length", "timeout"))
    offer = result.items[0].text if result.items else ""
    return PlaceAnswer(place, offer, result.reason, generation, fitting, milliseconds)
