"""Notebooks: the order of their cells, and the code around one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell by the normalized URI of its document. Markup cells have documents too, but are no code."""

    key: str
    is_code: bool


@dataclass(slots=True)
class Notebook:
    """An open notebook. `path` is None when it is no file yet."""

    uri: str
    type: str
    version: int
    path: Path | None
    cells: list[Cell] = field(default_factory=list)

    def around(self, key: str, text_of: Callable[[str], str | None]) -> tuple[str, str]:
        """Code before and after the cell `key`, in the notebook's order; each cell ends in a newline.

        Markup, empty cells and cells whose document is not open (`text_of` gives None) are left out.
        """
        before: list[str] = []
        after: list[str] = []
        target = before
        for cell in self.cells:
            if cell.key == key:
                target = after
                continue
            text = text_of(cell.key) if cell.is_code else None
            if text:
                target.append(text if text.endswith("\n") else f"{text}\n")
        return "".join(before), "".join(after)
