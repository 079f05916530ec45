"""Static analysis: files with patterns that a model should not learn are left out.

ruff checks Python (its rules E9, F, B and S come from pycodestyle, Pyflakes, flake8-bugbear and Bandit); any program
can check another language. Which rule weighs how much is data: `analysis.toml`, and a file of the user's over it.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeGuard

from .records import SourceFile

Severity = Literal["drop", "light", "ignore"]

_SEVERITIES: Final = ("drop", "light", "ignore")
_TOO_MANY: Final = "too many lighter findings"
_BATCH: Final = 2_000
_TIMEOUT_S: Final = 900
_SYNTAX_ERROR: Final = "E999"


class AnalysisError(ValueError):
    """Rules that cannot be read, or a checker that did not do its work. One line for a person."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker found at a line (1-based). `why` says in a few words what a rule of severity "drop" stands for."""

    rule: str
    line: int
    severity: Severity
    why: str = ""


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


class Analyser:
    """Checks files in batches and says which are to be left out."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or load_rules()

    @property
    def languages(self) -> frozenset[str]:
        """The languages that are checked; files of others pass."""
        return frozenset(self._rules.languages)

    def check(self, files: Sequence[SourceFile]) -> dict[str, list[Finding]]:
        """The findings of every file of a language that is checked, by path, in order of their lines.

        The files are those of one project: paths must differ. Raises AnalysisError when a checker is missing, fails,
        takes longer than 15 minutes for 2,000 files, or prints what is not a finding.
        """
        found: dict[str, list[Finding]] = {}
        for name, rules in self._rules.languages.items():
            mine = [file for file in files if file.language == name]
            for file in mine:
                if file.path in found:
                    raise AnalysisError(f"{file.path}: given twice; check one project at a time")
                found[file.path] = []
            for start in range(0, len(mine), _BATCH):
                batch = mine[start : start + _BATCH]
                for index, rule, line in _run(rules, name, batch):
                    severity = rules.severity(rule)
                    if severity != "ignore":
                        why = rules.why.get(rule, "") if severity == "drop" else ""
                        found[batch[index].path].append(Finding(rule, line, severity, why))
        for findings in found.values():
            findings.sort(key=lambda finding: (finding.line, finding.rule))
        return found

    def reason(self, findings: Sequence[Finding], lines: int) -> str | None:
        """Why a file of so many lines is to be left out, None if it stays.

        The first finding that drops a file, as "RULE: what it stands for"; or too many of the lighter ones, counted
        against the length of the file.
        """
        for finding in findings:
            if finding.severity == "drop":
                return f"{finding.rule}: {finding.why}" if finding.why else finding.rule
        light = sum(finding.severity == "light" for finding in findings)
        most = max(self._rules.light_per_100_lines * lines / 100, self._rules.light_at_least)
        return _TOO_MANY if light > most else None


def _run(rules: LanguageRules, language: str, files: Sequence[SourceFile]) -> Iterator[tuple[int, str, int]]:
    """(index of the file, rule, line) for each finding in these files, which are written to a folder of their own.

    Every file lies in a folder with its number and keeps its name where that is plain, because some rules ask for it
    (`__init__.py`), while folders called `build` or `venv` would be passed over.
    """
    with tempfile.TemporaryDirectory(prefix="aix-lsp-") as name:
        folder = Path(name).resolve()
        paths: list[str] = []
        for index, file in enumerate(files):
            base = PurePosixPath(file.path)
            plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}", base.name)
            ending = base.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,10}", base.suffix) else ""
            paths.append(f"{index:06d}/{base.name if plain else 'file' + ending}")
            (folder / f"{index:06d}").mkdir()
            folder.joinpath(paths[-1]).write_text(file.text, encoding="utf-8", errors="replace", newline="")
        if rules.command:
            yield from _command_findings(rules.command, language, folder, paths)
        else:
            yield from _ruff_findings(rules, folder)


def _ruff_findings(rules: LanguageRules, folder: Path) -> Iterator[tuple[int, str, int]]:
    # The newest syntax, so that no file is refused for being modern; `noqa` counts: somebody has looked.
    select = sorted({family for family, severity in rules.families.items() if severity != "ignore"} | _codes(rules))
    ignore = sorted(rule for rule, severity in rules.severities.items() if severity == "ignore")
    command = (
        *(_ruff(), "check", "--isolated", "--no-cache", "--exit-zero", "--quiet", "--output-format", "json-lines"),
        *("--target-version", "py314", "--select", ",".join(select)),
        *(("--ignore", ",".join(ignore)) if ignore else ()),
        ".",
    )
    for line in _lines_of(command, "ruff", folder, ""):
        found = json.loads(line)
        path = Path(found["filename"])
        rule = _SYNTAX_ERROR if found["code"] in (None, "invalid-syntax") else str(found["code"])
        yield int(path.parent.name), rule, int(found["location"]["row"])


def _codes(rules: LanguageRules) -> set[str]:
    """Single rules that are no part of a family; E999 is ruff's own syntax error, which needs no asking for."""
    families = tuple(rules.families)
    wanted = {rule for rule, severity in rules.severities.items() if severity != "ignore"}
    return {rule for rule in wanted - {_SYNTAX_ERROR} if not rule.startswith(families)}


def _ruff() -> str:
    try:
        return str(importlib.import_module("ruff").find_ruff_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
        if found is None:
            raise AnalysisError("ruff is not installed: pip install 'aix-lsp[train]'") from None
        return found


def _command_findings(
    command: Sequence[str], language: str, folder: Path, paths: Sequence[str]
) -> Iterator[tuple[int, str, int]]:
    numbers = {path: index for index, path in enumerate(paths)}
    for line in _lines_of(command, f"the checker for {language} ({command[0]})", folder, "\n".join(paths) + "\n"):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            rule, row, path = found["rule"], found["line"], found["path"]
        except (ValueError, KeyError, TypeError):
            rule = row = path = None
        if not isinstance(rule, str) or not isinstance(row, int) or path not in numbers:
            raise AnalysisError(
                f'the checker for {language} printed {line[:80]!r} instead of {{"path": …, "rule": …, "line": …}}'
            )
        yield numbers[path], rule, row


def _lines_of(command: Sequence[str], name: str, folder: Path, given: str) -> list[str]:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
        )
    except OSError as error:
        raise AnalysisError(f"{name} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise AnalysisError(f"{name} took longer than {_TIMEOUT_S // 60} minutes") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise AnalysisError(f"{name} failed with {done.returncode}" + (f": {said[-1][:200]}" if said else ""))
    return done.stdout.splitlines()
