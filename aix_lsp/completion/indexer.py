"""The indexer process: scans one workspace folder, reads its files, and hands over a packed index of their chunks,
then one of their definitions.

A process of its own, niced: a Python thread that indexes slows a decoding step 2.3 to 5 times, a niced process
1.4 times (measured; docs/log.md). It reads one JSON object from stdin and writes to stdout one line about the scan, a
header line, the packed chunks, and when it has them the packed definitions. Nothing else is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aix_lsp.languages import is_code
from aix_lsp.retrieval.bm25 import PackedSegment
from aix_lsp.retrieval.build import build_segment
from aix_lsp.retrieval.definitions import build_definitions
from aix_lsp.retrieval.definitions_packed import PackedDefinitions
from aix_lsp.settings import Settings
from aix_lsp.workspace.scanner import Scanner


@dataclass(frozen=True, slots=True)
class IndexJob:
    """What to index."""

    root: str
    ignore: Sequence[str] = ()
    max_file_bytes: int = 512 * 1024
    max_files: int = 20_000
    chunk_lines: int = 10

    def scanner(self) -> Scanner:
        """The scanner that follows this job's rules, for single files later on."""
        return Scanner(
            Path(self.root),
            ignore=self.ignore,
            max_file_bytes=self.max_file_bytes,
            max_files=self.max_files,
            accepts=is_code,
        )


def job_for(root: Path, settings: Settings) -> IndexJob:
    """The job that indexes a folder under these settings."""
    return IndexJob(
        root=str(root),
        ignore=settings.workspace.ignore,
        max_file_bytes=settings.workspace.max_file_kb * 1024,
        max_files=settings.workspace.max_files,
        chunk_lines=settings.retrieval.chunk_lines,
    )


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a scan found. `left_out` counts files by reason, "content" for those that only reading told: no text after
    all, or a secret in it; `truncated`: there were more than `max_files`, and the most recently changed were taken."""

    files: int
    left_out: dict[str, int]
    truncated: bool


@dataclass(frozen=True, slots=True)
class BuiltChunks:
    """The first half of a build: what was found, the files that were read, and their chunks."""

    report: IndexReport
    paths: tuple[str, ...]
    segment: PackedSegment


def build(job: IndexJob, on_scanned: Callable[[IndexReport], None] = lambda found: None) -> BuiltChunks:
    """Scan, read and pack the chunks in this process. `on_scanned` is told of the scan before files are read."""
    scanner = job.scanner()
    found = scanner.scan()
    on_scanned(IndexReport(len(found.files), found.left_out, found.truncated))
    paths: list[str] = []

    def texts() -> Iterator[tuple[str, str]]:
        for entry in found.files:
            text = scanner.read(entry.path)
            if text is not None:
                paths.append(entry.path)
                yield entry.path, text

    segment = build_segment(texts(), chunk_lines=job.chunk_lines)
    unread = len(found.files) - len(paths)
    left_out = {**found.left_out, "content": unread} if unread else found.left_out
    return BuiltChunks(IndexReport(len(paths), left_out, found.truncated), tuple(paths), segment)


def definitions_of(job: IndexJob, paths: Sequence[str]) -> PackedDefinitions:
    """The second half: the definitions in these files, read again as they are now."""
    scanner = job.scanner()
    texts = ((path, scanner.read(path)) for path in paths)
    return build_definitions((path, text) for path, text in texts if text is not None)


class IndexerProcess:
    """What a running indexer hands over: first chunks, then definitions. Raises RuntimeError with its last words."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = asyncio.ensure_future(self._stream(process.stderr).read())

    @staticmethod
    def _stream(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
        if stream is None:
            raise RuntimeError("the indexer was started without pipes")
        return stream

    async def chunks(
        self, job: IndexJob, on_scanned: Callable[[IndexReport], None]
    ) -> tuple[IndexReport, PackedSegment]:
        """Give it the job and wait for what it finds. `on_scanned` is told which files there are."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(asdict(job)).encode())
            self._process.stdin.close()
        output = self._stream(self._process.stdout)
        try:
            on_scanned(IndexReport(**json.loads(await output.readline())))
            header = json.loads(await output.readline() or b"{}")
            packed = await output.readexactly(header.pop("segment_bytes"))
        except (KeyError, ValueError, TypeError, asyncio.IncompleteReadError):
            raise RuntimeError(await self._last_words()) from None
        return IndexReport(**header), PackedSegment.from_bytes(packed)

    async def definitions(self) -> PackedDefinitions:
        """Wait for the rest, and for its end."""
        packed = await self._stream(self._process.stdout).read()
        if await self._process.wait() != 0:
            raise RuntimeError(await self._last_words())
        return PackedDefinitions.from_bytes(packed)

    async def _last_words(self) -> str:
        last = (await self._errors).decode(errors="replace").strip().splitlines()
        return last[-1] if last else f"the indexer ended with {await self._process.wait()}"

    async def end(self) -> None:
        """Kill it if it still runs, and read its pipes to their ends, without which they would stay open."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._stream(self._process.stdout).read()
        await self._errors
        await self._process.wait()


@asynccontextmanager
async def indexer_process() -> AsyncIterator[IndexerProcess]:
    """A niced process that waits for its job; killed when this is left, by cancelling too."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # an editor starts us inside the workspace, whose modules must not be imported
            "-m",
            "aix_lsp.completion.indexer",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    )
    try:
        # a start that is cancelled half way would leave a process that nobody knows
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await IndexerProcess(await starting).end()
        raise
    process = IndexerProcess(starting.result())
    try:
        yield process
    finally:
        await process.end()


def main() -> None:
    """Entry of the process."""
    if hasattr(os, "nice"):
        os.nice(19)
    job = IndexJob(**json.load(sys.stdin))
    output = sys.stdout.buffer

    def tell(found: IndexReport) -> None:
        output.write(json.dumps(asdict(found)).encode() + b"\n")
        output.flush()

    built = build(job, tell)
    packed = built.segment.to_bytes()
    output.write(json.dumps({**asdict(built.report), "segment_bytes": len(packed)}).encode() + b"\n")
    output.write(packed)
    output.flush()
    paths = built.paths
    del packed, built  # the parser needs the room
    output.write(definitions_of(job, paths).to_bytes())


if __name__ == "__main__":
    main()
