"""What the extension for VS Code is built from: editors/vscode/package-lock.json."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.audit.packages import ROOT
from tests.findings import Finding
from tests.package.rows import row

EXTENSION = ROOT / "editors" / "vscode"
PREFIX = "node_modules/"


def locked() -> dict[str, dict[str, Any]]:
    """Packages of the lock file by their places in node_modules."""
    data = json.loads((EXTENSION / "package-lock.json").read_text("utf-8"))
    return {place: package for place, package in data["packages"].items() if place}


def bundled(packages: Mapping[str, dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """The packages that esbuild puts into the extension: what its sources import, and what that depends on."""
    packages = locked() if packages is None else packages
    sources = "\n".join(path.read_text("utf-8") for path in (EXTENSION / "src").glob("*.ts"))
    names = {name for name in re.findall(r'from "([^".]+)"', sources) if not name.startswith("node:")} - {"vscode"}
    roots = {"/".join(name.split("/")[: 2 if name.startswith("@") else 1]) for name in names}
    found: dict[str, dict[str, Any]] = {}
    waiting = [(PREFIX + name, name) for name in roots]
    while waiting:
        place, name = waiting.pop()
        if name in found:
            continue
        found[name] = packages[place]
        waiting += [(_place(place, inner, packages), inner) for inner in packages[place].get("dependencies", {})]
    return found


def _place(importer: str, name: str, packages: Mapping[str, Any]) -> str:
    """Where node finds a package that another imports: in its own node_modules, then in those above."""
    folder = importer
    while folder:
        if f"{folder}/{PREFIX}{name}" in packages:
            return f"{folder}/{PREFIX}{name}"
        folder = folder.rpartition(f"/{PREFIX}")[0] if f"/{PREFIX}" in folder else ""
    return PREFIX + name


def rows() -> Iterator[Finding]:
    """Checksums and licences."""
    yield row("extension: the lock file has a checksum for each package", lambda: checksums(locked()))
    yield row("extension: licences of what is bundled", lambda: licences(bundled()))


def checksums(packages: Mapping[str, dict[str, Any]]) -> str:
    """SHA-512 for each; raises AssertionError with those that have none."""
    weak = [place for place, package in packages.items() if not str(package.get("integrity")).startswith("sha512-")]
    assert not weak, f"no SHA-512: {', '.join(weak[:5])}"
    return f"{len(packages)} packages, all for building; {len(bundled())} of them are in the extension"


def licences(packages: Mapping[str, dict[str, Any]]) -> str:
    """Licences that ask for no more than their text, which the extension carries (esbuild.mjs)."""
    permissive = {"MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "BlueOak-1.0.0", "0BSD"}
    other = [f"{name} ({one.get('license')})" for name, one in packages.items() if one.get("license") not in permissive]
    assert not other, f"not permissive: {', '.join(other)}"
    return ", ".join(
        f"{count} {licence}" for licence, count in Counter(one["license"] for one in packages.values()).items()
    )
