"""Which engine the settings ask for, and that what is secret stays so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from aix_lsp.configuration import Configuration
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.remote import RemoteEngine
from aix_lsp.engine.select import engine_for, is_remote, prompt_model
from aix_lsp.engine.sharing import OwnEngine
from aix_lsp.settings import Settings, options

URL = {"url": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("model", "remote", "wanted"),
    [
        ({}, {}, False),
        ({}, URL, True),
        ({"name": "remote"}, URL, True),
        ({"name": "aix-mini"}, URL, False),
        ({"adapter": "/some/adapter"}, URL, False),
    ],
)
def test_a_server_is_asked_unless_a_model_is_named(
    model: Mapping[str, Any], remote: Mapping[str, Any], wanted: bool
) -> None:
    settings = Settings.model_validate({"model": model, "remote": remote})
    assert is_remote(settings) == wanted
    assert isinstance(engine_for(settings), RemoteEngine if wanted else OwnEngine)


def test_remote_without_a_server_is_told() -> None:
    with pytest.raises(ModelError, match=r"remote\.url names no server"):
        engine_for(Settings.model_validate({"model": {"name": "remote"}}))


def test_a_served_models_prompts_can_be_built_without_the_server() -> None:
    settings = Settings.model_validate({"remote": {**URL, "model": "aix-mini", "format": "psm", "context": 900}})
    tokenizer, info = prompt_model(settings)
    assert tokenizer.special("▁<AIX-SPAN-PRE>") is not None
    assert (info.name, info.format, info.max_positions, info.token_healing) == ("aix-mini", "psm", 900, False)
    named = Settings.model_validate({"remote": {**URL, "tokenizer": str(embedded().source)}})
    assert prompt_model(named)[1].max_positions == 1024


def test_no_option_of_the_server_is_taken_from_a_workspace() -> None:
    assert {item.scope for item in options() if item.name.startswith("remote.")} == {"machine"}
    configuration = Configuration()
    problems = configuration.set_layer("workspace/configuration", {"remote": {"url": "http://evil.example"}})
    assert "cannot be set by a workspace" in problems[0]
    assert configuration.settings.remote.url == ""


def test_the_token_is_shown_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    from aix_lsp.cli.config import run

    configuration = Configuration()
    assert configuration.set_layer("command line", {"remote.token": "s3cret"}) == []
    assert "s3cret" not in repr(configuration.settings) + str(configuration.settings)
    assert "87123" not in "".join(configuration.set_layer("command line", {"remote.token": 87123}))
    assignments = ["remote.token=s3cret", "remote.url=http://me:pw77@host:1", "remote.proxy=http://you:pw77@host:2"]
    for as_json in (True, False):
        run(as_json=as_json, schema=False, markdown=False, model=None, assignments=assignments)
        shown = capsys.readouterr().out
        assert "s3cret" not in shown
        assert "pw77" not in shown
        assert "host:1" in shown
    run(as_json=True, schema=False, markdown=False, model=None, assignments=assignments)
    assert json.loads(capsys.readouterr().out)["remote.token"]["value"] == "(hidden)"
