"""A folder shown under another path by a file system that can be made to hang, as a share whose server is gone.

    python hanging_disk.py SOURCE PLACE FLAG

mounts SOURCE at PLACE, read-only, and ends; a process left behind answers for it until the process that ran this has
ended. As long as there is a file FLAG, every call that the system makes below PLACE waits; nothing is cached.
It speaks the kernel's FUSE protocol (linux/fuse.h) by itself, and works in a user namespace without any rights.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import sys
import time

_IN = struct.Struct("<IIQQIIII")  # length, operation, request, node, user, group, process, -
_OUT = struct.Struct("<IiQ")  # length, error, request
_ATTRIBUTES = struct.Struct("<6Q10I")
_READ = struct.Struct("<QQI")  # handle, offset, size
_ENTRY = struct.Struct("<QQII")  # file number, next offset, length of the name, type

_LOOKUP, _GETATTR, _READLINK, _OPEN, _DO_READ, _STATFS, _RELEASE = 1, 3, 5, 14, 15, 17, 18
_INIT, _OPENDIR, _READDIR, _RELEASEDIR = 26, 27, 28, 29
_UNANSWERED = frozenset({2, 36, 42})  # forget, interrupt, forget many
_OPENED_DIRECTLY = 1 | 32  # no page cache; no call when it is closed
_MOST_REQUEST = 1 << 20
_MOUNT_FLAGS = 1 | 2 | 4  # read-only, no set-user-ID programs, no devices
_LOOK_S = 0.05


class Disk:
    """Answers the kernel for one folder."""

    def __init__(self, source: str) -> None:
        self._paths = {1: source}
        self._nodes = {source: 1}

    def answer(self, operation: int, node: int, body: bytes) -> bytes:
        """What one request asks for. Raises OSError, which is the answer then."""
        path = self._paths.get(node, "")  # the first request is of no node
        if operation == _INIT:
            return struct.pack("<IIIIHHIIHHI", 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 16, 0, 0) + bytes(28)
        if operation == _LOOKUP:
            child = os.path.join(path, os.fsdecode(body.rstrip(b"\0")))  # noqa: PTH118
            attributes = _attributes(child)
            if child not in self._nodes:
                self._nodes[child] = len(self._nodes) + 1
                self._paths[self._nodes[child]] = child
            return struct.pack("<QQQQII", self._nodes[child], 0, 0, 0, 0, 0) + attributes
        if operation == _GETATTR:
            return struct.pack("<QII", 0, 0, 0) + _attributes(path)
        if operation == _READLINK:
            return os.fsencode(os.readlink(path))  # noqa: PTH115
        if operation in (_OPEN, _OPENDIR):
            return struct.pack("<QII", 0, _OPENED_DIRECTLY if operation == _OPEN else 0, 0)
        if operation == _DO_READ:
            _, offset, size = _READ.unpack_from(body)
            with open(path, "rb") as file:  # noqa: PTH123
                file.seek(offset)
                return file.read(size)
        if operation == _READDIR:
            _, offset, size = _READ.unpack_from(body)
            return _entries(path, offset, size)
        if operation == _STATFS:
            return struct.pack("<5Q4I", 0, 0, 0, 0, 0, 4096, 255, 4096, 0) + bytes(24)
        if operation in (_RELEASE, _RELEASEDIR):
            return b""
        raise OSError(errno.ENOSYS, "not of use here")


def _attributes(path: str) -> bytes:
    found = os.lstat(path)
    times = found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns
    whole = [value // 10**9 for value in times]
    rest = [value % 10**9 for value in times]
    owner = found.st_mode, found.st_nlink, found.st_uid, found.st_gid
    return _ATTRIBUTES.pack(found.st_ino, found.st_size, found.st_blocks, *whole, *rest, *owner, 0, 4096, 0)


def _entries(path: str, offset: int, size: int) -> bytes:
    listed = b""
    with os.scandir(path) as opened:
        entries = sorted(opened, key=lambda entry: entry.name)
    for number, entry in enumerate(entries[offset:], offset + 1):
        name = os.fsencode(entry.name)
        kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) >> 12
        record = _ENTRY.pack(entry.inode(), number, len(name), kind) + name
        record += bytes(-len(record) % 8)
        if len(listed) + len(record) > size:
            break
        listed += record
    return listed


def _serve(device: int, disk: Disk, flag: str, process: int) -> None:
    requests, ends = select.poll(), select.poll()
    requests.register(device, select.POLLIN)
    ends.register(process, select.POLLIN)
    while not ends.poll(0):
        # a request that was not yet taken can be given up by whoever is killed, as one to a network's server can
        if os.path.exists(flag):  # noqa: PTH110
            time.sleep(_LOOK_S)
            continue
        if not requests.poll(_LOOK_S * 1000):
            continue
        if os.path.exists(flag):  # noqa: PTH110
            continue
        request = os.read(device, _MOST_REQUEST)
        _, operation, number, node, *_ = _IN.unpack_from(request)
        error, body = 0, b""
        try:
            body = disk.answer(operation, node, request[_IN.size :])
        except OSError as failed:
            error = -(failed.errno or errno.EIO)
        if operation not in _UNANSWERED:
            with contextlib.suppress(FileNotFoundError):  # nobody waits for it any more
                os.write(device, _OUT.pack(_OUT.size + len(body), error, number) + body)


def main() -> None:
    """Mount, and leave a process behind."""
    source, place, flag = sys.argv[1:]
    waits_for = os.pidfd_open(os.getppid())
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hanging", os.fsencode(place), b"fuse", ctypes.c_ulong(_MOUNT_FLAGS), options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if os.fork():
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # or whoever reads the pipes would wait for us
        os.dup2(nothing, standard)
    try:
        _serve(device, Disk(source), flag, waits_for)
    except OSError:
        pass  # it was unmounted
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
