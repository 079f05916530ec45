"""How soon a workspace can be searched: the first time, when nothing changed, and after a switched branch.

    python benchmarks/index_start.py FOLDER [--files 10000] [--touched 5000]

Copies source files of FOLDER into a repository in a temporary folder and prints JSON. `served_s` is from starting the
indexer to similar lines found, `cpu_s` the indexer's processor time until then (the processes of git apart), `whole_s`
until definitions are found too, `stall_ms` the longest time that the event loop did not turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.languages import is_code
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot
from aix_lsp.workspace.watcher import WorkspaceWatcher

TEXT = (
    "import os\n\ndef load(path, encoding='utf-8'):\n    with open(path, encoding=encoding) as file:\n        return "
)
LARGEST = 21_500  # bytes; about 7 KB on average, as in repositories


def copied(source: Path, target: Path, most: int) -> int:
    """Copy files of code; returns how many."""
    found = 0
    for path in sorted(source.rglob("*")):
        if found < most and is_code(path.name) and path.is_file() and 200 < path.stat().st_size < LARGEST:
            name = target / path.relative_to(source)
            name.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, name)
            found += 1
    return found


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


class Watched:
    """A workspace as the server has it, without the server."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.context = WorkspaceContext(Settings(), self.heard, cache)
        self.folder = self.context.add_folder(root)
        self.stall = 0.0
        self.ready = 0.0

    def heard(self, folder: Path, state: str) -> None:
        if state == "ready":
            self.ready = time.perf_counter()

    async def turn(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self.stall = max(self.stall, time.perf_counter() - began - 0.001)

    @contextmanager
    def turning(self) -> Iterator[None]:
        self.stall = 0.0
        task = asyncio.create_task(self.turn())
        try:
            yield
        finally:
            task.cancel()

    def query(self) -> list[str]:
        path = self.root / "asking.py"
        document = DocumentSnapshot(path.as_uri(), TEXT, "python", 1, path.name, path)
        return [snippet.path for snippet in self.context.snippets(document, len(TEXT), Settings())]

    async def start(self) -> dict[str, Any]:
        """Index, and say how long it took."""
        with self.turning():
            began = time.perf_counter()
            self.context.start_indexing(self.root)
            result: dict[str, Any] = {}
            cpu = 0.0
            while self.folder.is_building:
                await asyncio.sleep(0.005)
                if not self.folder.found:
                    for child in psutil.Process().children():
                        if "aix_lsp.completion.indexer" in " ".join(child.cmdline()):
                            cpu = sum(child.cpu_times()[:2])
                elif "served_s" not in result:
                    result |= {"served_s": time.perf_counter() - began, "cpu_s": cpu}
                if self.folder.found and len(self.folder.index.definitions):
                    result.setdefault("whole_s", time.perf_counter() - began)
        report = self.folder.report
        files = {"files": report.files, "reused": report.reused} if report is not None else {}
        return {**result, "stall_ms": self.stall * 1000, "chunks": len(self.folder.index), **files}


async def switched(watched: Watched, touched: int) -> dict[str, Any]:
    """Switch branches under a watching server that is asked all the time."""
    loop = asyncio.get_running_loop()
    watcher = WorkspaceWatcher(
        lambda paths: loop.call_soon_threadsafe(watched.context.paths_changed, paths) and None, lambda text: None
    )
    await asyncio.to_thread(watcher.add, watched.root)
    times: list[float] = []
    gone = 0
    with watched.turning():
        switch = asyncio.create_task(asyncio.to_thread(git, watched.root, "checkout", "other"))
        began = done = time.perf_counter()
        while not switch.done() or watched.ready < done:
            asked = time.perf_counter()
            found = watched.query()
            times.append((time.perf_counter() - asked) * 1000)
            gone += sum(not (watched.root / path).exists() for path in found) if switch.done() else 0
            await asyncio.sleep(0.01)
            if not switch.done():
                done = time.perf_counter()
    watcher.close()
    return {
        "touched": touched,
        "checkout_s": done - began,
        "fresh_after_s": watched.ready - done,
        "queries": len(times),
        "query_p50_ms": statistics.median(times),
        "query_p95_ms": statistics.quantiles(times, n=20)[-1],
        "query_max_ms": max(times),
        "stall_ms": watched.stall * 1000,
        "files_quoted_that_are_gone": gone,
    }


def prepare(source: Path, root: Path, files: int, touched: int) -> int:
    """A repository with two branches that differ in `touched` files, every second of them by its name."""
    root.mkdir()
    copied(source, root, files)
    git(root, "init")
    git(root, "add", "-A")
    git(root, "commit", "-m", "one")
    git(root, "branch", "-M", "main")
    git(root, "checkout", "-b", "other")
    paths = sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)[:touched]
    for number, path in enumerate(paths):
        if number % 2:
            path.rename(path.with_name(f"other_{path.name}"))
        else:
            path.write_bytes(path.read_bytes() + b"\n# other\n")
    git(root, "add", "-A")
    git(root, "commit", "-m", "two")
    git(root, "checkout", "main")
    time.sleep(1)  # what changed this moment would be read again by a start
    return len(paths)


async def measure(root: Path, cache: Path, touched: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name in ("cold", "unchanged", "unchanged_again"):
        watched = Watched(root, cache)
        results[name] = await watched.start()
    results["branch"] = await switched(watched, touched)
    await watched.context.close()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--touched", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aix-lsp-") as folder:
        root, cache = Path(folder, "workspace").resolve(), Path(folder, "cache", "index")
        touched = prepare(options.folder, root, options.files, options.touched)
        results = asyncio.run(measure(root, cache, touched))
        results["kept_mb"] = sum(path.stat().st_size for path in cache.rglob("*")) / 1e6
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
