"""Commands in the process of the tests, where a process of their own would prove nothing more and take seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aix_lsp.cli import main


@dataclass(frozen=True, slots=True)
class Called:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Called]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environment: dict[str, str]) -> Call:
    """Calls `aix-lsp` with these words, in the folder `cwd` if given, with the environment of the tests' processes."""

    def call(*words: str | Path, cwd: Path | None = None) -> Called:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["aix-lsp", *map(str, words)])
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        told = capsys.readouterr()
        return Called(code, told.out, told.err)

    return call
