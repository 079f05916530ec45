"""Install editors for the tests: `python -m tests.editors.install [neovim] [emacs] [vscode] [helix]`."""

from __future__ import annotations

import importlib
import sys

from tests.editors.install.place import Editor, NotInstalledError, say

EDITORS = ("neovim", "emacs", "vscode", "helix")


def install(name: str) -> Editor:
    """The editor, installed unless it is there already. Raises NotInstalledError."""
    editor: Editor = importlib.import_module(f"tests.editors.install.{name}").install()
    return editor


def main(names: list[str]) -> int:
    """Install what is named, or everything; 1 when something could not be."""
    if unknown := [name for name in names if name not in EDITORS]:
        say(f"no editor of these tests: {', '.join(unknown)} (there are {', '.join(EDITORS)})")
        return 2
    failed = 0
    for name in names or EDITORS:
        try:
            editor = install(name)
            say(f"{name} {editor.version}: {' '.join(editor.command)}")
        except NotInstalledError as error:
            failed = 1
            say(f"{name} is not installed: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
