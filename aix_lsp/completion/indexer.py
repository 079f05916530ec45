"""The indexer process: scans one workspace folder, reads its files, and hands over a packed index.

A process of its own, niced: a Python thread that indexes slows a decoding step 2.3 to 5 times, a niced process
1.4 times (measured; docs/log.md). It reads one JSON object from stdin and writes one header line and the packed
index to stdout. Nothing else is kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from aix_lsp.languages import is_code
from aix_lsp.retrieval.bm25 import PackedSegment
from aix_lsp.retrieval.build import build_segment
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
    """What a scan found. `left_out` counts files by reason; `truncated`: there were more than `max_files`."""

    files: int
    left_out: dict[str, int]
    truncated: bool


def build(job: IndexJob) -> tuple[IndexReport, PackedSegment]:
    """Scan, read and pack in this process."""
    scanner = job.scanner()
    found = scanner.scan()
    read = 0

    def texts() -> Iterator[tuple[str, str]]:
        nonlocal read
        for entry in found.files:
            text = scanner.read(entry.path)
            if text is not None:
                read += 1
                yield entry.path, text

    segment = build_segment(texts(), chunk_lines=job.chunk_lines)
    return IndexReport(read, found.left_out, found.truncated), segment


async def build_in_process(job: IndexJob) -> tuple[IndexReport, PackedSegment]:
    """The same in a niced process. Cancelling kills it. Raises RuntimeError with the process's last words."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # an editor starts us inside the workspace, whose modules must not be imported
        "-m",
        "aix_lsp.completion.indexer",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        output, errors = await process.communicate(json.dumps(asdict(job)).encode())
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().splitlines()
        raise RuntimeError(last[-1] if last else f"the indexer ended with {process.returncode}")
    header, _, packed = output.partition(b"\n")
    return IndexReport(**json.loads(header)), PackedSegment.from_bytes(packed)


def main() -> None:
    """Entry of the process."""
    if hasattr(os, "nice"):
        os.nice(19)
    report, segment = build(IndexJob(**json.load(sys.stdin)))
    sys.stdout.buffer.write(json.dumps(asdict(report)).encode() + b"\n" + segment.to_bytes())


if __name__ == "__main__":
    main()
