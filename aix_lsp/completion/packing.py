"""Packing indexes in the background: one after the other, in a thread, never on the event loop."""

from __future__ import annotations

import asyncio

from aix_lsp.retrieval.index import RetrievalIndex


class Packer:
    """Packs where it is due. Lives on the event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def pack(self, index: RetrievalIndex) -> None:
        """Pack an index if it is due, and wait for that."""
        async with self._turn:
            if index.packing_due:
                await asyncio.to_thread(index.pack)

    def soon(self, index: RetrievalIndex) -> None:
        """Have an index packed if it is due and not about to be. Without an event loop there is nobody to wait."""
        if not index.packing_due or id(index) in self._tasks:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            index.pack()
            return
        task = self._tasks[id(index)] = loop.create_task(self.pack(index))
        task.add_done_callback(lambda _: self._tasks.pop(id(index), None))

    async def close(self) -> None:
        """Stop waiting; what runs in a thread ends by itself."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
