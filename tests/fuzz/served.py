"""`python -m tests.fuzz.served`: `aix-lsp serve` on the scripted engine, as a process of its own."""

from __future__ import annotations

from aix_lsp.server import app
from tests.fuzz.in_process import OPTIONS, scripted_engine

if __name__ == "__main__":
    app.AixServer.__init__.__defaults__ = (OPTIONS, scripted_engine)
    app.serve_stdio(OPTIONS)
