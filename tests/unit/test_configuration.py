"""Settings from every source."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.configuration import Configuration
from aix_lsp.settings import Settings, options
from aix_lsp.settings_documents import json_schema, markdown_table


@pytest.fixture
def configuration() -> Configuration:
    return Configuration()


def test_later_sources_win_and_are_named(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[completion]\ndebounce_ms = 1\nmax_lines = 7\n[model]\nname = 'aix-mini'\n")
    monkeypatch.setenv("AIX_LSP_COMPLETION__DEBOUNCE_MS", "2")
    assert configuration.read_user_file(file) == []
    assert configuration.read_environment() == []
    assert configuration.settings.completion.debounce_ms == 2
    configuration.set_layer("initializationOptions", {"completion": {"debounce_ms": 3}})
    assert configuration.settings.completion.debounce_ms == 3
    configuration.set_layer("workspace/configuration", {"completion": {"debounce_ms": 4}})
    assert configuration.settings.completion.debounce_ms == 4
    configuration.set_layer("command line", {"completion.debounce_ms": 5})
    assert configuration.settings.completion.debounce_ms == 5
    assert configuration.origin("completion.debounce_ms") == "command line"
    assert configuration.origin("completion.max_lines") == "user file"
    assert configuration.origin("completion.enabled") == "default"


def test_a_source_that_says_nothing_any_more_gives_way(configuration: Configuration) -> None:
    configuration.set_layer("workspace/configuration", {"completion": {"debounce_ms": 4}})
    configuration.set_layer("workspace/configuration", {"completion": {"debounce_ms": None}})
    assert configuration.settings == Settings()


@pytest.mark.parametrize(
    "values",
    [
        {"completion": {"debounce_ms": 7}},
        {"completion.debounce_ms": 7},
        {"aix": {"completion": {"debounceMs": 7}}},
        {"aix.completion.debounceMs": 7},
    ],
)
def test_names_may_be_nested_dotted_prefixed_or_camel_case(
    configuration: Configuration, values: dict[str, object]
) -> None:
    assert configuration.set_layer("initializationOptions", values) == []
    assert configuration.settings.completion.debounce_ms == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", ["sEcr3t"]),
        ("token_env", "sk-proj-sEcr3t"),
        ("token_env", "hf_sEcr3tAbCdEfGhIjKlMnOpQrStUvWx"),
        ("token_env", ["sEcr3t"]),
        ("url", ["http://me:sEcr3t@models.example"]),
        ("proxy", ["http://me:sEcr3t@proxy.example"]),
    ],
)
def test_what_may_hold_a_token_is_told_without_its_value(
    configuration: Configuration, name: str, value: object
) -> None:
    (problem,) = configuration.set_layer("initializationOptions", {"remote": {name: value}})
    assert problem.startswith(f"settings: remote.{name} = (hidden): ")
    assert "sEcr3t" not in problem
    assert configuration.settings.remote == Settings().remote


@pytest.mark.parametrize("name", ["AIX_REMOTE_TOKEN", "token", "OpenAI_Token_2", "_X"])
def test_any_name_of_a_variable_may_hold_the_token(configuration: Configuration, name: str) -> None:
    assert not configuration.set_layer("initializationOptions", {"remote": {"token_env": name}})
    assert configuration.settings.remote.token_env == name


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"completion": {"debounce_ms": "soon"}}, "completion.debounce_ms"),
        ({"completion": {"debounce_ms": -1}}, "completion.debounce_ms"),
        ({"prompt": {"format": "msp"}}, "prompt.format"),
        ({"completion": {"bounce": 1}}, "completion.bounce is no option"),
        ({"nothing": 1}, "nothing is no option"),
        ({"log": {"file": "~nobody-of-that-name/x"}}, "log.file = '~nobody-of-that-name/x': this is no path on this"),
        ({"log": {"file": "a\0b"}}, "log.file"),
    ],
)
def test_a_bad_value_is_reported_and_the_rest_counts(
    configuration: Configuration, values: dict[str, object], told: str
) -> None:
    problems = configuration.set_layer("initializationOptions", {**values, "retrieval": {"snippets": 2}})
    assert len(problems) == 1
    assert told in problems[0]
    assert "\n" not in problems[0]
    assert configuration.settings.retrieval.snippets == 2
    assert configuration.settings.completion == Settings().completion
    assert configuration.settings.log == Settings().log


@pytest.mark.parametrize("name", [item.name for item in options() if item.scope == "machine"])
def test_a_workspace_cannot_set_what_belongs_to_the_machine(configuration: Configuration, name: str) -> None:
    value = {"model.name": "./evil", "log.file": "/tmp/x"}.get(name, "cpu")
    problems = configuration.set_layer("workspace/configuration", {name: value})
    assert len(problems) == 1
    assert configuration.settings == Settings()


def test_what_a_workspace_cannot_set_is_told_with_the_places_that_can(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIX_LSP_CONFIG", str(tmp_path / "mine.toml"))
    (line,) = configuration.set_layer("workspace/configuration", {"model": {"idleMinutes": 7}})
    assert line.startswith("settings: model.idle_minutes cannot be set by a workspace; ")
    for place in (str(tmp_path / "mine.toml"), "AIX_LSP_MODEL__IDLE_MINUTES", "initializationOptions"):
        assert place in line


def test_a_client_that_repeats_the_defaults_is_not_scolded(configuration: Configuration) -> None:
    assert configuration.set_layer("workspace/configuration", Settings().model_dump()) == []


def test_a_broken_file_is_one_line_and_costs_nothing_else(configuration: Configuration, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[completion\n")
    (problem,) = configuration.read_user_file(file)
    assert str(file) in problem
    assert configuration.settings == Settings()


def test_a_missing_file_is_no_problem_unless_it_was_named(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configuration.read_user_file(tmp_path / "none.toml") == []
    monkeypatch.setenv("AIX_LSP_CONFIG", str(tmp_path / "none.toml"))
    (problem,) = configuration.read_user_file()
    assert "AIX_LSP_CONFIG" in problem


def test_environment_variables_may_hold_json_and_wrong_names_are_told(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIX_LSP_COMPLETION__DISABLED_LANGUAGES", '["markdown"]')
    monkeypatch.setenv("AIX_LSP_MODEL__NAM", "x")
    (problem,) = configuration.read_environment()
    assert "AIX_LSP_MODEL__NAM" in problem
    assert configuration.settings.completion.disabled_languages == ("markdown",)


def test_a_bad_variable_takes_no_other_with_it(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIX_LSP_COMPLETION__DISABLED_LANGUAGES", "markdown")
    monkeypatch.setenv("AIX_LSP_COMPLETION__MAX_LINES", "7")
    monkeypatch.setenv("AIX_LSP_LOG__LEVEL", "info")
    (problem,) = configuration.read_environment()
    assert "AIX_LSP_COMPLETION__DISABLED_LANGUAGES" in problem
    assert "JSON" in problem
    assert configuration.settings.completion.max_lines == 7
    assert configuration.settings.log.level == "info"


def test_null_says_nothing(configuration: Configuration) -> None:
    assert configuration.set_layer("workspace/configuration", {"model": {"name": None}, "odd": None}) == []


def test_a_folder_may_differ_in_resource_options_only(configuration: Configuration) -> None:
    settings = configuration.for_folder(
        {"completion": {"max_lines": 3}, "model": {"name": "x"}, "log": {"level": "debug"}}
    )
    assert settings.completion.max_lines == 3
    assert settings.model.name == "auto"
    assert settings.log.level == "warning"


def test_what_needs_a_restart_is_known(configuration: Configuration) -> None:
    before = configuration.settings
    configuration.set_layer("initializationOptions", {"model": {"name": "aix-mini"}, "retrieval": {"snippets": 1}})
    assert configuration.restart_needed(before) == ["model.name"]


def test_every_option_is_documented() -> None:
    schema = json_schema()["properties"]
    for item in options():
        assert len(item.doc) > 20
        assert schema[f"aix.{item.name}"]["description"] == item.doc
        assert f"`{item.name}`" in markdown_table()
