"""How three editors ask for completions, and a file that is open in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client_screen import Screen
from typist import Typist

from aix_lsp.languages import language_id_of
from aix_lsp.text import Encoding
from aix_lsp.uris import path_to_uri


@dataclass(frozen=True, slots=True)
class Editor:
    """How an editor asks: its name, what it counts characters in, how long it waits after a key (seconds, drawn between
    the two), and whether it cancels a request at the next key (and passes over an answer that comes later)."""

    name: str
    encoding: Encoding
    wait: tuple[float, float]
    cancels: bool


EDITORS: Mapping[str, Editor] = {
    "vscode": Editor("Visual Studio Code", "utf-16", (0.005, 0.04), cancels=True),
    "neovim": Editor("Neovim", "utf-8", (0.2, 0.2), cancels=False),
    "jetbrains": Editor("IntelliJ IDEA", "utf-16", (0.3, 0.3), cancels=True),
}


class Document:
    """One file that is typed: opened with its holes, and again with others once they are filled."""

    def __init__(self, path: Path, seed: object, editor: Editor) -> None:
        text = path.read_bytes().decode("utf-8")
        self.line_break = "\r\n" if "\r\n" in text else "\n"
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.uri = path_to_uri(path)
        self.language = language_id_of(path.name)
        self._seed = seed
        self._editor = editor
        self._round = 0
        self.version = 0
        self.again()

    def again(self) -> None:
        """Cut it anew."""
        self._round += 1
        self.version = 1
        self.typist = Typist(self.text, f"{self._seed} {self._round}")
        self.screen = Screen(self.typist.text, drops_late=self._editor.cancels, encoding=self._editor.encoding)
        self.screen.cursor = self.typist.cursor

    def sent(self, text: str) -> str:
        """The text with the file's line breaks."""
        return text.replace("\n", self.line_break)
