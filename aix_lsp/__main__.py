"""`python -m aix_lsp`."""

import os
import sys

# Python puts the current folder before everything else that can be imported, and an editor starts a server in its
# workspace: a `torch.py` there would be run. (`-P` and the program `aix-lsp` do not put it there.) Until it is gone,
# nothing may be imported here but what Python has loaded by then: a `pathlib.py` there would be run as well.
try:
    if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109
        del sys.path[0]
except OSError:
    pass  # a folder that is gone holds nothing

from aix_lsp.cli import main

main()
