"""What holds for all tests."""

from __future__ import annotations

from aix_lsp.engine.hardware import share_processors

# as the program does it: beside other work, threads that wait spinning take minutes where sleeping ones take seconds
share_processors()
