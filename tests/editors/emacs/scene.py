"""A workspace and an Emacs whose offers come from one of the three backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.conftest import INVOICE, environment_in, workspace_in
from tests.editors.conftest import editor_or_skip
from tests.editors.emacs.session import GHOST, Emacs, quoted

REST = "total(amounts)"
"""What the embedded model writes behind `compute_grand_` begins so."""

BEGUN = INVOICE.removesuffix("_")
"""One key before the place where it is asked."""

_ASKED = """
(defvar aix-test-asked 0)
(advice-add 'aix-lsp--ask :before (lambda (&rest _) (setq aix-test-asked (1+ aix-test-asked))))
(setq project-vc-extra-root-markers '(".project")
      aix-lsp-completion-confidence "off")
"""

LISP = {
    "own": "(aix-lsp-global-mode 1)",
    "eglot": """
(require 'aix-lsp-eglot)
(aix-lsp-eglot-setup '(python-mode))
(add-hook 'python-mode-hook #'eglot-ensure)
""",
    "lsp-mode": """
(setq lsp-auto-guess-root t lsp-client-packages nil lsp-warn-no-matched-clients nil lsp-restart 'auto-restart
      lsp-enable-suggest-server-download nil lsp-headerline-breadcrumb-enable nil lsp-diagnostics-provider :none
      lsp-completion-provider :none lsp-session-file (expand-file-name "lsp-session" "~"))
(load "lsp-mode-autoloads" nil t)
(setq lsp-enable-snippet nil)
(require 'aix-lsp-lsp-mode)
(add-hook 'python-mode-hook #'lsp)
""",
}

PID = {
    "own": "(aix-lsp-server-pid)",
    "eglot": "(let ((server (eglot-current-server))) (and server (process-id (jsonrpc--process server))))",
    "lsp-mode": """
(let ((workspace (aix-lsp-lsp-mode--workspace)))
  (and workspace (eq (lsp--workspace-status workspace) 'initialized)
       (process-id (lsp--workspace-cmd-proc workspace))))
""",
}


@dataclass
class Scene:
    """An Emacs, the workspace, and which backend its buffers ask."""

    emacs: Emacs
    workspace: Path
    backend: str

    def begin(self, text: str = BEGUN, line_break: str = "\n") -> Path:
        """Show `shop/invoice.py` with that text, point at its end, and wait for its server."""
        self.emacs.eval(
            "(progn (dolist (buffer (buffer-list)) (when (buffer-file-name buffer) (with-current-buffer buffer "
            "(set-buffer-modified-p nil)) (kill-buffer buffer))) (delete-other-windows) t)"
        )
        path = self.workspace / "shop" / "invoice.py"
        path.write_bytes(text.replace("\n", line_break).encode())
        self.emacs.open(path)
        self.until_ready()
        return path

    def until_ready(self) -> None:
        """Wait for model and index."""
        self.emacs.until("(and aix-lsp-mode (aix-lsp-backend-ready-p aix-lsp-backend))")
        assert self.emacs.eval("(symbol-name aix-lsp-backend)") == self.backend
        self.emacs.until(
            "(plist-get (aix-lsp-commands--status) :state)", lambda state: state in ("ready", "busy", "degraded")
        )

    def pid(self) -> int | None:
        """The number of the server's process."""
        number: int | None = self.emacs.eval(PID[self.backend])
        return number

    def execute(self, command: str, *arguments: str) -> Any:
        """What the server answers to a command."""
        words = " ".join(map(quoted, arguments))
        self.emacs.eval(
            "(progn (setq aix-test-answer nil) "
            f"(aix-lsp-backend-execute aix-lsp-backend {quoted(command)} (vector {words}) "
            "(lambda (answer) (setq aix-test-answer (list answer)))) t)"
        )
        # lists for arrays would not go through JSON
        self.emacs.until("(and aix-test-answer t)")
        return self.emacs.eval("(car aix-test-answer)")

    def accepted(self) -> int:
        """How many offers the server counts as taken."""
        return int((self.execute("aix.status")["counts"] or {}).get("accepted", 0))

    def asked(self) -> int:
        """How many requests there were."""
        number: int = self.emacs.eval("aix-test-asked")
        return number

    def offered(self, begins: str = REST) -> str:
        """Type the key before an offer, wait for the offer, and return it."""
        self.emacs.type("_")
        shown: str = self.emacs.until(GHOST)
        assert shown.startswith(begins)
        return shown


@contextmanager
def scene(folder: Path, backend: str, lisp: str = "") -> Iterator[Scene]:
    """Emacs in a workspace of its own; `lisp` is evaluated before the backend's set-up."""
    editor = editor_or_skip("emacs")
    workspace = workspace_in(folder)
    (workspace / ".project").touch()
    with Emacs(editor, environment_in(folder), f"(defvar aix-test-answer nil)\n{_ASKED}{lisp}{LISP[backend]}") as emacs:
        yield Scene(emacs, workspace, backend)
