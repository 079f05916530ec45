"""Helix, which does not know inline completion, with `completion.fallback_completion`: entries of its list."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import INVOICE
from tests.editors.conftest import SERVER, editor_or_skip
from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editor

ESCAPE, TAB, ENTER = "\x1b", "\t", "\r"

LANGUAGES = """
[language-server.aix]
command = {program}
args = {arguments}
config = {{ completion = {{ fallback_completion = true, confidence = "off" }} }}

[[language]]
name = "python"
language-servers = ["aix"]
"""
"""As in `editors/others.md`, and offers are longer so that Helix's own words are told from them."""

CONFIG = """
[editor]
idle-timeout = 50

[editor.word-completion]
enable = false
"""


class Helix(Terminal):
    """Helix with a file open. What it says to the server and hears is in its log."""

    def __init__(self, environment: dict[str, str], path: Path, root: Path) -> None:
        editor = editor_or_skip("helix")
        home = Path(environment["XDG_CONFIG_HOME"]) / "helix"
        home.mkdir(parents=True)
        (home / "languages.toml").write_text(
            LANGUAGES.format(program=json.dumps(SERVER[0]), arguments=json.dumps(SERVER[1:]))
        )
        (home / "config.toml").write_text(CONFIG)
        self._log = home / "helix.log"
        command = [*editor.command, "-v", "--log", str(self._log), str(path)]
        super().__init__(command, {**environment, **editor.environment}, root)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.is_file() else ""

    async def type_command(self, line: str) -> None:
        """Back to normal mode (an escape right before a key would be another key), and a command."""
        self.press(ESCAPE)
        await self.until(lambda: "NOR" in self.drawn())
        self.press(f":{line}{ENTER}")

    async def until_ready(self, times: int = 1) -> None:
        """Wait until the server, or the one after it, has told that its model is loaded."""
        await self.until(lambda: self.log().count('"message": "status: ready') >= times)


async def test_the_offer_is_an_entry_of_the_list_and_is_taken_in_a_file_with_carriage_returns(
    environment: dict[str, str], workspace: Path
) -> None:
    path = workspace / "shop" / "invoice.py"
    path.write_bytes(INVOICE.replace("\n", "\r\n").encode())
    with Helix(environment, path, workspace) as helix:
        await helix.until_ready()
        helix.press("geA" + "t")
        await helix.until(lambda: "total(amounts)" in helix.drawn())
        helix.press(TAB)
        await helix.until(lambda: "(amounts)" in helix.drawn())
        helix.press(ENTER)
        await helix.type_command("wq")
        assert await helix.until_ended() == 0
    saved = path.read_bytes()
    assert saved.decode().replace("\r\n", "\n").startswith(INVOICE + "total(amounts)")
    assert saved.count(b"\n") == saved.count(b"\r\n")


async def test_a_killed_server_is_started_again_and_switched_off_and_on_after_emoji_on_the_line(
    environment: dict[str, str], workspace: Path
) -> None:
    path = workspace / "shop" / "invoice.py"
    path.write_text(INVOICE.replace("apply_seasonal", "print('😀 价格'), apply_seasonal"), encoding="utf-8")
    with Helix(environment, path, workspace) as helix:
        await helix.until_ready()
        os.kill(server_of(helix), signal.SIGKILL)
        await helix.until(lambda: "StreamClosed" in helix.log())
        helix.press(":lsp-restart aix" + ENTER)
        await helix.until_ready(2)
        helix.press("geA" + "t")
        await helix.until(lambda: "total(" in helix.drawn())
        await helix.type_command("lsp-workspace-command aix.toggle")
        await helix.until(lambda: '"message": "status: off' in helix.log())
        helix.press("A" + "o")
        await helix.until(lambda: '"items": []' in helix.log())
        await helix.type_command("lsp-workspace-command aix.toggle")
        await helix.until(lambda: helix.log().rindex('"message": "status: ready') > helix.log().rindex("status: off"))
        helix.press("A" + "t")
        await helix.until(lambda: "total(" in helix.drawn())
        helix.press(TAB)
        await helix.until(lambda: "al(" in helix.drawn())
        helix.press(ENTER)
        await helix.type_command("wq")
        assert await helix.until_ended() == 0
    assert "print('😀 价格'), apply_seasonal_rebate(compute_grand_total(" in path.read_text(encoding="utf-8")


def server_of(helix: Helix) -> int:
    """The process of the server that Helix started."""
    assert helix.process is not None
    children = Path(f"/proc/{helix.process.pid}/task").glob("*/children")
    (server,) = {int(number) for child in children for number in child.read_text().split()}
    return server
