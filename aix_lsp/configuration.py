"""Reading settings from every source, laying one over the other, and knowing where each value came from.

Later sources win: defaults, the user's TOML file, environment, initializationOptions,
workspace/configuration, command line. A bad value is reported in one line and the value below it stays;
nothing here raises for what a user wrote.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError, TomlConfigSettingsSource

from aix_lsp.settings import Option, Settings, options
from aix_lsp.settings_option import Section

Source = Literal[
    "default", "user file", "environment", "initializationOptions", "workspace/configuration", "command line"
]
SOURCES: tuple[Source, ...] = (
    "default",
    "user file",
    "environment",
    "initializationOptions",
    "workspace/configuration",
    "command line",
)
ENVIRONMENT_PREFIX = "AIX_LSP_"
CONFIG_VARIABLE = "AIX_LSP_CONFIG"


class _Sources(BaseSettings, Settings):  # type: ignore[misc]  # two configs of the same kind
    """The same options as pydantic-settings wants them, to read the environment and TOML with its readers."""


def user_file() -> Path:
    """The user's TOML file: what AIX_LSP_CONFIG names, else `config.toml` in the system's place for settings."""
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("aix-lsp", appauthor=False) / "config.toml"


class Configuration:
    """The sources' values and the settings that they add up to."""

    def __init__(self) -> None:
        self._options: dict[str, Option] = {item.name: item for item in options()}
        self._layers: dict[Source, dict[str, Any]] = {}
        self.settings = Settings()

    def read_user_file(self, path: Path | None = None) -> list[str]:
        """Take over the TOML file's values; returns one line per problem. A missing file is no problem."""
        path = path or user_file()
        if not path.is_file():
            if path == Path(os.environ.get(CONFIG_VARIABLE, "")):
                return [f"settings: {CONFIG_VARIABLE} names {path}, which is no file"]
            return []
        try:
            values = TomlConfigSettingsSource(_Sources, path)()
        except (OSError, ValueError, RecursionError) as error:
            return [f"settings: {path} cannot be read: {error}"]
        return self.set_layer("user file", values)

    def read_environment(self) -> list[str]:
        """Take over `AIX_LSP_SECTION__OPTION` variables, lists as JSON; returns one line per problem. Each variable is
        read by itself, so that a bad one takes no other with it."""
        problems = []
        values: dict[str, Any] = {}
        for variable, text in sorted(os.environ.items()):
            if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
                continue
            name = variable[len(ENVIRONMENT_PREFIX) :].lower().replace("__", ".", 1)
            if name not in self._options:
                problems.append(
                    f"settings: {variable} is no option (options look like {ENVIRONMENT_PREFIX}MODEL__NAME)"
                )
                continue
            source = EnvSettingsSource(_Sources, env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__")
            source.env_vars = {variable.lower(): text}
            try:
                values.update(_flatten(source()))
            except SettingsError:
                problems.append(f'settings: {variable} = {text!r}: a list is written as JSON, such as ["a", "b"]')
        return problems + self.set_layer("environment", values)

    def set_layer(self, source: Source, values: Mapping[str, Any]) -> list[str]:
        """Replace all that one source says. `values` may be nested, dotted, or under a key `aix`; names may be
        in camelCase. Returns one line per problem; machine options from a workspace are refused."""
        layer: dict[str, Any] = {}
        problems = []
        for name, value in _flatten(values).items():
            known = self._options.get(name)
            if value is None:
                continue
            if known is None:
                problems.append(f"settings: {name} is no option ({source})")
            elif known.scope == "machine" and source == "workspace/configuration":
                if value != getattr_dotted(self.settings, name):
                    variable = ENVIRONMENT_PREFIX + name.upper().replace(".", "__")
                    problems.append(
                        f"settings: {name} cannot be set by a workspace; set it in {user_file()}, "
                        f"in the environment ({variable}) or in the editor's initializationOptions"
                    )
            elif (problem := _check(name, value)) is None:
                layer[name] = value
            else:
                shown = "(hidden)" if known.secret else repr(value)
                problems.append(f"settings: {name} = {shown}: {problem} ({source})")
        self._layers[source] = layer
        self.settings = self._merged()
        return problems

    def origin(self, name: str) -> Source:
        """Which source the effective value of an option comes from."""
        return next((source for source in reversed(SOURCES) if name in self._layers.get(source, {})), "default")

    def for_folder(self, values: Mapping[str, Any]) -> Settings:
        """Settings with one folder's own answers of workspace/configuration over all but the command line.
        Only `resource` options may differ; others are passed over."""
        own = {
            name: value
            for name, value in _flatten(values).items()
            if name in self._options
            and self._options[name].scope == "resource"
            and value is not None
            and _check(name, value) is None
        }
        return self._merged(own)

    def restart_needed(self, before: Settings) -> list[str]:
        """Options that changed since `before` and take effect only at the next start."""
        return [
            name
            for name, item in self._options.items()
            if item.restart and getattr_dotted(before, name) != getattr_dotted(self.settings, name)
        ]

    def _merged(self, folder: Mapping[str, Any] | None = None) -> Settings:
        nested: dict[str, dict[str, Any]] = {}
        for source in SOURCES:
            layer = dict(self._layers.get(source, {}))
            if source == "workspace/configuration" and folder:
                layer.update(folder)
            for name, value in layer.items():
                section, _, option = name.partition(".")
                nested.setdefault(section, {})[option] = value
        return Settings.model_validate(nested)


def getattr_dotted(settings: Settings, name: str) -> Any:
    """The value of `section.option`."""
    section, _, option = name.partition(".")
    return getattr(getattr(settings, section), option)


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}

    def walk(prefix: str, node: Mapping[str, Any]) -> None:
        for key, value in node.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            if isinstance(value, Mapping):
                walk(name, value)
            else:
                flat[_snake_case(name.removeprefix("aix."))] = value

    walk("", values)
    return flat


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match.group(1).lower(), name)


def _check(name: str, value: Any) -> str | None:
    """What is wrong with a value, in a few words; None when it is good."""
    section, _, option = name.partition(".")
    group = Settings.model_fields[section].annotation
    if not (isinstance(group, type) and issubclass(group, Section)):
        return "unknown section"
    try:
        group.model_validate({option: value})
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    return None
