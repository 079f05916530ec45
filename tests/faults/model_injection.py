"""Faults inside a real server process, without touching the product: a `sitecustomize.py` on its PYTHONPATH wraps a few
functions, which go wrong as soon as a trigger file says so.

A trigger file holds a kind and how often (`gpu-memory 2`), and is gone when that is used up:

- `gpu-memory`, `memory`, `torch-memory`: memory runs out, as CUDA, Python and PyTorch's allocator say it.
- `error`: as a kernel fails. `exit`: as a library calls sys.exit. `hang`: nothing comes back until the file is gone.

`CLOCK` holds by how many seconds the system's clock (time.time) is ahead of the true one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from tests.faults.fault import Stage

SERVING = "serving"
"""Every pass of a model: its attention."""
LOADING = "loading"
"""A model that is moved to its device."""
CLOCK = "clock"

CUSTOMIZE = '''
import importlib.machinery, os, sys, time

FOLDER = os.path.dirname(os.path.abspath(__file__))
SETTINGS = {settings!r}
ADDRESSES = {addresses!r}

if ADDRESSES:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))


def trigger(point):
    path = os.path.join(FOLDER, point)
    try:
        with open(path) as file:
            kind, times = file.read().split()
    except (OSError, ValueError):
        return
    if kind == "hang":
        open(path + ".seen", "w").close()
        while os.path.exists(path):
            time.sleep(0.02)
        return
    if times == "1":
        os.remove(path)
    else:
        with open(path + ".new", "w") as file:
            file.write(kind + " " + str(int(times) - 1))
        os.replace(path + ".new", path)
    if kind == "gpu-memory":
        import torch
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\\nGPU 0 has 0 bytes free.")
    if kind == "torch-memory":
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
    if kind == "memory":
        raise MemoryError
    if kind == "exit":
        raise SystemExit(3)
    raise RuntimeError("CUDA error: an illegal memory access was encountered\\nCompile with TORCH_USE_CUDA_DSA.")


quiet = []


def faulty(holder, name, point):
    whole = getattr(holder, name)

    def wrapped(*arguments, **options):
        if not quiet:
            trigger(point)
        return whole(*arguments, **options)

    setattr(holder, name, wrapped)


def loading(module):
    """The first tokens that a load tries out are none of a request's."""
    whole = module._try_out

    def tried(decoder):
        quiet.append(True)
        try:
            whole(decoder)
        finally:
            quiet.pop()

    module._try_out = tried


def functional(module):
    faulty(module, "scaled_dot_product_attention", "serving")


def modules(module):
    faulty(module.Module, "to", "loading")


def pulse(module):
    for name, value in SETTINGS.items():
        assert hasattr(module, name), name
        setattr(module, name, value)


AFTER = {{
    "torch.nn.functional": functional,
    "torch.nn.modules.module": modules,
    "aix_lsp.engine.loading": loading,
    "aix_lsp.engine.pulse": pulse,
}}


class Finder:
    """Calls a function of AFTER when its module has been imported."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        run, after = spec.loader.exec_module, AFTER.pop(name)

        def exec_module(module):
            run(module)
            after(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder)


def ahead():
    try:
        with open(os.path.join(FOLDER, "clock")) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


true_time, true_time_ns = time.time, time.time_ns
time.time = lambda: true_time() + ahead()
time.time_ns = lambda: true_time_ns() + ahead() * 10**9
'''


class Injected:
    """Triggers for one server. `stuck_s` is for how long the model's thread may stand still; `addresses` limits the
    process's address space, in bytes."""

    def __init__(self, stage: Stage, *, addresses: int = 0, stuck_s: float = 120.0) -> None:
        self.folder = stage.folder / "injected"
        self.folder.mkdir()
        (self.folder / "sitecustomize.py").write_text(
            CUSTOMIZE.format(settings={"STUCK_S": stuck_s}, addresses=addresses)
        )
        path = [str(self.folder), stage.environment.get("PYTHONPATH", "")]
        self.environment: Mapping[str, str] = {"PYTHONPATH": os.pathsep.join(filter(None, path))}
        """To be merged into the server's own."""

    def set(self, point: str, text: str) -> None:
        """From now on this goes wrong."""
        new = self.folder / f"{point}.set"
        new.write_text(text)
        new.replace(self.folder / point)

    def over(self, point: str) -> None:
        """The cause is gone."""
        (self.folder / point).unlink(missing_ok=True)

    async def until_hanging(self, point: str) -> None:
        """Wait until somebody does not come back from there."""
        async with asyncio.timeout(120):
            while not (self.folder / f"{point}.seen").exists():
                await asyncio.sleep(0.02)

    def happened(self, point: str) -> bool:
        """Whether what was set has been used up."""
        return not (self.folder / point).exists()
