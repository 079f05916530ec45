"""Answers on disk: to read what went wrong, and to compare a later model without asking the earlier one again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aix_lsp.engine.prompt_limits import limits_of
from aix_lsp.evaluation.infilling import Answer, ModelAnswers, Way, judged
from aix_lsp.evaluation.losses import Loss
from aix_lsp.evaluation.places import Place
from aix_lsp.types import ModelInfo

ANSWERS: Final = "answers.jsonl"
DATA: Final = "infilling.json"

_QUOTED = " with snippets"


def name_of(way: Way) -> str:
    """A way as tables and files call it."""
    return way.name + _QUOTED if way.snippets else way.name


def answers_of(places: Sequence[Place], models: Sequence[ModelAnswers]) -> Iterator[dict[str, Any]]:
    """Every answer with its place, a record for each place."""
    for number, place in enumerate(places):
        yield _key(place) | {
            "names": sorted(place.names),
            "answers": {
                model.label: {
                    name_of(way): {"text": answer.text, "exact": answer.exact}
                    for way, answers in model.answers.items()
                    if (answer := answers[number]) is not None
                }
                for model in models
            },
        }


def _key(place: Place) -> dict[str, Any]:
    """What tells a place from all others."""
    return {
        "task": place.task,
        "group": place.group,
        "path": place.name,
        "line": place.before.count("\n") + 1,
        "column": len(place.before) - place.before.rfind("\n"),
        "wanted": place.wanted,
    }


def read_earlier(
    folder: Path, places: Sequence[Place], files: Sequence[tuple[str, str]] = ()
) -> tuple[list[ModelAnswers], dict[str, Loss]]:
    """The answers and losses that a run wrote to `folder`, judged anew.

    Raises ValueError when they were given at other places, when losses were taken over others than these files (path,
    text), or when what is there cannot be understood; OSError when it cannot be read. That prompts were made as they
    are made now is for the caller to know.
    """
    try:
        data = json.loads((folder / DATA).read_text(encoding="utf-8"))
        lines = (folder / ANSWERS).read_text(encoding="utf-8").splitlines()
        records: list[dict[str, Any]] = [json.loads(line) for line in lines]
        found = [{field: record[field] for field in _key(places[0])} for record in records] if places else []
        if found != [_key(place) for place in places]:
            raise ValueError("its answers were given at other places; take the same folders, numbers and seed")
        models = [_model(label, told, places, records) for label, told in data["models"].items()]
        losses = {label: Loss(**told) for label, told in data["bits_per_byte"].items()}
        over = len(files), sum(len(text.encode()) for _, text in files)
        if any((loss.files, loss.bytes) != over for loss in losses.values()):
            raise ValueError("its bits per byte were taken over other files; take the same --loss-kb")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder} holds no evaluation of infilling that can be read: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"{folder} cannot be compared with: {error}") from error
    return models, losses


def _model(
    label: str, told: Mapping[str, Any], places: Sequence[Place], records: Sequence[Mapping[str, Any]]
) -> ModelAnswers:
    info = ModelInfo(
        name=told["name"],
        max_positions=told["positions"],
        limits=limits_of(told.get("limits", {})),
        device=told["device"],
        dtype=told["dtype"],
        parameters=told["parameters"],
    )
    given = [record["answers"][label] for record in records]
    names = dict.fromkeys(name for answers in given for name in answers)
    answers: dict[Way, list[Answer | None]] = {
        Way(name.removesuffix(_QUOTED), name.endswith(_QUOTED)): [
            judged(place, answers[name]["text"]) if name in answers else None
            for place, answers in zip(places, given, strict=True)
        ]
        for name in names
    }
    # as a run orders them, whatever task came first
    order = sorted(answers, key=lambda way: way.snippets)
    return ModelAnswers(label, info, {way: answers[way] for way in order})
