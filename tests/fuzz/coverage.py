"""Which lines of some of the product's files the messages reach (`sys.settrace`), to judge and guide the generator."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import aix_lsp

FOLDER = Path(aix_lsp.__file__).parent
FILES = (
    *sorted(path for path in (FOLDER / "server").rglob("*.py")),
    FOLDER / "workspace" / "documents.py",
    FOLDER / "workspace" / "notebooks.py",
    FOLDER / "text.py",
    FOLDER / "uris.py",
)


class Covered:
    """Lines that were run, by file."""

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        self._files = {str(path) for path in FILES}
        self._before = 0

    def news(self) -> bool:
        """Whether there are lines that were not there when it was last asked."""
        before, self._before = self._before, len(self.lines)
        return self._before > before

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow this thread."""
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)

    def shares(self) -> list[tuple[str, int, int, list[int]]]:
        """For each file: its name, lines reached, lines that there are inside functions, and those not reached."""
        found = []
        for path in FILES:
            there = _lines(compile(path.read_text(), str(path), "exec"))
            reached = {line for name, line in self.lines if name == str(path)} & there
            if there:
                found.append((str(path.relative_to(FOLDER)), len(reached), len(there), sorted(there - reached)))
        return found


def _lines(code: CodeType, inside: bool = False) -> set[int]:
    """Lines of functions; what runs at import says nothing about messages."""
    is_function = bool(code.co_flags & 0x1)  # CO_OPTIMIZED: neither a module nor a class
    found = {line for _, line in dis.findlinestarts(code) if line} - {code.co_firstlineno} if is_function else set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _lines(constant, is_function)
    return found
