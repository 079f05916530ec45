"""Ending with the editor: an editor that crashes sends no `exit`, and may leave its end of the pipe open.

LSP 3.18, InitializeParams.processId: "If the parent process is not alive then the server should exit".
"""

from __future__ import annotations

import asyncio
import os
import sys


def is_alive(process_id: int) -> bool:
    """Whether a process with this id runs. One that cannot be asked counts as alive."""
    if sys.platform == "win32":
        return _is_alive_windows(process_id)
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not _is_zombie(process_id)


def _is_zombie(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat", "rb") as file:  # noqa: PTH123  # a pseudo file, not a path of ours
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:
        return False


def _is_alive_windows(process_id: int) -> bool:
    import ctypes

    synchronize, still_running = 0x00100000, 0x102
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(synchronize, False, process_id)
    if not handle:
        return bool(kernel.GetLastError() == 5)  # access denied: it is there
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == still_running)
    finally:
        kernel.CloseHandle(handle)


async def until_gone(process_id: int, interval: float = 2.0) -> None:
    """Return once the process is gone; looks every `interval` seconds."""
    while is_alive(process_id):  # noqa: ASYNC110  # another process sets no event of ours
        await asyncio.sleep(interval)
