"""Packs the extension with the server that it installs: `make vscode` runs this after `npm ci`.

    python editors/vscode/package_vsix.py

Everything that goes into the package is put together in build/vscode, so that the source tree stays as it is. The
version is the server's: package.json has none of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STAGE = ROOT / "build" / "vscode"
FILES = ("README.md", "CHANGELOG.md", ".vscodeignore", "media/icon.png", "walkthrough", "dist")


def version() -> str:
    """The server's version, which is the extension's too."""
    text = (ROOT / "aix_lsp" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("aix_lsp/__init__.py has no version of the form 1.2.3, which VS Code asks for")
    return found[1]


def manifest() -> dict[str, Any]:
    """package.json as it is packed: with the version, without what only building needs."""
    data: dict[str, Any] = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    data["version"] = version()
    for name in ("scripts", "devDependencies", "private"):
        data.pop(name, None)
    return data


def stage() -> None:
    """Put the package's contents together, but for the server."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    (STAGE / "package.json").write_text(json.dumps(manifest(), indent=2, ensure_ascii=False), encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", STAGE)
    for name in FILES:
        source, target = HERE / name, STAGE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)


def add_server() -> None:
    """The server's wheel, and the versions of its dependencies that were tested."""
    folder = STAGE / "server"
    folder.mkdir()
    shutil.copy(ROOT / "constraints.txt", folder)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)


def main() -> None:
    """Build, stage, pack."""
    if not (HERE / "node_modules").is_dir():
        raise SystemExit("run `npm ci` in editors/vscode first, or `make vscode`")
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("the extension is built with Node.js 20 or later, and there is no npm here")
    subprocess.run([npm, "run", "--silent", "build"], cwd=HERE, check=True)
    stage()
    add_server()
    target = ROOT / "dist" / f"aix-lsp-vscode-{version()}.vsix"
    target.parent.mkdir(exist_ok=True)
    node = shutil.which("node") or "node"
    vsce = HERE / "node_modules" / "@vscode" / "vsce" / "vsce"
    options = ["--no-dependencies", "--allow-missing-repository", "--no-rewrite-relative-links", "--out", str(target)]
    subprocess.run([node, str(vsce), "package", *options], cwd=STAGE, check=True)
    sys.stdout.write(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
