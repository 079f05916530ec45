"""VS Code as code-server, with Node.js, playwright-core and a browser: npm packages by name.

No package runs scripts of its own: what they would build (log files, proxies with Kerberos, search) no test needs, so
neither a compiler nor headers have to be there.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.editors.install.chromium import browser
from tests.editors.install.place import Editor, NotInstalledError, command, installed, say

CODE_SERVER = "4.139.1"
PLAYWRIGHT = "1.65.1"
NODE = "24.21.0"
"""code-server wants exactly this major version."""

_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeServer(Editor):
    """VS Code for a browser, and what drives it."""

    node: str
    modules: Path
    """The folder in which playwright-core is found."""
    browser: str


def install() -> CodeServer:
    """Raises NotInstalledError."""
    machine = _MACHINES.get(platform.machine().lower())
    if platform.system() != "Linux" or machine is None:
        raise NotInstalledError(f"is taken from npm for Linux on x64 and arm64 only, not {platform.platform()}")
    if shutil.which("npm") is None:
        raise NotInstalledError("needs npm, which is not on this machine")
    packages = (f"code-server@{CODE_SERVER}", f"playwright-core@{PLAYWRIGHT}", f"node-linux-{machine}@{NODE}")
    chromium = browser()
    folder = installed("vscode", " ".join(packages), lambda folder: _install(folder, packages))
    node = folder / "node_modules" / f"node-linux-{machine}" / "bin" / "node"
    entry = folder / "node_modules" / "code-server" / "out" / "node" / "entry.js"
    return CodeServer(
        name="vscode",
        version=CODE_SERVER,
        command=(str(node), str(entry)),
        node=str(node),
        modules=folder,
        browser=chromium,
    )


def _install(folder: Path, packages: tuple[str, ...]) -> None:
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    cache = folder / "npm"
    say(f"  npm install {' '.join(packages)}")
    _npm(folder, cache, *packages)
    code = folder / "node_modules" / "code-server" / "lib" / "vscode"
    for part, what in ((code, "what VS Code depends on"), (code / "extensions", "what its own extensions depend on")):
        say(f"  npm install: {what}")
        _npm(part, cache)
    shutil.rmtree(cache, ignore_errors=True)


def _npm(folder: Path, cache: Path, *packages: str) -> None:
    options = ("--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", f"--cache={cache}", "--logs-max=0")
    patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=2000")
    environment = {**os.environ, "npm_config_loglevel": "error", "npm_config_update_notifier": "false"}
    try:
        command(["npm", "install", *options, *patience, *packages], seconds=_SECONDS, cwd=folder, env=environment)
    except NotInstalledError as error:
        # what npm prints last is advice, not the reason
        raise NotInstalledError("npm could not install what it needs; is the package registry reachable?") from error
