"""Emacs 30 for a terminal with lsp-mode, package-lint and tmux, from Debian's packages."""

from __future__ import annotations

import os
from pathlib import Path

from tests.editors.install import debian
from tests.editors.install.place import Editor, NotInstalledError, command, installed, say

PACKAGES = ("emacs-nox", "elpa-lsp-mode", "elpa-package-lint", "tmux")
"""tmux is the terminal that the tests see Emacs in."""

_LSP_MODE = ("lsp-mode", "lsp-protocol", "lsp-inline-completion", "lsp-completion", "lsp-diagnostics", "lsp-headerline")
_COMPILE_SECONDS = 600
_NO_NATIVE_CODE = "(setq native-comp-enable-subr-trampolines nil native-comp-jit-compilation nil)"
"""The compiler behind it would start without the loader."""


def install() -> Editor:
    """Emacs, installed unless it is there already. Raises NotInstalledError."""
    folder = installed("emacs", f"{debian.SUITE}: {' '.join(PACKAGES)}", _install)
    return _editor(folder / "root")


def program(editor: Editor, name: str) -> tuple[str, ...]:
    """The command line of another program that came with it: `emacsclient` or `tmux`."""
    *loader, emacs = editor.command[: editor.command.index("--dump-file")]
    found = Path(emacs).with_name({"emacsclient": "emacsclient.emacs"}.get(name, name))
    return (*loader, str(found))


def lisp_folders(editor: Editor) -> list[Path]:
    """The folders of lsp-mode, package-lint, and all that they need."""
    emacs = editor.command[editor.command.index("--dump-file") - 1]
    return sorted(folder for folder in (Path(emacs).parents[1] / "share/emacs/site-lisp/elpa-src").iterdir())


def _install(folder: Path) -> None:
    root = debian.unpack(PACKAGES, folder)
    editor = _editor(root)
    say("  byte-compiling lsp-mode and package-lint")
    # lsp-mode comes with a client for each of a hundred servers; of them none is needed
    sources = [
        path for part in lisp_folders(editor) for path in sorted(part.glob("*.el")) if "autoloads" not in path.name
    ]
    wanted = [path for path in sources if "lsp-mode" not in path.parent.name or path.stem in _LSP_MODE]
    command(
        [*editor.command, "--batch", "--funcall", "batch-byte-compile", *wanted],
        seconds=_COMPILE_SECONDS,
        env={**os.environ, **editor.environment},
    )


def _editor(root: Path) -> Editor:
    version = next((path.name for path in sorted(root.glob("usr/share/emacs/[0-9]*"))), None)
    dump = next(iter(root.glob("usr/libexec/emacs/*/*/emacs-*.pdmp")), None)
    if version is None or dump is None:
        raise NotInstalledError(f"no Emacs in {root}")
    share = root / "usr/share/emacs"
    lisp = share / version / "lisp"
    folders = [lisp, *sorted(path for path in lisp.rglob("*") if path.is_dir())]
    packages = sorted(path for path in (share / "site-lisp/elpa-src").iterdir() if path.is_dir())
    return Editor(
        "emacs",
        version,
        (*debian.loader(root), str(root / "usr/bin/emacs-nox"), "--dump-file", str(dump), "--eval", _NO_NATIVE_CODE),
        {
            "EMACSLOADPATH": ":".join(map(str, [*packages, *folders])),
            "EMACSDATA": str(share / version / "etc"),
            "EMACSDOC": str(share / version / "etc"),
            "EMACSPATH": str(dump.parent),
            "TERMINFO_DIRS": ":".join(str(root / part) for part in ("usr/share/terminfo", "usr/lib/terminfo")),
        },
    )
