"""Which rule of a checker weighs how much: `analysis.toml`, and a file of the user's over it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeGuard

Severity = Literal["drop", "light", "ignore"]

_SEVERITIES: Final = ("drop", "light", "ignore")


class AnalysisError(ValueError):
    """Rules that cannot be read, or a checker that did not do its work. One line for a person."""


@dataclass(frozen=True, slots=True)
class LanguageRules:
    """How one language is checked. `command` is empty for Python, where ruff is run, unless the user names one.

    `severities` holds single rules, `families` beginnings of their names, `why` a few words for rules that drop.
    """

    command: tuple[str, ...]
    families: Mapping[str, Severity]
    severities: Mapping[str, Severity]
    why: Mapping[str, str]

    def severity(self, rule: str) -> Severity:
        """The rule's own entry, else that of the longest family it begins with, else "light"."""
        own = self.severities.get(rule)
        if own is not None:
            return own
        family = max((name for name in self.families if rule.startswith(name)), key=len, default="")
        return self.families.get(family, "light")


@dataclass(frozen=True, slots=True)
class Rules:
    """All of `analysis.toml`: limits for lighter findings, and the languages by name."""

    light_per_100_lines: float
    light_at_least: int
    languages: Mapping[str, LanguageRules]


def load_rules(user: Path | None = None) -> Rules:
    """The rules that come with the package, and over them those of the user's file.

    Raises AnalysisError, naming the file and the place, if that cannot be read or says something unknown.
    """
    bundled = Path(__file__).with_name("analysis.toml")
    tables = _read(bundled)
    if user is not None:
        tables = _joined(tables, _read(user))
    return _rules(tables, user or bundled)


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnalysisError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise AnalysisError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise AnalysisError(f"{path}: is not TOML: {error}") from error
    # Checked file by file, so that a message names the file that is wrong.
    _rules(_joined({"limits": {"light_per_100_lines": 1, "light_at_least": 1}}, tables), path)
    return tables


def _joined(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables join, values of `above` win. A rule that `above` lists at one severity leaves its others."""
    joined = dict(below)
    for key, value in above.items():
        old = joined.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            joined[key] = _joined(_without_moved(old, value), value)
        elif key in ("light", "ignore") and isinstance(value, list) and isinstance(old, list):
            joined[key] = [*old, *value]
        else:
            joined[key] = value
    return joined


def _without_moved(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    moved = {rule for key in _SEVERITIES if isinstance(above.get(key), list | dict) for rule in above[key]}
    kept = dict(below)
    for key in _SEVERITIES:
        rules = kept.get(key)
        if isinstance(rules, dict):
            kept[key] = {rule: why for rule, why in rules.items() if rule not in moved}
        elif isinstance(rules, list):
            kept[key] = [rule for rule in rules if rule not in moved]
    return kept


def _rules(tables: Mapping[str, Any], path: Path) -> Rules:
    _known(tables, ("limits", "languages"), path, "the file")
    limits = _table(tables, "limits", path)
    _known(limits, ("light_per_100_lines", "light_at_least"), path, "[limits]")
    for name, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise AnalysisError(f"{path}: limits.{name} must be a number from 0 on")
    languages = _table(tables, "languages", path)
    return Rules(
        float(limits["light_per_100_lines"]),
        int(limits["light_at_least"]),
        {name: _language(_table(languages, name, path), name, path) for name in languages},
    )


def _language(table: Mapping[str, Any], name: str, path: Path) -> LanguageRules:
    where = f"languages.{name}"
    _known(table, ("command", "families", "drop", "light", "ignore"), path, f"[{where}]")
    command = table.get("command", [])
    if not _are_words(command) or ("command" in table and not command):
        raise AnalysisError(f'{path}: {where}.command must be a list of words, such as ["my-checker", "--json"]')
    if not command and name != "python" and ("command" in table or "drop" in table or "families" in table):
        raise AnalysisError(f"{path}: {where} needs a command: only Python is checked without one")
    families = _table(table, "families", path)
    for family, severity in families.items():
        if severity not in _SEVERITIES:
            raise AnalysisError(f'{path}: {where}.families.{family} must be "drop", "light" or "ignore"')
    drop = table.get("drop", {})
    why = dict.fromkeys(drop, "") if _are_words(drop) else drop
    if not isinstance(why, dict) or not all(isinstance(text, str) for text in why.values()):
        raise AnalysisError(f"{path}: {where}.drop must be a table of rules and what they stand for")
    severities: dict[str, Severity] = dict.fromkeys(why, "drop")
    for key in ("light", "ignore"):
        listed = table.get(key, [])
        if not _are_words(listed):
            raise AnalysisError(f"{path}: {where}.{key} must be a list of rules")
        severities |= dict.fromkeys(listed, "light" if key == "light" else "ignore")
    return LanguageRules(tuple(command), dict(families), severities, dict(why))


def _known(table: Mapping[str, Any], names: Sequence[str], path: Path, where: str) -> None:
    for name in table:
        if name not in names:
            raise AnalysisError(f"{path}: {where} has no {name!r} (only {', '.join(names)})")


def _table(tables: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise AnalysisError(f"{path}: {name!r} must be a table")
    return table


def _are_words(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
