"""The notes of a release, and whether everything names one version: that of `aix_lsp/__init__.py`.

    python docs/release.py              what CHANGELOG.md says of the version that this checkout is
    python docs/release.py 0.1.0        the same, and fails unless it is that version, with the date of its release

Exit code 1, with a line for each, where versions disagree. A release: set `__version__`, give `[Unreleased]` in
CHANGELOG.md the version and the day (`## [0.1.0] - 2026-11-30`), a heading in editors/vscode/CHANGELOG.md, the
header of editors/emacs/aix-lsp.el, and run `make documents` (the demo's picture names the version).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNRELEASED = "Unreleased"
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def version(root: Path = ROOT) -> str:
    """The version, from its one home. Raises ValueError where it is not of the form 1.2.3."""
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', _read(root, "aix_lsp/__init__.py"), re.MULTILINE)
    if found is None:
        raise ValueError("aix_lsp/__init__.py has no version of the form 1.2.3")
    return found[1]


def disagreements(root: Path = ROOT) -> list[str]:
    """One line for each place that names another version."""
    now = version(root)
    package = json.loads(_read(root, "editors/vscode/package.json"))["version"]
    said = {
        "editors/emacs/aix-lsp.el": _first(r"^;; Version: (\S+)$", _read(root, "editors/emacs/aix-lsp.el")),
        "editors/vscode/CHANGELOG.md": _first(r"^## (\S+)", _read(root, "editors/vscode/CHANGELOG.md")),
        "docs/demo.svg": _first(r"aix-lsp&#160;([\d.]+):", _read(root, "docs/demo.svg")),
        "CHANGELOG.md": _newest(root) or now,
    }
    lines = [f"{path} says {other or 'no version'}, and this is {now}" for path, other in said.items() if other != now]
    if package != "0.0.0":
        lines.append(f"editors/vscode/package.json says {package}: package_vsix.py writes the version, it keeps 0.0.0")
    return lines


def notes(root: Path = ROOT, wanted: str = "") -> str:
    """What CHANGELOG.md says of a version; without `wanted` of this checkout's, which may not be released yet. Raises
    ValueError where there is nothing."""
    text = _read(root, "CHANGELOG.md")
    headings = list(HEADING.finditer(text))
    named = {found["version"]: number for number, found in enumerate(headings)}
    number = named.get(wanted or version(root), None if wanted else named.get(UNRELEASED))
    if number is None:
        raise ValueError(f"CHANGELOG.md has no heading for {wanted or version(root)}")
    found = headings[number]
    if wanted and not found["day"]:
        raise ValueError(f"CHANGELOG.md does not say when {wanted} was released: ## [{wanted}] - YYYY-MM-DD")
    end = headings[number + 1].start() if number + 1 < len(headings) else len(text)
    body = text[found.end() : end].strip()
    if not body:
        raise ValueError(f"CHANGELOG.md says nothing of {found['version']}")
    return f"{body}\n"


def _newest(root: Path) -> str:
    """The newest version that CHANGELOG.md names; "" where nothing was released."""
    named = [found["version"] for found in HEADING.finditer(_read(root, "CHANGELOG.md"))]
    return next((name for name in named if name != UNRELEASED), "")


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found is not None else ""


def _read(root: Path, path: str) -> str:
    return (root / path).read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the notes, or what is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    wrong = disagreements()
    if given and given[0] != version():
        wrong.insert(0, f"aix_lsp/__init__.py says {version()}, not {given[0]}")
    try:
        text = notes(ROOT, given[0] if given else "")
    except ValueError as error:
        wrong.append(str(error))
    if wrong:
        sys.stderr.write("".join(f"{line}\n" for line in wrong))
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
