"""What is plugged into a decoder, as settings and a model's folder say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aix_lsp.engine.base import LoadEvent, ModelError
from aix_lsp.engine.copying import CopyPrior, read_copy_weights
from aix_lsp.engine.local import LocalBackend
from aix_lsp.engine.speculation import NgramProposer
from aix_lsp.settings import ModelSettings
from aix_lsp.types import GenerationRequest, Prompt
from tests.unit.tiny_models import VOCABULARY, embedded_folder, save_model

ALWAYS = {"base": 1000, "length": 0, "agreement": 0, "model": 0, "healing": 0, "lone": 0}
TEXT = [300, 301, 302, 303, 304, 305]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = save_model(tmp_path_factory.mktemp("models") / "copies")
    (made / "aix.json").write_text(json.dumps({"copy": ALWAYS}))
    return made


def backend(folder: Path, **settings: object) -> LocalBackend:
    # in float32, so that a token run alone and in a prompt gives the same
    options = {"name": str(folder), "threads": 1, "cpu_decode": "none"}
    made = LocalBackend(ModelSettings.model_validate(options | settings))
    made.load(lambda event: None)
    return made


def answer(model: LocalBackend, ids: list[int], elsewhere: tuple[tuple[int, ...], ...] = ()) -> list[int]:
    prompt = Prompt(tuple(ids), "", "l2r", elsewhere=elsewhere)
    request = GenerationRequest(lambda tokenizer, info: prompt, 4)
    made = model.generate(prompt, request, lambda: False)
    return [token for _, token in zip(range(4), made, strict=False)]


def test_a_model_copies_from_the_prompt_and_from_what_it_had_no_room_for(folder: Path) -> None:
    model = backend(folder)
    assert answer(model, [1, *TEXT, 300]) == [301, 302, 303, 304]
    alone = answer(backend(folder, copy_prior="off"), [1, 300])
    assert answer(model, [1, 300], elsewhere=(tuple(TEXT),)) == [301, 302, 303, 304]
    assert answer(model, [1, 300]) == alone != [301, 302, 303, 304]


def test_tokens_that_the_model_does_not_know_are_not_looked_up(folder: Path) -> None:
    model = backend(folder)
    alone = answer(model, [1, 300])
    foreign = (VOCABULARY, 2**31 - 1)
    assert answer(model, [1, 300], elsewhere=((300, *foreign), (*foreign, 301))) == alone
    assert answer(model, [1, 300], elsewhere=((*foreign, *TEXT),)) == [301, 302, 303, 304]


@pytest.mark.parametrize(
    ("settings", "looks_up", "prior", "proposer"),
    [
        ({}, True, CopyPrior, NgramProposer),
        ({"copy_prior": "off"}, True, type(None), NgramProposer),
        ({"speculation": "off"}, True, CopyPrior, type(None)),
        ({"copy_prior": "off", "speculation": "off"}, False, type(None), type(None)),
    ],
)
def test_settings_decide_what_is_plugged_in(
    folder: Path, settings: dict[str, str], looks_up: bool, prior: type, proposer: type
) -> None:
    made = LocalBackend(ModelSettings.model_validate({"name": str(folder), "threads": 1} | settings))
    assert made.load(lambda event: None).info.looks_up == looks_up
    assert made._loaded is not None
    assert type(made._loaded.decoder.prior) is prior
    assert type(made._loaded.decoder.proposer) is proposer


def test_the_embedded_model_asks_for_a_copy_prior_and_others_do_not(tmp_path: Path) -> None:
    weights = read_copy_weights(embedded_folder())
    assert weights is not None
    # longer matches and those that agree weigh more
    assert weights.length > 0
    assert weights.agreement > 0
    assert read_copy_weights(save_model(tmp_path / "other")) is None


def test_bad_numbers_leave_the_embedded_model_in_place_with_a_reason(tmp_path: Path) -> None:
    other = save_model(tmp_path / "bad")
    (other / "aix.json").write_text(json.dumps({"copy": ALWAYS | {"base": "much"}}))
    events: list[LoadEvent] = []
    made = LocalBackend(ModelSettings.model_validate({"name": str(other), "threads": 1}))
    assert made.load(events.append).info.name == "aix-mini"
    assert [event.message for event in events if event.kind == "warning"] == [
        f"{other / 'aix.json'}: copy.base is 'much', not a number from -1000 to 1000. "
        "The embedded model aix-mini answers instead."
    ]
    with pytest.raises(ModelError, match="is 'much', not a number"):
        read_copy_weights(other)
