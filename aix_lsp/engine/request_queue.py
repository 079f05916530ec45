"""Which waiting request runs next, and which ones a new request replaces. Pure: no threads, no clock.

The rules: the latest request of a document takes the place of its earlier ones; requests of different documents run in
order of arrival, those of a client that was served longer ago first; a background request runs only while nothing else
waits, replaces no other but a background one, and is replaced by any other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

_REMEMBERED_CLIENTS = 256


class Queued(Protocol):
    """What the rules need to know of a request. `client` tells apart the windows that share a model."""

    @property
    def client(self) -> str: ...

    @property
    def document(self) -> str: ...

    @property
    def background(self) -> bool: ...


Item = TypeVar("Item", bound=Queued)


def replaces(new: Queued, old: Queued) -> bool:
    """Whether a new request takes the place of one that runs or waits."""
    if old.background:
        return True
    return not new.background and (new.client, new.document) == (old.client, old.document)


class RequestQueue(Generic[Item]):
    """The requests that wait, and the one that runs. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._waiting: list[Item] = []
        self._running: Item | None = None
        # clients in the order in which they were served last, the longest ago first
        self._served: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> Item | None:
        """The request that `take` gave last, until it is `done`."""
        return self._running

    def put(self, new: Item) -> list[Item]:
        """Let `new` wait; returns those whose place it takes, perhaps the running one among them."""
        replaced = [old for old in self._waiting if replaces(new, old)]
        self._waiting = [old for old in self._waiting if not replaces(new, old)]
        if self._running is not None and replaces(new, self._running):
            replaced.append(self._running)
        self._waiting.append(new)
        return replaced

    def take(self) -> Item | None:
        """The request to run now; None when none waits."""
        if not self._waiting:
            return None
        turns = {client: turn for turn, client in enumerate(self._served, 1)}
        # min takes the first of equals, and they stand in the order of their arrival
        chosen = min(self._waiting, key=lambda item: (item.background, turns.get(item.client, 0)))
        self._waiting.remove(chosen)
        self._served[chosen.client] = None
        self._served.move_to_end(chosen.client)
        if len(self._served) > _REMEMBERED_CLIENTS:
            self._served.popitem(last=False)
        self._running = chosen
        return chosen

    def done(self, item: Item) -> None:
        """`item` does not run any more."""
        if self._running is item:
            self._running = None

    def drop(self, item: Item) -> None:
        """`item` need not be run any more."""
        if item in self._waiting:
            self._waiting.remove(item)

    def clear(self) -> list[Item]:
        """Nobody waits any more; returns those who did, and the running one."""
        left = [*self._waiting, *([self._running] if self._running is not None else [])]
        self._waiting.clear()
        return left
