"""The browser, and one window of it that shows VS Code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.editors.install.vscode import CodeServer
from tests.editors.vscode.waiting import LIMIT, until

DRIVER = Path(__file__).with_name("driver.mjs")

_EDITOR = ".editor-instance .monaco-editor"


class Browser:
    """A headless browser; what it can do stands in driver.mjs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, verb: str, **options: Any) -> Any:
        """Do it and return what comes back. Raises AssertionError with the driver's line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": verb, **options}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the browser's driver ended at {verb}"
        answer = json.loads(line)
        assert "error" not in answer, f"{verb} {options}: {answer['error']}"
        return answer["value"]


@contextmanager
def browser(editor: CodeServer, environment: Mapping[str, str]) -> Iterator[Browser]:
    """Start the browser; it ends with the context."""
    process = subprocess.Popen(
        [editor.node, str(DRIVER), str(editor.modules)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(environment),
        text=True,
        encoding="utf-8",
    )
    try:
        drive = Browser(process)
        drive("launch", executable=editor.browser)
        yield drive
    finally:
        try:
            process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.wait()


class Window:
    """VS Code with a folder and one of its files, as a person sees and uses it."""

    def __init__(self, browser: Browser, address: str, folder: Path, file: Path, size: tuple[int, int, float]) -> None:
        """`address`: host and port. `size`: width and height, and how many pixels make one."""
        self.browser = browser
        self.file = file
        self.text = ""
        """What a test begins with."""
        payload = json.dumps([["openFile", f"vscode-remote://{address}{file}"]])
        width, height, scale = size
        browser(
            "open",
            url=f"http://{address}/?{urlencode({'folder': str(folder), 'payload': payload})}",
            width=width,
            height=height,
            scale=scale,
        )

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        self.browser("press", keys=keys)

    def type(self, text: str) -> None:
        """Type text key by key."""
        self.browser("type", text=text)

    def texts(self, selector: str) -> list[str]:
        """The text of all elements that a CSS selector finds."""
        found: list[str] = self.browser("texts", selector=selector)
        return found

    def click(self, selector: str, text: str | None = None) -> None:
        """Click the first element that a CSS selector finds, of those that contain a text."""
        self.browser("click", selector=selector, text=text)

    def focus(self) -> None:
        """Wait until the file is shown as it is on the disk, and put the cursor at its end."""
        lines = self.file.read_bytes().decode().splitlines()
        shown = f"{_EDITOR} .view-line"
        until(lambda: self.texts(shown), "an editor with lines", instead=self.seen)
        self.click(f"{_EDITOR} .view-lines")
        # an editor draws only the lines that it has room for
        for keys, line in (("Control+Home", lines[0]), ("Control+End", lines[-1])):
            until(partial(self._shows, shown, line, after=keys), f"the line {line!r}", instead=self.seen)

    def _shows(self, selector: str, line: str, *, after: str) -> bool:
        self.press(after)
        return not line or line in self.texts(selector)

    def ghosts(self) -> list[str]:
        """All that the ghost text was since `forget`, in order; "" stands for none. The last is there now."""
        seen: list[str] = self.browser("ghosts")
        return seen

    def ghost(self) -> str:
        """The ghost text that is there now; "" for none."""
        return self.ghosts()[-1]

    def forget(self) -> None:
        """`ghosts` begins anew."""
        self.browser("forget")

    def wait_for_ghost(self, beginning: str) -> str:
        """Ghost text that begins so."""
        until(lambda: self.ghost().startswith(beginning), f"ghost text {beginning!r}", instead=self.seen)
        return self.ghost()

    def save(self) -> bytes:
        """Save the file and return what is on the disk then."""
        before = self.file.stat().st_mtime_ns
        self.press("Control+s")
        until(
            lambda: self.file.stat().st_mtime_ns != before and not self.texts(".tab.active.dirty"),
            "a saved file",
            instead=self.seen,
        )
        return self.file.read_bytes()

    def status(self) -> str:
        """What the extension's item in the status bar tells people who hear it; "" while there is none."""
        labels: list[str] = self.browser("labels", selector=".statusbar-item [aria-label^='aix completions']")
        return labels[0].removeprefix("aix completions: ") if labels else ""

    def wait_for_status(self, status: str) -> None:
        """Wait for this state."""
        until(lambda: self.status() == status, f"status {status!r}", instead=self.seen)

    def notifications(self) -> list[str]:
        """The texts of all notifications that are shown."""
        return self.texts(".notification-toast .notification-list-item-message")

    def seen(self) -> dict[str, object]:
        """What the window shows, for a test that fails."""
        return {
            "lines": self.texts(f"{_EDITOR} .view-line"),
            "ghosts": self.ghosts(),
            "status": self.status(),
            "notifications": self.notifications(),
            "tabs": self.texts(".tab"),
        }

    def close(self) -> None:
        """Close the window."""
        self.browser("close")
