"""What a fault is, and the stage on which one is played: a real server, an editor, a small project.

A fault is a coroutine that takes a `Stage`, does the damage, and returns in a few words what was seen; it raises
AssertionError where a promise is broken, and `NotHere` where this machine cannot have the fault.
`python -m tests.faults` plays all of them, `test_faults.py` those that are quick.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import environment_in, servers, status, until_ready, workspace_in
from tests.findings import Finding
from tests.mirror import Mirror

Group = Literal["model", "workspace", "remote", "client"]


class NotHere(Exception):
    """This machine cannot have the fault; says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what is promised when it happens, and how it is made to happen."""

    name: str
    promise: str
    group: Group
    quick: bool
    run: Callable[[Stage], Awaitable[str]]


FAULTS: dict[str, Fault] = {}
"""All faults by name, once `tests.faults.every` is imported."""


def fault(promise: str, *, group: Group, quick: bool = True) -> Callable[[Callable[[Stage], Awaitable[str]]], Any]:
    """Register a fault; its name is the function's, with spaces. `quick` ones are in `make test`:
    together they take 40 seconds of a core at most, so each group has only those there that say most."""

    def register(run: Callable[[Stage], Awaitable[str]]) -> Callable[[Stage], Awaitable[str]]:
        name = run.__name__.replace("_", " ")
        if name in FAULTS:
            raise ValueError(f"two faults are called {name}")
        FAULTS[name] = Fault(name, promise, group, quick, run)
        return run

    return register


class Editor:
    """One editor with its server: what it shows, what it was told, and whether the server still does its work."""

    def __init__(self, client: LspClient) -> None:
        self.client = client
        self.mirror = Mirror(client.notify)
        self._chance = Random(0)

    def shown(self, words: str = "") -> list[str]:
        """Messages that opened in the editor and hold these words."""
        return [
            text
            for message in self.client.notifications
            if message["method"] == "window/showMessage" and words in (text := message["params"]["message"])
        ]

    async def until_shown(self, words: str, timeout: float = 60.0) -> str:
        """The first message with these words. Raises TimeoutError."""
        message = await self.client.wait_for_notification("window/showMessage", words, timeout)
        text: str = message["params"]["message"]
        return text

    def was_told_once(self, words: str) -> None:
        """Raises AssertionError unless exactly one message holds these words."""
        told = self.shown(words)
        assert len(told) == 1, f"{len(told)} messages say {words!r}: {self.shown()}"

    async def works(self, *, edits: int = 20, offers: bool = True) -> None:
        """Edits arrive, a completion is answered (with `offers` not only by an empty list), the status is told. Raises
        AssertionError where something is not so, TimeoutError where an answer does not come."""
        uri = "untitled:works"
        self.mirror.open(uri, "def total(amounts):\n    return su")
        for _ in range(edits):
            self.mirror.edit_somewhere(uri, self._chance)
        await self.mirror.check(self.client)
        self.mirror.replace(uri, "def total(amounts):\n    return su")
        items = await self.client.inline_completion(uri, 1, 13)
        assert items or not offers, "no completion came"
        self.mirror.close(uri)
        assert (await status(self.client))["state"], "no status came"


class Stage:
    """A folder of the fault's own, an environment, a small project, and servers that end with the fault."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], start: Callable[..., Awaitable[LspClient]]
    ) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.workspace = workspace_in(folder)
        self._start = start

    async def editor(
        self,
        folders: Sequence[Path] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        ready: bool = True,
        **options: Any,
    ) -> Editor:
        """Start a server for these folders (the project) and an editor for it. `settings` are sections of options for
        initializationOptions; `ready` waits for model and index; other options are those of `servers`."""
        client = await self._start(
            [self.workspace] if folders is None else folders, env=env, ready=False, options=settings, **options
        )
        editor = Editor(client)
        if ready:
            await until_ready(client)
        return editor

    def file(self, name: str) -> str:
        """The URI of a file of the project."""
        return path_to_uri(self.workspace / name)


@asynccontextmanager
async def stage(folder: Path, shared: Mapping[str, str]) -> AsyncIterator[Stage]:
    """A stage in an empty folder. `shared` is the environment of the one model for all (`tests/model_host.py`);
    `ALONE` lets a server load its own."""
    async with AsyncExitStack() as stack:
        environment = {**environment_in(folder), **shared}
        start = await stack.enter_async_context(servers(environment))
        yield Stage(folder, environment, start)


ALONE = {"AIX_LSP_MODEL__SHARE": "off"}
"""A model in the server's own process."""


async def play(one: Fault, folder: Path, shared: Mapping[str, str]) -> Finding:
    """Play a fault; what was seen. Every way in which it goes wrong is a finding."""
    try:
        async with stage(folder, shared) as place:
            return Finding(one.name, "ok", await one.run(place))
    except NotHere as why:
        return Finding(one.name, "skipped", str(why))
    except Exception as error:  # noqa: BLE001  # whatever breaks, the others are played
        said = " ".join(str(error).split())
        return Finding(one.name, "broken", f"{one.promise}: {said or type(error).__name__}")


@contextlib.contextmanager
def registered(*faults: Fault) -> Any:
    """Faults that are there for a while, for the harness's own tests."""
    for one in faults:
        FAULTS[one.name] = one
    try:
        yield
    finally:
        for one in faults:
            del FAULTS[one.name]
