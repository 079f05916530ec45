"""code-server with settings and extensions of the test's own, on this machine only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.editors.install.vscode import CodeServer
from tests.editors.vscode.browser import Browser, Window
from tests.editors.vscode.waiting import until

MARK = "AIX_TEST_WORKBENCH"
"""A variable that all processes of a workbench have in their environment, whoever started them."""

QUIET: dict[str, Any] = {
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "extensions.ignoreRecommendations": True,
    "workbench.enableExperiments": False,
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "workbench.welcomePage.walkthroughs.openOnInstall": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.colorTheme": "Default Dark Modern",
    "chat.disableAIFeatures": True,
    "security.workspace.trust.enabled": False,
    # what else would offer something while the tests type
    "editor.quickSuggestions": {"other": "off"},
    "editor.parameterHints.enabled": False,
    "git.enabled": False,
    # saved exactly as typed
    "files.autoSave": "off",
}

KEYS = {
    "Control+Alt+1": "aix-lsp.trigger",
    "Control+Alt+2": "aix-lsp.acceptWord",
    "Control+Alt+3": "aix-lsp.toggle",
    "Control+Alt+4": "workbench.action.files.revert",
    "Control+Alt+5": "notifications.clearAll",
    "Control+Alt+6": "workbench.action.toggleSidebarVisibility",
}
TRIGGER, ACCEPT_WORD, TOGGLE, REVERT, CLEAR_NOTIFICATIONS, TOGGLE_SIDEBAR = KEYS


@dataclass(frozen=True, slots=True)
class Workbench:
    """A running code-server."""

    browser: Browser
    address: str
    mark: str
    process: subprocess.Popen[bytes]
    data: Path
    """Its settings and what its extensions keep."""

    def open(self, folder: Path, file: Path, size: tuple[int, int, float] = (1200, 600, 1)) -> Window:
        """A new window with the file open."""
        return Window(self.browser, self.address, folder, file, size)

    def processes(self) -> list[psutil.Process]:
        """All processes that came from it, directly or not, and still run."""
        return _marked(self.mark)

    def servers(self) -> list[psutil.Process]:
        """The language servers."""
        return [process for process in self.processes() if {"aix_lsp", "serve"} <= set(_words(process))]


@contextmanager
def workbench(
    editor: CodeServer,
    browser: Browser,
    folder: Path,
    environment: Mapping[str, str],
    extension: Path,
    settings: Mapping[str, Any],
) -> Iterator[Workbench]:
    """Start code-server with one extension (a .vsix); with the context ends everything that came from it.

    `folder` must have a short path, for sockets. `settings` are the user's, besides QUIET.
    """
    mark = uuid.uuid4().hex
    data = folder / "data"
    (data / "User").mkdir(parents=True)
    (data / "Machine").mkdir()
    merged = json.dumps({**QUIET, **settings})
    # of the options that belong to a machine VS Code reads the second file, where windows and files are on two machines
    (data / "User" / "settings.json").write_text(merged, encoding="utf-8")
    (data / "Machine" / "settings.json").write_text(merged, encoding="utf-8")
    keys = [{"key": key.lower().replace("control", "ctrl"), "command": command} for key, command in KEYS.items()]
    (data / "User" / "keybindings.json").write_text(json.dumps(keys), encoding="utf-8")
    own = {**environment, MARK: mark, "EXTENSIONS_GALLERY": "{}", "TMPDIR": str(folder)}
    common = [*editor.command, f"--user-data-dir={data}", f"--extensions-dir={folder / 'extensions'}"]
    options = ("--auth=none", "--bind-addr=127.0.0.1:0", "--disable-telemetry", "--disable-update-check")
    log = folder / "code-server.log"
    installed = subprocess.run(
        [*common, "--install-extension", str(extension)], env=own, capture_output=True, text=True, timeout=300
    )
    assert "successfully installed" in installed.stdout, installed.stdout + installed.stderr
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*common, *options, "--reconnection-grace-time=1"],
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        listening = until(
            lambda: re.search(r"listening on http://([\w.]+:\d+)", log.read_text(errors="replace")), "code-server"
        )
        yield Workbench(browser, listening[1], mark, process, data)
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(20)
        for left in _marked(mark):
            with suppress(psutil.Error):
                left.kill()
        process.kill()
        process.wait()


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """The process stands still within the context."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
