"""A sandbox out of Linux's own parts, for machines without bubblewrap: namespaces for users, processes, network, mounts
and System V IPC, a root file system of its own, and no privileges.

The text of this module runs in the interpreter that becomes the program (`sandbox_inside.py`), which has nothing of
this package; the order of the steps is that of user_namespaces(7), pivot_root(2) and pid_namespaces(7).
"""

# pathlib would double the time until the program starts
# ruff: noqa: PTH102, PTH103, PTH112, PTH120, PTH211

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping
from typing import Any

_NEW_MOUNTS, _NEW_CGROUP, _NEW_NAME, _NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_PROGRAMS, _BIND, _ALL_BELOW, _PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_DETACH = 2
_MOUNT_SETATTR, _HERE, _RECURSIVE = 442, -100, 0x8000
_DIE_WITH_PARENT, _DROP_BOUND, _NO_NEW_PRIVILEGES = 1, 24, 38
_NOBODY = 65534
_PAGE = 4096
_POINTS = ("/mnt", "/media", "/srv", "/opt", "/tmp", "/run")


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "users")]


_libc = ctypes.CDLL(None, use_errno=True)


def enter(spec: Mapping[str, Any]) -> None:
    """Returns in a process that sees `spec["shown"]` and an empty folder `spec["work"]` and can do nothing else; the
    caller's process waits for it and ends as it does. Raises OSError."""
    root = os.geteuid() == 0
    _call("prctl", _DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != spec["parent"]:
        os._exit(125)  # it died before the line above
    _new_namespaces(root)
    reading, writing = os.pipe()
    first = os.fork()
    if first:
        os.close(reading)
        _wait_and_end(first)
    os.close(writing)
    _call("prctl", _DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    os.set_blocking(reading, False)
    try:
        if not os.read(reading, 1):
            os._exit(125)
    except BlockingIOError:
        pass  # the parent is there: had it died before the line above, this would be the pipe's end
    os.close(reading)
    os.setsid()
    _call("sethostname", b"sandbox", 7)
    _own_root(spec, root)
    program = os.fork()
    if program:
        # the first process of the namespace: with its end the kernel ends all others
        _wait_and_end(program)
    for capability in range(64):
        _libc.prctl(_DROP_BOUND, capability, 0, 0, 0)
    if root:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # with this and a user that is not root, `execve` leaves no privilege
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _new_namespaces(root: bool) -> None:
    """Enter them as one who may do everything inside. Who was root outside is told apart there from nobody, which the
    program is to be: of root's processes the kernel counts none, and root's files are root's in every namespace. Only
    a process outside may say that."""
    user, group = os.geteuid(), os.getegid()
    to_helper, from_helper = os.pipe(), os.pipe()
    this = os.getpid()
    helper = os.fork() if root else -1
    if helper == 0:
        os.read(to_helper[0], 1)
        for name in ("uid_map", "gid_map"):
            _put(f"/proc/{this}/{name}", f"0 0 1\n{_NOBODY} {_NOBODY} 1\n")
        os.write(from_helper[1], b"x")
        os._exit(0)
    _call(
        "unshare",
        _NEW_USERS | _NEW_MOUNTS | _NEW_PROCESSES | _NEW_NETWORK | _NEW_IPC | _NEW_NAME | _NEW_CGROUP,
    )
    if root:
        os.write(to_helper[1], b"x")
        os.close(from_helper[1])
        if not os.read(from_helper[0], 1):
            raise PermissionError("the users of the namespace cannot be set")
        os.waitpid(helper, 0)
    else:
        _put("/proc/self/setgroups", "deny")
        _put("/proc/self/uid_map", f"{_NOBODY} {user} 1")
        _put("/proc/self/gid_map", f"{_NOBODY} {group} 1")
        os.close(from_helper[1])
    for handle in (*to_helper, from_helper[0]):
        os.close(handle)


def _own_root(spec: Mapping[str, Any], as_root: bool) -> None:
    _mount(None, "/", None, _ALL_BELOW | _PRIVATE)
    root = _mount_point(spec["shown"])
    _mount("tmpfs", root, "tmpfs", _NO_SETUID | _NO_DEVICES, "size=1m,mode=755")
    for path in spec["shown"]:
        _show(path, root + path)
    for path, target in spec["links"]:
        os.symlink(target, root + path)
    for path in spec["devices"]:
        _file(root + path)
        _mount(path, root + path, None, _BIND)
    work = root + spec["work"]
    owner = f",uid={_NOBODY},gid={_NOBODY}" if as_root else ""
    os.makedirs(work, exist_ok=True)
    # empty files take memory too, which `size` does not count
    room = f"size={spec['disk']},nr_inodes={max(_PAGE, spec['disk'] // _PAGE)}"
    _mount("tmpfs", work, "tmpfs", _NO_SETUID | _NO_DEVICES, f"{room},mode=700{owner}")
    for path in spec["scratch"]:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        os.symlink(spec["work"], root + path)
    os.mkdir(root + "/proc")
    _mount("proc", root + "/proc", "proc", _NO_SETUID | _NO_DEVICES | _NO_PROGRAMS)
    # no namespaces within this one: they are the kernel's widest door
    _put(root + "/proc/sys/user/max_user_namespaces", "0")
    # a process that is root outside could write the kernel's settings through it
    _read_only(root + "/proc")
    _read_only(root)
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir("/")


def _mount_point(shown: tuple[str, ...]) -> str:
    """A folder that can be covered: none of what is shown lies in it."""
    for point in _POINTS:
        if os.path.isdir(point) and not any((path + "/").startswith(point + "/") for path in shown):
            return point
    raise OSError("no folder for the sandbox's root")


def _show(path: str, place: str) -> None:
    if os.path.isdir(path):
        os.makedirs(place, exist_ok=True)
    else:
        _file(place)
    _mount(path, place, None, _BIND | _ALL_BELOW)
    _read_only(place, _RECURSIVE)


def _read_only(place: str, how: int = 0) -> None:
    attributes = _Attributes(_READ_ONLY | _NO_SETUID | _NO_DEVICES, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _call("syscall", _MOUNT_SETATTR, _HERE, os.fsencode(place), how, ctypes.byref(attributes), size)


def _mount(source: str | None, place: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, place, kind, options)]
    _call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _file(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def _put(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY)
    os.write(file, text.encode())
    os.close(file)


def _wait_and_end(child: int) -> None:
    """Reap what ends until `child` does, and end as it did."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
