"""Known vulnerabilities, where a database of them can be reached. A package that the database does not know was not
looked at: `pip-audit` passes it over and ends with 0, and so could end with 0 having looked at nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.audit.extension import EXTENSION
from tests.audit.packages import ROOT
from tests.findings import Finding
from tests.package.rows import NotHere, row
from tests.package.tools import PIP_AUDIT, run, tool

EXPLAINED: Mapping[str, str] = {}
"""Vulnerabilities that do not concern aix-lsp, by their id, each with the reason."""

PATIENCE_S = 300.0


def rows() -> Iterator[Finding]:
    """One row for each database."""
    for service in ("pypi", "osv"):
        yield row(f"vulnerabilities: pip-audit, {service}", lambda service=service: python(service))  # type: ignore[misc]
    yield row("vulnerabilities: npm audit", npm)


def python(service: str) -> str:
    """pip-audit over constraints.txt."""
    program = tool("pip-audit", PIP_AUDIT)
    words = ["-r", "constraints.txt", "--no-deps", "--disable-pip", "-f", "json", "--timeout", "15", "-s", service]
    ended = run([program, *words, "--progress-spinner", "off"], cwd=ROOT, timeout=PATIENCE_S, check=False)
    would = f"would run: pip-audit {' '.join(words)}"
    try:
        found = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise NotHere(f"the database {service} cannot be reached; {would}") from None
    return judged(found, would)


def judged(packages: list[dict[str, Any]], would: str) -> str:
    """What pip-audit's report comes to. Raises NotHere where it looked at nothing, AssertionError for what it found."""
    looked_at = [one for one in packages if "skip_reason" not in one]
    unknown = [str(one["name"]) for one in packages if "skip_reason" in one]
    if not looked_at:
        raise NotHere(f"the database knows none of {len(unknown)} packages; {would}")
    found = {
        f"{one['name']} {one['version']}: {flaw['id']}"
        for one in looked_at
        for flaw in one["vulns"]
        if flaw["id"] not in EXPLAINED
    }
    assert not found, "; ".join(sorted(found))
    more = f"; not known to it: {', '.join(unknown[:3])} and more, {len(unknown)} in all" if unknown else ""
    return f"{len(looked_at)} packages, none known{more}"


def npm() -> str:
    """`npm audit` over the extension's lock file, in a copy, so that nothing is written here."""
    program = shutil.which("npm")
    if program is None:
        raise NotHere("there is no npm here; would run: npm audit --package-lock-only in editors/vscode")
    with tempfile.TemporaryDirectory(prefix="aix-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(EXTENSION / name, folder)
        words = [program, "audit", "--package-lock-only", "--json", "--fetch-retries=1", "--fetch-timeout=30000"]
        ended = run(words, cwd=Path(folder), env=dict(os.environ), timeout=PATIENCE_S, check=False)
    try:
        return judged_npm(json.loads(ended.stdout))
    except ValueError:
        raise NotHere("npm audit cannot be asked here; would run it in editors/vscode") from None


def judged_npm(report: dict[str, Any]) -> str:
    """What npm's report comes to."""
    if "vulnerabilities" not in report:
        raise NotHere("the registry answers no audits here; would run: npm audit --package-lock-only in editors/vscode")
    found = {f"{name} ({flaw['severity']})" for name, flaw in report["vulnerabilities"].items()}
    assert not found, ", ".join(sorted(found))
    return f"{report['metadata']['dependencies']['total']} packages, none known"
