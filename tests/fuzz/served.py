"""`python -m tests.fuzz.served`: `aix-lsp serve` on the scripted engine, as a process of its own."""

from __future__ import annotations

from aix_lsp.server import app
from tests.fuzz.in_process import OPTIONS, no_models_looked_for, scripted_engine

if __name__ == "__main__":
    app.AixServer.__init__.__defaults__ = (OPTIONS, scripted_engine)
    with no_models_looked_for():
        app.serve_stdio(OPTIONS)
