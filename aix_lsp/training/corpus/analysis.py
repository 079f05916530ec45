"""Static analysis: files with patterns that a model should not learn are left out.

ruff checks Python (its rules E9, F, B and S come from pycodestyle, Pyflakes, flake8-bugbear and Bandit); any program
can check another language. Which rule weighs how much is data (`analysis_rules.py`).
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from aix_lsp.training.corpus.analysis_rules import AnalysisError, LanguageRules, Rules, Severity, load_rules
from aix_lsp.training.corpus.records import SourceFile

_TOO_MANY: Final = "too many lighter findings"
_BATCH: Final = 2_000
_TIMEOUT_S: Final = 900
_SYNTAX_ERROR: Final = "E999"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker found at a line (1-based). `why` says in a few words what a rule of severity "drop" stands for."""

    rule: str
    line: int
    severity: Severity
    why: str = ""


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
