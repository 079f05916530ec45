"""What holds for all tests."""

from __future__ import annotations

import signal

from aix_lsp.engine.hardware import share_processors

# as the program does it: beside other work, threads that wait spinning take minutes where sleeping ones take seconds
share_processors()

# A shell that starts tests in the background has them ignore Control-C, and so would every process that they start and
# then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
