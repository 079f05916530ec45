"""Emacs in a real terminal (tmux): keys go in as from a keyboard, its state is read through its server socket."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.editors.conftest import SERVER
from tests.editors.install import emacs as installation
from tests.editors.install.place import Editor

PACKAGE = Path(__file__).parents[3] / "editors" / "emacs"

LIMIT_SECONDS = 120.0
"""How long anything may take on a machine that is busy with other things."""

_COLUMNS, _LINES = 100, 30

_INIT = """
(setq inhibit-startup-screen t
      initial-scratch-message nil
      make-backup-files nil auto-save-default nil create-lockfiles nil
      ring-bell-function #'ignore
      native-comp-jit-compilation nil native-comp-enable-subr-trampolines nil
      vc-handled-backends nil
      xterm-extra-capabilities nil)
(electric-indent-mode -1)
(add-to-list 'load-path {package})
(require 'aix-lsp)
(setq aix-lsp-server-command {command})
(defun aix-test-json (value)
  (when (or (symbolp value) (recordp value) (and (consp value) (not (keywordp (car value)))))
    (setq value (and value t)))
  (base64-encode-string
   (encode-coding-string (json-serialize value :null-object nil :false-object :json-false) 'utf-8) t))
(require 'server)
(setq server-socket-dir {folder} server-name "emacs")
(server-start)
"""


class EmacsError(Exception):
    """An expression could not be evaluated."""


class Emacs:
    """One Emacs process with its terminal. Use as a context manager."""

    def __init__(
        self, editor: Editor, environment: Mapping[str, str], lisp: str = "", command: Sequence[str] = SERVER
    ) -> None:
        """`lisp` is evaluated at the start, after the package is loaded; `command` starts the server."""
        # the path of a socket may have a hundred characters only
        self._folder = Path(tempfile.mkdtemp(prefix="aix-emacs-"))
        self._tmux = [*installation.program(editor, "tmux"), "-u", "-f", "/dev/null", "-S", str(self._folder / "tmux")]
        self._environment = {
            **environment,
            **editor.environment,
            "LC_ALL": "C.UTF-8",
            "TERM": "screen-256color",
            "SHELL": "/bin/sh",
            "PYTHONPATH": str(PACKAGE.parents[1]),
        }
        words = " ".join(map(quoted, command))
        init = _INIT.format(package=quoted(str(PACKAGE)), command=f"'({words})", folder=quoted(str(self._folder)))
        (self._folder / "init.el").write_text(";;; -*- lexical-binding: t; -*-\n" + init + lisp, encoding="utf-8")
        self._command = [*editor.command, "-nw", "-Q", "-l", str(self._folder / "init.el")]

    def __enter__(self) -> Emacs:
        size = ["-x", str(_COLUMNS), "-y", str(_LINES)]
        # without remain-on-exit the last words of an Emacs that does not start would be lost
        self._run("new-session", "-d", *size, *self._command)
        self.until("t")
        return self

    def __exit__(self, *_: object) -> None:
        self._run("kill-server", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode:
            raise EmacsError(f"tmux {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def keys(self, *names: str) -> None:
        """Press keys, by tmux's names: `M-Enter`, `C-g`, `Left`."""
        self._run("send-keys", *names)

    def type(self, text: str) -> None:
        """Type characters."""
        self._run("send-keys", "-l", text)

    def screen(self) -> list[str]:
        """The terminal's lines as one sees them."""
        return self._run("capture-pane", "-p").splitlines()

    def cursor(self) -> tuple[int, int]:
        """Column and line of the terminal's cursor."""
        column, line = self._run("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(column), int(line)

    def eval(self, expression: str) -> Any:
        """The value of an expression in the buffer that is shown, as JSON has it. Raises EmacsError."""
        lisp = f"(aix-test-json (with-current-buffer (window-buffer) {expression}))"
        encoded = base64.b64encode(lisp.encode()).decode()
        decoded = f'(decode-coding-string (base64-decode-string "{encoded}") (quote utf-8))'
        request = f"(eval (car (read-from-string {decoded})) t)"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT_SECONDS)
            connection.connect(str(self._folder / "emacs"))
            connection.sendall(f"-eval {request.replace('&', '&&').replace(' ', '&_')}\n".encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        # a long value comes in parts
        found = b"".join(re.findall(rb'^-print(?:-nonl)? "?([A-Za-z0-9+/=]+)', answer, re.MULTILINE))
        if not found:
            raise EmacsError(answer.decode(errors="replace"))
        return json.loads(base64.b64decode(found))

    def until(self, expression: str, fits: Callable[[Any], bool] = bool) -> Any:
        """Wait until the value of an expression fits, and return it."""
        end = time.monotonic() + LIMIT_SECONDS
        value: Any = None
        while time.monotonic() < end:
            try:
                value = self.eval(expression)
                if fits(value):
                    return value
            except OSError as error:  # not there yet
                value = error
            time.sleep(0.02)
        raise AssertionError(f"{expression} is {value!r}\n" + "\n".join(self.screen()))

    def until_screen(self, fits: Callable[[list[str]], bool]) -> list[str]:
        """Wait until what one sees fits, and return it."""
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            if fits(lines := self.screen()):
                return lines
            time.sleep(0.02)
        raise AssertionError("\n".join(lines))

    def open(self, path: Path) -> None:
        """Show a file, point at its end."""
        self.eval(f"(progn (find-file {quoted(str(path))}) (goto-char (point-max)) t)")
        self.until(f"(equal buffer-file-name {quoted(str(path))})")
        self.keys("C-e")  # eglot connects after a command

    def ghost(self) -> str | None:
        """The text that is offered, as the overlay shows it."""
        shown: str | None = self.eval(GHOST)
        return shown

    def until_ghost(self, text: str | None) -> None:
        """Wait until exactly this is offered; None for nothing."""
        self.until(GHOST, lambda shown: bool(shown == text))

    def text(self) -> str:
        """The buffer's text."""
        text: str = self.eval("(buffer-substring-no-properties (point-min) (point-max))")
        return text


GHOST = """
(let ((overlay (seq-find (lambda (overlay) (overlay-get overlay 'after-string))
                         (overlays-in (point-min) (point-max)))))
  (and overlay (= (overlay-start overlay) (point)) (substring-no-properties (overlay-get overlay 'after-string))))
"""


def quoted(text: str) -> str:
    """A string as Lisp reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def stop(pid: int) -> None:
    """Let a process do nothing until `go_on`."""
    os.kill(pid, signal.SIGSTOP)


def go_on(pid: int) -> None:
    """Let a stopped process go on."""
    os.kill(pid, signal.SIGCONT)
