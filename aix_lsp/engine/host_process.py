"""Starting a model host: a process of its own, away from the server that starts it and from its editor.

Run as a module (`python -m aix_lsp.engine.host_process`) with the model's settings and its place in the log on its
stdin: it is no command for people, and starts without the command line's parser. It says one word on its stdout:
`listening`, `taken` when another host has the place already, or what is wrong; then it is silent and on its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from aix_lsp.engine.base import LoadEvent, ModelError
from aix_lsp.engine.generation import Report
from aix_lsp.engine.host_link import HostLink, NobodyThere, open_link
from aix_lsp.engine.host_place import HostUnavailable, Place, place_of, resolved
from aix_lsp.engine.memory import keep_together
from aix_lsp.environment import without_secrets
from aix_lsp.logs_process import arguments_for_helpers, keep_as_told
from aix_lsp.settings import ModelSettings

_START_S = 60.0
"""How long a host may take until it listens; the model is loaded after that."""

_MOST_STARTS = 3
_SWITCH_S = 0.0005
_PAUSE_S = 0.1

_FORKS = hasattr(os, "fork")
"""Whether the process that is started only starts the host (`_leave_the_starter`), or is the host, as on Windows."""


def connect(settings: ModelSettings, report: Report, on_warning: Callable[[str], None]) -> HostLink:
    """The connection to the host for these settings, which is started if there is none.

    However many servers do this at once, one host comes of it: the others find its lock taken, and join. Raises
    HostUnavailable when this machine cannot have one, ModelError when the host refuses this window.
    """
    place = place_of(settings)
    place.prepare()
    deadline = time.monotonic() + _START_S
    started = 0
    while time.monotonic() < deadline and started < _MOST_STARTS:
        try:
            return open_link(place, "window", on_warning)
        except NobodyThere:
            report(LoadEvent("progress", "starting the model host", 0))
        word = start(place, settings)
        if word not in ("listening", "taken"):
            raise HostUnavailable(f"the model host could not be started: {word or 'it ended without a word'}")
        if word == "listening":
            started += 1
        else:
            time.sleep(_PAUSE_S)
    if started:
        raise ModelError(
            "the model host ends as soon as it has started; run `aix-lsp doctor`, or set model.share to off"
        )
    raise ModelError(
        f"the model host at {place.lock_file} holds its lock but does not answer; end its process, or set model.share "
        "to off"
    )


def start(place: Place, settings: ModelSettings) -> str:
    """Start a host process; returns its word."""
    command = [sys.executable, "-P", "-m", "aix_lsp.engine.host_process"]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=place.folder,
            env=without_secrets(),
            start_new_session=True,
            creationflags=flags,
        )
    except OSError as error:
        return f"{sys.executable}: {error.strerror}"
    heard: list[bytes] = []
    # In a thread: this must end even where the process says nothing and lives on.
    # on its stdin, and not among its arguments, which all users see
    said = f"{resolved(settings).model_dump_json()}\n{json.dumps(arguments_for_helpers())}".encode()
    talk = threading.Thread(target=lambda: heard.append(_hear(process, said)), daemon=True)
    talk.start()
    talk.join(_START_S)
    if not heard:
        process.kill()
        return f"it said nothing within {_START_S:.0f} seconds"
    word = heard[0].decode(errors="replace").strip()
    if _FORKS or word != "listening":
        process.wait()
    else:
        # It is the host itself, and lives on: Popen shall not warn of that.
        process.returncode = 0
    return word


def _hear(process: subprocess.Popen[bytes], settings: bytes) -> bytes:
    """Tell a host its settings; its word, or nothing when it ended without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError), process.stdin:
        process.stdin.write(settings)
    with process.stdout:
        return process.stdout.readline()


# In the host's process from here on.


def main() -> NoReturn:
    """Entry of the process."""
    keep_together()
    try:
        given, _, log = sys.stdin.buffer.read().partition(b"\n")
        settings = ModelSettings.model_validate_json(given)
        place = place_of(settings)
        place.prepare()
        lock = place.lock()
        if lock is None:
            _say("taken")
            os._exit(0)
        _leave_the_starter()
        logs = keep_as_told(json.loads(log or b"[]"))  # its threads would not come along
        lock = _serve(settings, place, lock)
    except Exception as error:  # noqa: BLE001  # the starter tells it
        _say(f"{type(error).__name__}: {error}")
        os._exit(1)
    if lock is not None:
        place.leave()
    if logs is not None:
        logs.close()
    # The model thread may be deep in native code: nothing waits for it, and the lock goes with the process.
    os._exit(0)


def _leave_the_starter() -> None:
    """Become nobody's child: the starter need not wait for this process, and it is nobody's to end with."""
    if _FORKS and os.fork():
        os._exit(0)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say(word: str) -> None:
    """One word to the starter, and never one again."""
    try:
        sys.stdout.write(" ".join(word.split()) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return
    finally:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)


def _serve(settings: ModelSettings, place: Place, lock: int) -> int | None:
    """Be the host until it is over; returns the lock, or None when the place is another host's by then."""
    from aix_lsp.engine.host import Host
    from aix_lsp.engine.local import LocalBackend, idle_seconds

    # A token is to leave while the next one is computed: the loop must not wait 5 ms (Python's default) for its turn.
    sys.setswitchinterval(_SWITCH_S)
    token = secrets.token_hex(32)
    host = Host(LocalBackend(settings), token, linger_s=settings.share_linger_s, idle_s=idle_seconds(settings))

    def listen() -> socket.socket:
        nonlocal lock
        held = place.regain(lock)
        if held is None:
            raise OSError("another host has this place by now")
        lock = held
        return place.listen(token)

    async def serve() -> None:
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, host.leave)
        await host.serve(listen, lambda: place.is_open(token), on_open=lambda: _say("listening"))

    asyncio.run(serve())
    return place.regain(lock)


if __name__ == "__main__":
    main()
