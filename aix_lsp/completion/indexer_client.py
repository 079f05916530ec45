"""The indexer process as the server sees it: started with a job, read part by part, ended when nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from aix_lsp.completion.index_job import IndexJob, Part
from aix_lsp.completion.indexer import part_of
from aix_lsp.environment import without_secrets

_PIPE_BYTES = 1 << 20
"""How much is read ahead of the loop."""

_END_S = 1.0
"""How long it is waited for, when its job is no longer wanted, until it is killed."""


class IndexerProcess:
    """A running indexer. Raises RuntimeError with its last words when it fails."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = asyncio.ensure_future(self._stream(process.stderr).read())

    @staticmethod
    def _stream(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
        if stream is None:
            raise RuntimeError("the indexer was started without pipes")
        return stream

    async def parts(self, job: IndexJob) -> AsyncIterator[Part]:
        """Give it the job, and follow it to its end. It goes on when the next part is asked for."""
        self._say(json.dumps(asdict(job)).encode())
        output = self._stream(self._process.stdout)
        try:
            while sizes := await output.readline():
                header, quotable, packed = [await self._take(int(size)) for size in sizes.split()]
                yield part_of(header, quotable, packed)
                self._say(b"")
        except (KeyError, ValueError, TypeError, asyncio.IncompleteReadError):
            raise RuntimeError(await self._last_words()) from None
        if await self._process.wait() != 0:
            raise RuntimeError(await self._last_words())

    def _say(self, line: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line + b"\n")

    async def _take(self, size: int) -> bytes:
        """Exactly so many bytes. Taken in pieces, since the stream's own way copies all of them on the loop."""
        output = self._stream(self._process.stdout)
        pieces: list[bytes] = []
        while size > 0:
            piece = await output.read(min(size, _PIPE_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            pieces.append(piece)
            size -= len(piece)
        if not pieces:
            return b""
        return pieces[0] if len(pieces) == 1 else await asyncio.to_thread(b"".join, pieces)

    async def _last_words(self) -> str:
        last = (await self._errors).decode(errors="replace").strip().splitlines()
        if last:
            return last[-1]
        status = await self._process.wait()
        if status < 0:  # systems without signals know no such status
            return f"the system or somebody ended the indexer by signal {-status}, as when the memory is short"
        return f"the indexer ended with status {status}"

    async def end(self) -> None:
        """End it if it still runs, with the git that it may have started, and read its pipes to their ends, without
        which they would stay open."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # it ends by that, but on Windows, and where a disk holds it
        late = asyncio.get_running_loop().call_later(_END_S if sys.platform != "win32" else 0, self._kill)
        try:
            await self._stream(self._process.stdout).read()
            await self._errors
            await self._process.wait()
        finally:
            late.cancel()

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


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
            limit=_PIPE_BYTES,
            env={**without_secrets(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
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
