"""Known vulnerabilities, where a database of them can be reached. A package that the database does not know was not
looked at: `pip-audit` passes it over and ends with 0, and so could end with 0 having looked at nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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

UNREACHABLE = re.compile("Connect|Resolution|Timeout|SSL|Proxy|HTTPError|ServiceError")
"""Names of the errors of requests, urllib3 and pip-audit that say that a database does not answer."""

NPM_BY_HAND = "npm audit --package-lock-only in editors/vscode"


def rows() -> Iterator[Finding]:
    """One row for each database."""
    for service in ("pypi", "osv"):
        yield row(f"vulnerabilities: pip-audit, {service}", lambda service=service: python(service))  # type: ignore[misc]
    yield row("vulnerabilities: npm audit", npm)


def python(service: str) -> str:
    """pip-audit over constraints.txt."""
    program = tool("pip-audit", PIP_AUDIT)
    words = ["-r", "constraints.txt", "--no-deps", "--disable-pip", "-f", "json", "--timeout", "15", "-s", service]
    by_hand = f"pip-audit {' '.join(words)}"
    ended = asked([program, *words, "--progress-spinner", "off"], ROOT, by_hand)
    try:
        found = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise why_nothing(service, ended.stderr, by_hand) from None
    return judged(service, found, by_hand)


def asked(command: Sequence[str | Path], folder: Path, by_hand: str) -> subprocess.CompletedProcess[str]:
    """What a program said that asks a database. Raises NotHere where that takes too long."""
    try:
        return run(command, cwd=folder, env=dict(os.environ), timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotHere(f"not looked at: no answer within {PATIENCE_S:.0f} s; on another machine: {by_hand}") from None


def why_nothing(service: str, said: str, by_hand: str) -> Exception:
    """What to raise where pip-audit reports nothing: only a database that does not answer may pass for one."""
    last = (said.strip().splitlines() or ["it says nothing"])[-1]
    if UNREACHABLE.search(last):
        return NotHere(f"not looked at: {service} cannot be reached from here; on another machine: {by_hand}")
    return AssertionError(f"pip-audit does not work: {last}")


def judged(service: str, packages: list[dict[str, Any]], by_hand: str) -> str:
    """What pip-audit's report comes to. Raises AssertionError for what it found, NotHere where the database did not
    know most of the packages."""
    looked_at = [one for one in packages if "skip_reason" not in one]
    unknown = [str(one["name"]) for one in packages if "skip_reason" in one]
    found = {
        f"{one['name']} {one['version']}: {flaw['id']}"
        for one in looked_at
        for flaw in one["vulns"]
        if flaw["id"] not in EXPLAINED
    }
    assert not found, "; ".join(sorted(found))
    if len(unknown) >= len(looked_at):
        raise NotHere(
            f"not looked at: what answers here for {service} knows {len(looked_at)} of {len(packages)} packages; "
            f"on another machine: {by_hand}"
        )
    more = f"; not known to it: {', '.join(unknown[:3])}{' ...' * (len(unknown) > 3)}" if unknown else ""
    return f"{len(looked_at)} packages, none has a known one{more}"


def npm() -> str:
    """`npm audit` over the extension's lock file, in a copy, so that nothing is written here."""
    program = shutil.which("npm")
    if program is None:
        raise NotHere(f"not looked at: there is no npm here; on another machine: {NPM_BY_HAND}")
    with tempfile.TemporaryDirectory(prefix="aix-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(EXTENSION / name, folder)
        words = [program, "audit", "--package-lock-only", "--json", "--fetch-retries=1", "--fetch-timeout=30000"]
        ended = asked(words, Path(folder), NPM_BY_HAND)
    try:
        return judged_npm(json.loads(ended.stdout))
    except ValueError:
        last = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise AssertionError(f"npm audit does not work: {last}") from None


def judged_npm(report: dict[str, Any]) -> str:
    """What npm's report comes to."""
    if "vulnerabilities" not in report:
        raise NotHere(
            f"not looked at: the registry that npm asks here answers no audits; on another machine: {NPM_BY_HAND}"
        )
    found = {f"{name} ({flaw['severity']})" for name, flaw in report["vulnerabilities"].items()}
    assert not found, ", ".join(sorted(found))
    return f"{report['metadata']['dependencies']['total']} packages, none has a known one"
