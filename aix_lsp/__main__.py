"""`python -m aix_lsp`."""

import contextlib
import sys
from pathlib import Path

# Python puts the current folder before everything else that can be imported, and an editor starts a server in its
# workspace: a `torch.py` there would be run. (`-P` and the program `aix-lsp` do not put it there.)
with contextlib.suppress(OSError):  # a folder that is gone holds nothing
    if not sys.flags.safe_path and sys.path[0] in ("", str(Path.cwd())):
        del sys.path[0]

from aix_lsp.cli import main

main()
