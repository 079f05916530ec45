"""What the C library does with memory that threads free, and what PyTorch keeps of products that it made once."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from aix_lsp.engine.int8 import Packed16, can_pack

THREADS = """
import ctypes, sys, threading
libc = ctypes.CDLL("libc.so.6")
from aix_lsp.engine.memory import keep_together
keep_together()
all_there = threading.Barrier(8, timeout=60)

def work():
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc(1000)
    all_there.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def heaps(**environment: str) -> int:
    """How many heaps eight threads have in a process, as glibc tells."""
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, timeout=60)
    if "libc.so.6" in done.stderr or "malloc_info" in done.stderr:
        pytest.skip("this is not glibc")
    assert done.returncode == 0, done.stderr
    return done.stdout.count("<heap nr=")


def test_threads_share_two_heaps_unless_the_environment_says_otherwise() -> None:
    assert heaps() == 2
    assert heaps(MALLOC_ARENA_MAX="5") == 5


class Account(ctypes.Structure):
    """`struct mallinfo2`: what is given out lies in the heaps (the eighth field) or was mapped (the fifth)."""

    _fields_ = [(f"f{number}", ctypes.c_size_t) for number in range(10)]


def given_out() -> int:
    try:
        mallinfo = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        pytest.skip("this is not glibc")
    mallinfo.restype = Account
    account = mallinfo()
    return int(account.f7 + account.f4)


@pytest.mark.skipif(not can_pack(), reason="this PyTorch has no packed products")
def test_prompts_of_ever_other_lengths_take_no_more_memory() -> None:
    product = Packed16(torch.ones(512, 256))
    sizes = []
    for length in range(20, 170):
        product(torch.ones(length, 256))
        sizes.append(given_out())
    assert sizes[-1] - sizes[50] < 4 << 20
