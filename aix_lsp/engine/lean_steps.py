"""Passes over a fixed number of tokens with nothing left for the processor to decide: what a CUDA graph can replay.

A small pass on a GPU is a few hundred kernels of microseconds each, and starting them from Python takes longer than
running them. So the pass is written once on tensors that stand still (tokens, their place, the cache), recorded as a
CUDA graph, and replayed. Attention reads a fixed length of the cache, the next step of a ladder, and hides what is not
filled; so there is one graph for every number of tokens and step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.key_value_cache import KeyValueCache

if TYPE_CHECKING:
    from torch import Tensor

    from aix_lsp.engine.lean import LeanForward

ROWS = (1, 2, 4, 8, 16)
"""Numbers of tokens for which there are passes; fewer are filled up."""

_SHORTEST = 256


def span(length: int, places: int) -> int:
    """The fixed length that a pass reads for a text of `length` tokens: powers of two and the steps half way."""
    reach = _SHORTEST
    while reach < length:
        reach += reach // 2 if reach & (reach - 1) == 0 else reach // 3
    return min(reach, places)


class FixedSteps:
    """Runs passes of up to 16 tokens over the caches of a `LeanForward`. With `record` they are CUDA graphs.

    One cache at a time lies in the tensors that the graphs know; another one is copied there when it is its turn, which
    takes a millisecond, and the first is parked in a copy of its own length. `failure` says why graphs are off.
    """

    def __init__(self, forward: LeanForward, *, record: bool) -> None:
        import torch

        self.failure = ""
        self._forward = forward
        self._record = record
        self._active: KeyValueCache | None = None
        self._passes: dict[tuple[int, int], Callable[[], Tensor]] = {}
        self._tensors: tuple[int, ...] = ()
        self._pool: Any = None
        with torch.inference_mode():
            self._start = torch.zeros(1, dtype=torch.long, device=forward.device)
            self._ids = {rows: torch.zeros(rows, dtype=torch.long, device=forward.device) for rows in ROWS}

    def release(self) -> None:
        """Let go of the graphs and the tensors that they hold."""
        self._passes.clear()
        self._active = None
        self._pool = None

    def run(self, cache: KeyValueCache, ids: Sequence[int], keep: int) -> Tensor | None:
        """See `LeanForward.run`; None where this pass has to be run the plain way."""
        rows = next((rows for rows in ROWS if rows >= len(ids)), None)
        if self.failure:
            return None
        # For the other passes too: what they write is then where the fixed ones want it.
        self.stage(cache)
        if rows is None:
            return None
        start = cache.length
        end = start + rows
        # Filled-up rows write behind the text, where everything is overwritten later.
        if not self._forward.reserve(cache, end):
            return None
        try:
            import torch

            # Streams and graphs are made on the current GPU, which need not be the model's.
            place = torch.cuda.device(self._forward.device) if self._record else contextlib.nullcontext()
            with place, torch.inference_mode():
                self._start.fill_(start)
                self._ids[rows].copy_(torch.tensor([*ids, *[ids[-1]] * (rows - len(ids))]))
                logits = self._pass(cache, rows, span(end, cache.places))()
        except Exception as error:
            from aix_lsp.engine.recovery import is_out_of_memory

            if is_out_of_memory(error) or not self._record:
                raise
            self.release()
            self.failure = f"no CUDA graphs ({type(error).__name__} while one was recorded)"
            return None
        cache.length = start + len(ids)
        return logits[len(ids) - keep : len(ids)]

    def stage(self, cache: KeyValueCache) -> None:
        """Make `cache` the one that lies in the graphs' tensors."""
        active = self._active
        if cache is active:
            return
        if active is not None and active.places:
            import torch

            with torch.inference_mode():
                tensors, places = active.layers, active.places
                active.park()
                if cache.length <= places:
                    cache.move_to(tensors, places)
        self._active = cache

    def _pass(self, cache: KeyValueCache, rows: int, reach: int) -> Callable[[], Tensor]:
        # All of them: an allocator may give one tensor its old place and another one a new one.
        tensors = (cache.places, *(tensor.data_ptr() for tensor in (*cache.layers, *self._forward.angles)))
        if tensors != self._tensors:
            self._passes.clear()
            self._tensors = tensors
        found = self._passes.get((rows, reach))
        if found is None:
            found = self._recorded(cache, rows, reach) if self._record else self._plain(cache, rows, reach)
            self._passes[rows, reach] = found
        return found

    def _plain(self, cache: KeyValueCache, rows: int, reach: int) -> Callable[[], Tensor]:
        # the tensors, not the cache: another document's may lie in them by then
        layers = list(cache.layers)
        return lambda: self._compute(layers, rows, reach)

    def _recorded(self, cache: KeyValueCache, rows: int, reach: int) -> Callable[[], Tensor]:
        import torch

        layers = list(cache.layers)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            # Libraries set themselves up at first use, which cannot be recorded. It writes what the pass will write.
            for _ in range(2):
                self._compute(layers, rows, reach)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # One pool for all: a graph's result is read before the next is replayed.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = self._compute(layers, rows, reach)

        def replay() -> Tensor:
            graph.replay()
            return logits

        return replay

    def _compute(self, layers: Sequence[Tensor], rows: int, reach: int) -> Tensor:
        import torch

        forward = self._forward
        attention = forward.attention
        cos, sin = forward.angles
        places = self._start + torch.arange(rows, device=forward.device)
        states = forward.states(
            forward.embedded(self._ids[rows]),
            cos.index_select(0, places),
            sin.index_select(0, places),
            layers,
            lambda layer, made: layer.index_copy_(1, places, made.transpose(0, 1)),
            attention.by_flash(self._start + rows) or attention.fixed(places, rows, reach),
            few=True,
        )
        return forward.logits(states)
