"""Python reads this at its start, if this folder is on PYTHONPATH: what a soak wants to know of the server from inside,
and the leaks that its own tests plant. Nothing happens in processes that are no server.

On SIGUSR2 one JSON object is written to the file that AIX_SOAK_CENSUS names: asyncio's unfinished tasks, threads by
name, and how many objects the garbage collector knows (by type, with AIX_SOAK_TYPES). With AIX_SOAK_TRIM garbage is
collected and free memory given back to the system first, which the server does by itself now and then. AIX_SOAK_PLANT
is `memory`, `thread`, `handle` or `error`: what each inline completion leaks from then on.
"""

from __future__ import annotations

import os
import sys


def _census(*_: object) -> None:
    import asyncio
    import gc
    import json
    import threading
    from collections import Counter
    from pathlib import Path
    from typing import Any

    if os.environ.get("AIX_SOAK_TRIM"):
        from aix_lsp.engine.memory import give_back_unused

        gc.collect()  # how much waits for the collector differs from rest to rest
        give_back_unused()
    unfinished = [task for task in list(asyncio.tasks._all_tasks) if not task.done()]  # type: ignore[attr-defined]
    objects = gc.get_objects()
    told: dict[str, Any] = {
        "tasks": len(unfinished),
        "task_names": Counter(getattr(task.get_coro(), "__qualname__", "?") for task in unfinished),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "objects": len(objects),
    }
    told |= _allocated()
    if os.environ.get("AIX_SOAK_TYPES"):
        kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in objects)
        told["types"] = dict(kinds.most_common(200))
    del objects
    place = Path(os.environ["AIX_SOAK_CENSUS"])
    new = place.with_suffix(".new")
    new.write_text(json.dumps(told), encoding="utf-8")
    new.replace(place)


def _allocated() -> dict[str, int]:
    """Bytes that the C library has given out (`used`), and what it keeps besides (`free`); nothing without glibc."""
    import ctypes

    class Account(ctypes.Structure):
        """`struct mallinfo2`; what is given out lies in its arenas (the eighth field) or was mapped (the fifth)."""

        _fields_ = [(f"f{number}", ctypes.c_size_t) for number in range(10)]

    try:
        mallinfo = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        return {}
    mallinfo.restype = Account
    account = mallinfo()
    return {"used": account.f7 + account.f4, "free": account.f8}


def _plant(kind: str) -> None:
    import json
    import logging
    import threading
    from typing import Any

    kept: list[Any] = []
    loads = json.loads

    def leaking(text: Any, *arguments: Any, **named: Any) -> Any:
        if b'"textDocument/inlineCompletion"' in (text if isinstance(text, bytes) else str(text).encode()):
            if kind == "memory":
                kept.append(b"x" * 1_000_000)
            elif kind == "thread":
                thread = threading.Thread(target=threading.Event().wait, daemon=True)
                thread.start()
            elif kind == "handle":
                kept.append(open(os.devnull, "rb"))  # noqa: SIM115, PTH123
            else:
                logging.getLogger("aix_lsp").error("planted")
        return loads(text, *arguments, **named)

    json.loads = leaking  # type: ignore[assignment]


def _begin() -> None:
    # at this time sys.argv is not set yet; orig_argv is the whole command
    if not {"aix_lsp", "serve"} <= set(sys.orig_argv):
        return
    if os.environ.get("AIX_SOAK_CENSUS"):
        import signal

        signal.signal(signal.SIGUSR2, _census)
    if kind := os.environ.get("AIX_SOAK_PLANT"):
        _plant(kind)


_begin()
