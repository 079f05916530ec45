"""System calls that a program in the sandbox does without: they get memory that belongs to no process, so that no limit
sees it, or reach what no namespace keeps apart, such as the keys that the kernel holds for the user's session.

The text of this module runs in the interpreter that becomes the program (`sandbox_inside.py`), which has nothing of
this package. A call that is filtered fails as one that the kernel does not know, which programs are written to bear.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

_CALLS = {
    # name: (x86_64, aarch64)
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_OTHER_CALLS = 0x40000000  # x86_64's second table of them, which nothing uses

# of <linux/filter.h> and <linux/seccomp.h>
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _END = 0x20, 0x15, 0x35, 0x06
_NUMBER, _MACHINE = 0, 4  # places in what a filter is given
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_SECCOMP, _FILTER, _NO_NEW_PRIVILEGES = 22, 2, 38


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def install() -> None:
    """Filter this process and all that it starts, for good; nothing on machines whose numbers are not known here, and
    where the kernel has no filters. Raises OSError."""
    known = _MACHINES.get(os.uname().machine)
    if known is None or sys.maxsize < 1 << 32:
        return
    code = filter_of(*known)
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(code) // 8, code)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        number = ctypes.get_errno()
        if number != errno.EINVAL:
            raise OSError(number, f"seccomp: {os.strerror(number)}")


def filter_of(column: int, machine: int) -> bytes:
    """The filter's instructions, eight bytes each; what is called as on another machine fails altogether."""
    numbers = [each[column] for each in _CALLS.values()]
    count = len(numbers)
    code = [
        (_LOAD, 0, 0, _MACHINE),
        (_IF_EQUAL, 0, count + 3, machine),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, count + 1, 0, _OTHER_CALLS),
        *((_IF_EQUAL, count - place, 0, number) for place, number in enumerate(numbers)),
        (_END, 0, 0, _ALLOW),
        (_END, 0, 0, _FAIL | errno.ENOSYS),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in code)
