"""What runs in the sandbox before the program does: it writes the program's files, takes on the limits, and becomes it.

The text of this module runs in an interpreter of its own (`sandbox_start.py`), which has nothing of this package.
"""

# pathlib would double the time until the program starts
# ruff: noqa: PTH103, PTH120, PTH123

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any


def main(spec: Mapping[str, Any]) -> None:
    """Become the program of `spec`; what goes wrong before that is told on stderr behind `spec["mark"]`."""
    names: dict[str, Any]
    try:
        if spec["enter"] is not None:
            names = {"__name__": "sandbox_namespaces"}
            exec(spec["enter"], names)
            names["enter"](spec)
        os.chdir(spec["work"])
        _write(spec["files"])
        _wire_input(spec["stdin"])
        if sys.platform != "win32":
            _limit(spec["limits"], isolated=spec["isolated"])
        if spec["filter"] is not None:
            names = {"__name__": "sandbox_filter"}
            exec(spec["filter"], names)
            names["install"]()
        command = spec["command"]
        os.execve(command[0], command, spec["environment"])
    except BaseException as error:  # noqa: BLE001  # whatever it was, nobody else tells it
        told = f"{spec['mark']}{type(error).__name__}: {error}\n"
        os.write(2, told.encode("utf-8", "replace"))
        os._exit(125)


def _write(files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "wb") as file:
            file.write(data)


def _wire_input(data: bytes) -> None:
    """The program's standard input: `data`, at most what a pipe holds."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)


def _limit(limits: Mapping[str, int], *, isolated: bool) -> None:
    import resource

    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        most = resource.getrlimit(kind)[1]
        # a second more until the signal that cannot be caught
        hard = value + 1 if name == "RLIMIT_CPU" else value
        if most != resource.RLIM_INFINITY:
            value, hard = min(value, most), min(hard, most)
        try:
            resource.setrlimit(kind, (value, hard))
        except (OSError, ValueError):
            # macOS knows names of limits that it does not have
            if isolated:
                raise
