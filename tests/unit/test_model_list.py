"""What `aix.models` lists: the catalog with what is on disk, what fits, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from aix_lsp.engine import model_list
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import known
from aix_lsp.engine.choice import choose
from aix_lsp.engine.hardware import Machine
from aix_lsp.engine.model_list import ListedModel, list_models
from aix_lsp.settings import ModelSettings
from tests.unit.test_session import Client, result, scripted


def gpu(free_gb: float) -> Machine:
    return Machine("cuda", "bfloat16", int(free_gb * 1e9), "the GPU")


def listed(machine: Machine, *on_disk: str, current: str = "", **settings: Any) -> dict[str, ListedModel]:
    there = {str(known()[name].source) for name in on_disk}
    models = list_models(ModelSettings(**settings), current, lambda: machine, there.__contains__)
    return {model.name: model for model in models}


def test_every_model_of_the_catalog_is_there_the_smallest_first() -> None:
    models = listed(gpu(20), "qwen2.5-coder-7b")
    assert set(models) == set(known())
    assert next(iter(models)) == "aix-mini"
    sizes = [model.size_gb for model in models.values()]
    assert sizes == sorted(sizes)
    assert {name for name, model in models.items() if model.on_disk} == {"aix-mini", "qwen2.5-coder-7b"}
    assert models["aixcoder-7b"].size_gb == pytest.approx(14.9, abs=0.3)
    assert not models["aixcoder-7b"].commercial
    assert "commercial use needs a licence" in models["aixcoder-7b"].licence


@pytest.mark.parametrize("free_gb", [1.2, 3.1, 6.3, 9, 12, 30, 80])
@pytest.mark.parametrize("quantization", ["auto", "none"])
def test_what_fits_is_what_auto_takes_where_it_alone_is_on_disk(free_gb: float, quantization: str) -> None:
    settings = ModelSettings(quantization=quantization)  # type: ignore[arg-type]
    for name, model in listed(gpu(free_gb), quantization=quantization).items():
        entry = known()[name]
        if entry.commercial or name == "aixcoder-7b":
            taken = choose(settings, lambda: gpu(free_gb), lambda source, wanted=entry.source: source == wanted)
            assert (taken.first.name == name) is model.fits


def test_a_note_says_what_a_model_needs_and_what_auto_thinks_of_its_licence() -> None:
    models = listed(gpu(9))
    assert models["aixcoder-7b"].note == "needs 8.7 GB in int8, 9.0 GB of the GPU are free"
    assert models["starcoder2-15b"].note.startswith("needs 33")
    assert models["qwen2.5-coder-3b"].fits
    assert models["qwen2.5-coder-3b"].note.endswith("auto does not take it for its licence, name it to use it")


def test_the_memory_of_the_model_that_runs_is_there_for_another() -> None:
    assert not listed(gpu(1))["qwen2.5-coder-3b"].fits
    beside = listed(gpu(1), current="aixcoder-7b")
    assert beside["qwen2.5-coder-3b"].fits
    assert beside["aixcoder-7b"].fits
    assert beside["aixcoder-7b"].note == "runs now"
    # in which precision it runs is not known, so that it counts with the least
    assert not beside["starcoder2-15b"].fits
    assert listed(gpu(1), current="aixcoder-7b", quantization="none")["starcoder2-7b"].fits


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ModelError("model.device is mps, but PyTorch finds no Apple GPU here"), "finds no Apple GPU"),
        (ImportError("libcudart is missing"), "PyTorch cannot be loaded: libcudart is missing"),
    ],
)
def test_a_machine_that_cannot_be_looked_at_runs_the_embedded_model_and_says_why(error: Exception, note: str) -> None:
    def fails() -> Machine:
        raise error

    models = list_models(ModelSettings(), "", fails, lambda source: True)
    assert [model.name for model in models if model.fits] == ["aix-mini"]
    assert all(note in model.note for model in models if not model.fits)


async def test_a_list_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_list, "MODULE", "aix_lsp.no_such_module")
    command = {"id": 2, "method": "workspace/executeCommand", "params": {"command": "aix.models"}}
    early = {**command, "id": 1}
    client = Client(scripted)
    ready = {"id": 3, "method": "workspace/executeCommand", "params": {"command": "aix.status"}}
    messages = await client.run(early, ready, then=[command])
    (refused,) = [message for message in messages if message.get("id") == 1]
    assert "still starting" in refused["error"]["message"]
    (failed,) = [message for message in messages if message.get("id") == 2]
    assert failed["error"]["message"].startswith("the models cannot be listed: ")
    assert "no_such_module" in failed["error"]["message"]
    assert result(messages, 3)["state"] == "starting"
