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
_LONGEST_SHOWN = 100
_MAY_HOLD_SECRETS = ("remote.url", "remote.proxy", "remote.token_env")
"""Options whose wrong values are not shown: a password in an address, or a token where its variable is to be named."""


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
        self._refused: set[str] = set()
        """Machine options of a workspace that were told of."""
        self.settings = Settings()

    def read_user_file(self, path: Path | None = None) -> list[str]:
        """Take over the TOML file's values; returns one line per problem. A missing file is no problem."""
        path = path or user_file()
        if not os.path.isfile(path):  # noqa: PTH113  # Path.is_file raises for a name that is too long
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
        in camelCase. Returns one line per problem, and one for all machine options of a workspace: they are ignored."""
        layer: dict[str, Any] = {}
        problems = self.refused(values) if source == "workspace/configuration" else []
        for name, value in _flatten(values).items():
            known = self._options.get(name)
            if value is None:
                continue
            if known is None:
                problems.append(f"settings: {_short(name)} is no option ({source})")
            elif known.scope == "machine" and source == "workspace/configuration":
                continue  # `refused` tells of it
            elif (problem := _check(name, value)) is None:
                layer[name] = value
            else:
                hidden = known.secret or name in _MAY_HOLD_SECRETS
                shown = "(hidden)" if hidden else _short(repr(value))
                problems.append(f"settings: {name} = {shown}: {problem} ({source})")
        self._layers[source] = layer
        self.settings = self._merged()
        return problems

    def refused(self, values: Mapping[str, Any]) -> list[str]:
        """One line that names the machine options among what a workspace (or one folder of it) says, unless they were
        told of before; none where there are none. A client that repeats what the user has set somewhere, or the
        default, is not scolded. No value is shown."""
        names = [
            name
            for name, value in _flatten(values).items()
            if value is not None
            and name in self._options
            and self._options[name].scope == "machine"
            and name not in self._refused
            and not self._is_the_users(name, value)
        ]
        if not names:
            return []
        self._refused.update(names)
        variable = ENVIRONMENT_PREFIX + names[0].upper().replace(".", "__")
        variables = variable if len(names) == 1 else f"{variable} and so on"
        return [
            f"settings: {', '.join(names)} cannot be set by a workspace; set {'it' if len(names) == 1 else 'them'} in "
            f"{user_file()}, in the environment ({variables}) or in the editor's initializationOptions"
        ]

    def _is_the_users(self, name: str, value: Any) -> bool:
        """Whether an option has this value already: by default, or by what the user says anywhere."""
        said = [self._options[name].default]
        said += [layer[name] for source, layer in self._layers.items() if name in layer]
        meant = _meant(name, value)
        return any(value == each or (meant is not None and meant == _meant(name, each)) for each in said)

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


def _short(text: str) -> str:
    """What is shown in a window and remembered as shown, whatever a client sends."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _check(name: str, value: Any) -> str | None:
    """What is wrong with a value, in a few words; None when it is good."""
    try:
        _valid(name, value)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
    except KeyError:
        return "unknown section"
    return None


def _valid(name: str, value: Any) -> Any:
    """The value as the option holds it. Raises ValidationError, KeyError."""
    section, _, option = name.partition(".")
    group = Settings.model_fields[section].annotation
    if not (isinstance(group, type) and issubclass(group, Section)):
        raise KeyError(section)
    return getattr(group.model_validate({option: value}), option)


def _meant(name: str, value: Any) -> Any:
    """The value as the option holds it; None for one that it does not take."""
    try:
        return _valid(name, value)
    except (ValidationError, KeyError):
        return None
