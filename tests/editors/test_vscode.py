"""VS Code with the extension, the real server and the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from aix_lsp.completion.statistics import read_totals
from tests.e2e.conftest import INVOICE, environment_in, workspace_in
from tests.editors.conftest import SERVER, editor_or_skip
from tests.editors.install.place import NotInstalledError, command
from tests.editors.install.vscode import CodeServer
from tests.editors.vscode.browser import Browser, Window, browser
from tests.editors.vscode.waiting import until
from tests.editors.vscode.workbench import (
    ACCEPT_WORD,
    CLEAR_NOTIFICATIONS,
    REVERT,
    TOGGLE,
    TOGGLE_SIDEBAR,
    TRIGGER,
    Workbench,
    stopped,
    workbench,
)

pytestmark = pytest.mark.editor

ROOT = Path(__file__).parents[2]
SERVER_OPTIONS: dict[str, Any] = {"aix.serverPath": SERVER[0], "aix.serverArguments": list(SERVER[1:])}

SCENE = f'''{INVOICE}total(amounts), percent)


def discounted_total(amounts: list[float], percent: float) -> float:
    """The total of an invoice with a seasonal rebate."""
    return apply'''
OFFER = "seasonal_rebate("
"""How the offer begins behind the `_` that the tests type."""

PICTURE = os.environ.get("AIX_SCREENSHOT", "")
INSTALL_SECONDS = 3000.0
"""For PyTorch over a slow network."""

StartWorkbench = Callable[[dict[str, Any]], AbstractContextManager[Workbench]]


@pytest.fixture(scope="module")
def editor() -> CodeServer:
    found = editor_or_skip("vscode")
    assert isinstance(found, CodeServer)
    return found


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of everything: nothing of the developer's but what reaches package indexes."""
    pip = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "pip" / "pip.conf"
    variables = environment_in(tmp_path_factory.mktemp("vscode"))
    if pip.is_file():
        variables.setdefault("PIP_CONFIG_FILE", str(pip))
    folders = variables.get("PATH", "").split(os.pathsep)
    # a server that is installed here already must not be found in place of the one under test
    variables["PATH"] = os.pathsep.join(folder for folder in folders if not (Path(folder) / "aix-lsp").exists())
    return {**variables, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def extension(editor: CodeServer) -> Path:
    """The .vsix of this repository as it is now, or the one that AIX_TEST_VSIX names."""
    if named := os.environ.get("AIX_TEST_VSIX"):
        return Path(named)
    # with the installation that runs the tests, and the Node.js that was installed for them
    venv = Path(sys.prefix)
    options = ("-o", str(venv / ".aix-installed"), f"VENV={venv}")
    path = os.pathsep.join([str(Path(editor.node).parent), os.environ.get("PATH", "")])
    try:
        command(["make", "vscode", *options], seconds=1800, cwd=ROOT, env={**os.environ, "PATH": path})
    except NotInstalledError as error:
        pytest.fail(f"make vscode: {error}")
    return max((ROOT / "dist").glob("*.vsix"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def drive(editor: CodeServer, variables: dict[str, str]) -> Iterator[Browser]:
    with browser(editor, variables) as drive:
        yield drive


@pytest.fixture(scope="module")
def start(editor: CodeServer, variables: dict[str, str], extension: Path, drive: Browser) -> StartWorkbench:
    """Start a code-server with the user's settings."""

    @contextmanager
    def start_workbench(settings: dict[str, Any]) -> Iterator[Workbench]:
        folder = Path(tempfile.mkdtemp(prefix="aix-"))
        try:
            with workbench(editor, drive, folder, variables, extension, settings) as running:
                yield running
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return start_workbench


@pytest.fixture(scope="module")
def code(start: StartWorkbench) -> Iterator[Workbench]:
    """A code-server for all tests that use the server of this repository."""
    with start(SERVER_OPTIONS) as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace_in(tmp_path_factory.mktemp("project"))


@dataclass
class Shared:
    """The window that tests share, as a start takes long; one that closed it leaves the next to open another."""

    code: Workbench
    project: Path
    window: Window | None = None
    opened: int = 0

    def show(self, text: str) -> Window:
        """The window with this text in the file, the cursor at its end, and the server ready."""
        self.opened += 1
        # other text each time, so that nothing is answered from what a test before has asked
        text = text.replace("Invoices.", f"Invoices {self.opened}.", 1)
        file = self.project / "shop" / "invoice.py"
        file.write_bytes(text.encode())
        if self.window is None:
            self.window = self.code.open(self.project, file)
        else:
            self.window.press("Escape", REVERT)
        self.window.focus()
        self.window.wait_for_status("ready")
        self.window.forget()
        self.window.text = text
        return self.window

    def close(self) -> None:
        """Close it."""
        if self.window is not None:
            self.window.close()
            self.window = None


@pytest.fixture(scope="module")
def shared(code: Workbench, project: Path) -> Iterator[Shared]:
    shared = Shared(code, project)
    yield shared
    shared.close()


def server_of(code: Workbench) -> psutil.Process:
    (server,) = until(code.servers, "a server")
    return server


def written(process: psutil.Process) -> int:
    """How many bytes it has written, answers among them."""
    return int(process.io_counters().write_chars)


def is_over(process: psutil.Process) -> bool:
    """Whether a process has ended, waited for or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_an_offer_is_seen_and_tab_takes_it(shared: Shared) -> None:
    window = shared.show(SCENE)
    window.type("_")
    ghost = window.wait_for_ghost(OFFER)
    window.press("Tab")
    assert window.save().decode() == f"{window.text}_{ghost}"


def test_an_offer_shrinks_without_a_flicker_while_it_is_typed(shared: Shared) -> None:
    window = shared.show(SCENE)
    window.type("_")
    ghost = window.wait_for_ghost(OFFER)
    window.forget()
    for typed in range(1, 9):
        window.type(ghost[typed - 1])
        window.wait_for_ghost(ghost[typed:])
    assert window.ghosts() == [ghost[typed:] for typed in range(9)]
    window.press("Tab")
    assert window.save().decode() == f"{window.text}_{ghost}"


def test_a_word_of_an_offer_is_taken(shared: Shared) -> None:
    window = shared.show(SCENE)
    window.type("_")
    ghost = window.wait_for_ghost(OFFER)
    window.press(ACCEPT_WORD)
    word = OFFER.removesuffix("(")
    until(lambda: window.ghost() == ghost.removeprefix(word), "what is left of the offer", instead=window.seen)
    assert window.save().decode() == f"{window.text}_{word}"


def test_a_key_asks_for_an_offer_where_nothing_was_typed(shared: Shared) -> None:
    window = shared.show(f"{SCENE}_")
    assert window.ghost() == ""
    window.press(TRIGGER)
    ghost = window.wait_for_ghost(OFFER)
    window.press("Tab")
    assert window.save().decode() == f"{window.text}{ghost}"


def test_an_offer_fits_behind_emoji_and_cjk(shared: Shared) -> None:
    window = shared.show(SCENE.replace("return apply", 'return {"合計 🧾": apply'))
    window.type("_")
    ghost = window.wait_for_ghost(OFFER)
    window.type(ghost[0])
    window.wait_for_ghost(ghost[1:])
    window.press("Tab")
    assert window.save().decode() == f"{window.text}_{ghost}"


def test_a_file_with_windows_line_ends_keeps_them(shared: Shared) -> None:
    window = shared.show(SCENE.replace("\n", "\r\n"))
    window.type("_")
    ghost = window.wait_for_ghost(OFFER)
    window.press("Tab")
    window.press("Enter")
    saved = window.save().decode()
    assert saved.rstrip() == f"{window.text}_{ghost}"
    assert saved.count("\n") == saved.count("\r\n") == window.text.count("\n") + 1


def test_an_answer_that_comes_late_is_not_shown(shared: Shared) -> None:
    window = shared.show(SCENE)
    with stopped(server_of(shared.code)):
        window.type("_")
        window.press("Control+Home", "End", "Enter")
        window.type("import o")
        window.forget()
    # the server answers in order: once this is answered, so is what was asked before
    window.press("Control+End", "Backspace")
    window.type("_")
    window.wait_for_ghost(OFFER)
    seen = window.ghosts()
    assert [ghost for ghost in seen if ghost.startswith(OFFER)] == seen[-1:]


def test_completions_are_switched_off_and_on(shared: Shared) -> None:
    window = shared.show(SCENE)
    server = server_of(shared.code)
    window.press(TOGGLE)
    window.wait_for_status("off")
    asked: list[Callable[[], None]] = [lambda: window.type("_"), lambda: window.press(TRIGGER)]
    for ask in asked:
        before = written(server)
        ask()
        until(lambda before=before: written(server) > before, "an answer of the server")  # type: ignore[misc]
    window.press(TOGGLE)
    window.wait_for_status("ready")  # behind the answers
    assert window.ghosts() == [""]
    window.press("Backspace")  # what was answered for a place VS Code does not ask again
    window.type("_")
    window.wait_for_ghost(OFFER)


def test_a_server_that_was_killed_comes_back(shared: Shared) -> None:
    window = shared.show(SCENE)
    killed = server_of(shared.code)
    killed.kill()
    until(lambda: is_over(killed) and shared.code.servers(), "another server", instead=window.seen)
    window.wait_for_status("ready")
    window.type("_")
    ghost = window.wait_for_ghost(OFFER)
    window.press("Tab")
    assert window.save().decode() == f"{window.text}_{ghost}"


def test_what_was_taken_is_counted_and_no_server_outlives_its_window(shared: Shared, variables: dict[str, str]) -> None:
    counts = Path(variables["XDG_STATE_HOME"]) / "aix-lsp" / "statistics.jsonl"
    window = shared.show(SCENE)
    server = server_of(shared.code)
    before = read_totals(counts).get("accepted", 0)
    window.type("_")
    window.wait_for_ghost(OFFER)
    window.press("Tab")
    window.save()
    shared.close()
    until(lambda: is_over(server), "a server that ends with its window")
    assert shared.code.servers() == []
    assert read_totals(counts)["accepted"] > before


def test_no_server_outlives_an_editor_that_was_killed(shared: Shared) -> None:
    window = shared.show(SCENE)
    server = server_of(shared.code)
    (host,) = [process for process in server.parents() if "--type=extensionHost" in process.cmdline()]
    host.kill()
    until(lambda: is_over(server), "a server that ends with its editor", instead=window.seen)
    shared.close()


@pytest.mark.parametrize("is_trusted", [False, True], ids=["not trusted", "trusted"])
def test_a_workspace_names_neither_the_server_nor_where_code_is_sent(
    start: StartWorkbench, tmp_path: Path, is_trusted: bool
) -> None:
    root = workspace_in(tmp_path)
    ran = tmp_path / "ran"
    program = root / "server"
    program.write_text(f"#!/bin/sh\necho ran > {ran}\n")
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as listener, start({**SERVER_OPTIONS, **TRUST}) as code:
        listener.setblocking(False)
        settings = {
            "aix.serverPath": str(program),
            "aix.serverArguments": [],
            "aix.remote.url": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "aix.model.name": "remote",
        }
        (root / ".vscode").mkdir()
        (root / ".vscode" / "settings.json").write_text(json.dumps(settings))
        file = root / "shop" / "invoice.py"
        file.write_text(SCENE)
        window = code.open(root, file)
        if is_trusted:
            until(lambda: window.texts(".monaco-dialog-box .monaco-button"), "the question of trust")
            window.click(".monaco-dialog-box .monaco-button", "Yes")
        else:
            until(lambda: window.texts(".monaco-dialog-box .monaco-button"), "the question of trust")
            window.click(".monaco-dialog-box .monaco-button", "No")
        window.focus()
        window.wait_for_status("ready")
        window.type("_")
        window.wait_for_ghost(OFFER)
        assert server_of(code).cmdline()[1:] == list(SERVER[1:])
        with pytest.raises(BlockingIOError):
            listener.accept()
        window.close()
    assert not ran.exists()


TRUST = {"security.workspace.trust.enabled": True, "security.workspace.trust.startupPrompt": "always"}


def test_managed_installation_without_any_setting(start: StartWorkbench, tmp_path: Path) -> None:
    root = workspace_in(tmp_path)
    file = root / "shop" / "invoice.py"
    file.write_text(SCENE)
    with start({}) as code:
        window = code.open(root, file)
        until(lambda: window.texts(".notification-toast .monaco-button"), "the offer to install the server")
        window.click(".notification-toast .monaco-button", "Install")

        def installed() -> list[psutil.Process]:
            failed = [line for line in window.notifications() if "was not installed" in line]
            assert not failed, failed
            return code.servers()

        until(installed, "a server that was installed", INSTALL_SECONDS, instead=window.seen)
        (server,) = code.servers()
        assert Path(server.exe()).exists()
        assert str(code.data) in server.cmdline()[0]
        window.focus()
        window.wait_for_status("ready")
        window.type("_")
        ghost = window.wait_for_ghost(OFFER)
        window.press("Tab")
        assert window.save().decode() == f"{SCENE}_{ghost}"
        window.close()
        until(lambda: not code.servers(), "servers that end with their window")


@pytest.mark.skipif(not PICTURE, reason="AIX_SCREENSHOT names no file")
def test_picture(start: StartWorkbench, tmp_path: Path) -> None:
    look = {
        "editor.fontSize": 16,
        "editor.minimap.enabled": False,
        "editor.scrollBeyondLastLine": False,
        "editor.stickyScroll.enabled": False,
        "breadcrumbs.enabled": False,
        "workbench.activityBar.location": "hidden",
        "workbench.layoutControl.enabled": False,
    }
    root = workspace_in(tmp_path)
    file = root / "shop" / "invoice.py"
    file.write_text(SCENE)
    with start({**SERVER_OPTIONS, **look}) as code:
        window = code.open(root, file, (1100, 440, 1.5))
        window.focus()
        window.wait_for_status("ready")
        window.press(CLEAR_NOTIFICATIONS, TOGGLE_SIDEBAR)
        window.type("_")
        window.wait_for_ghost(OFFER)
        window.wait_for_status("ready")
        window.browser("screenshot", path=PICTURE)
        window.close()
    assert Path(PICTURE).stat().st_size < 200_000
