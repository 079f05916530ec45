"""The typist of the benchmarks' replay (benchmarks/typist.py), whose folder is no package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

_FOLDER = str(Path(__file__).parents[2] / "benchmarks")


def _module(name: str) -> Any:
    sys.path.insert(0, _FOLDER)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(_FOLDER)


client_screen = _module("client_screen")
replay_editors = _module("replay_editors")
typist = _module("typist")
