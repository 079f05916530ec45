"""`python -m aix_lsp`."""

from aix_lsp.cli import main

main()
