"""What every engine promises: load once, answer the latest request, say clearly what went wrong.

Nothing here knows how a model runs; `local.py` runs one in this process, `scripted.py` only pretends to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from aix_lsp.types import Generation, GenerationRequest, ModelInfo


class EngineError(Exception):
    """A request could not be answered. The message is one clear sentence for the user."""


class Superseded(EngineError):
    """A newer request took the model's place; the answer would have been stale."""


class EngineClosed(EngineError):
    """The engine was closed before the answer was there."""


class ModelError(EngineError):
    """A model could not be loaded. The message is one line and names the way out."""


class OutOfMemory(EngineError):
    """Memory ran out in the middle of a request. What it took is free again; the request may be run anew."""


class ModelLost(EngineError):
    """The model went away through no fault of the request (its process ended). Load again and run the request anew."""


class ModelChanged(EngineError):
    """The prompt was built for another model than the one that runs now. Load again and build it anew."""


@dataclass(frozen=True, slots=True)
class LoadEvent:
    """One step of a load as a client may show it. `percent` runs from 0 to 100; None says "unknown".

    `warning` carries what the user should know (the chosen model failed, another one answers); at most one
    `ready` follows, and none when the state ends as `failed`.
    """

    kind: Literal["progress", "ready", "warning"]
    message: str
    percent: int | None = None


OnEvent = Callable[[LoadEvent], None]
"""Called on the event loop that the engine was started with."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """Where the engine stands. `message` says what is going on, or why it failed."""

    phase: Literal["loading", "ready", "failed"]
    message: str = ""


@runtime_checkable
class Engine(Protocol):
    """A model behind a queue in which the latest request of each document wins.

    All methods are called on an event loop; none blocks it.
    """

    @property
    def model(self) -> ModelInfo | None:
        """The loaded model; None until the load is done, and when it failed."""
        ...

    @property
    def state(self) -> EngineState: ...

    async def ready(self) -> ModelInfo:
        """Wait for the load. Cancelling the waiter never stops the load.

        Raises ModelError when no model could be loaded, EngineClosed after `close`.
        """
        ...

    async def generate(self, request: GenerationRequest) -> Generation:
        """Run `request` as soon as the model is free; it takes the place of every one before it of its document, and
        of every background one. Those of other documents run in order of arrival.

        Raises Superseded at once when another request takes its place, EngineError when the prompt or the model
        fails. Cancelling the awaiting task frees the model within one token.
        """
        ...

    def close(self) -> None:
        """Stop at the next token and refuse what comes after. May be called twice; returns at once."""
        ...
