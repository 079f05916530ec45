"""One soak: a server process of its own with the embedded model in it, a person who types (`person.py`), chores between
(`chores.py`), and looks at the server all the while (`measure.py`).

The warm-up ends when every document was typed in once, every chore was done once, both branches were checked out, and
a sixth of the time is over. Then the server comes to rest, and after each tenth of what is left again; the last rest is
the end.

By then the large caches are full: keys and values of 16 documents (96 MiB with aix-mini), oneDNN's kernels (after some
twenty prompts). What fills for hours after is small: the tokenizer's 8,192 strings (3 MiB, 6,000 keys), 8,192 words,
paths and texts of tokens each (2 MiB a cache), the hashes of 16,384 words (4 MiB), definitions until 8,192 of them
have changed (7 MiB).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from aix_lsp.cli.lsp_client import CAPABILITIES, LspClient, ServerError
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import environment_in
from tests.soak.chores import CHORES, QUICK, Deck, tidy
from tests.soak.measure import Reference, Scales
from tests.soak.person import Person
from tests.soak.project import FILES, build
from tests.soak.verdict import TENTHS, Seen

PROBE = Path(__file__).parent / "probe"
LONG_SECONDS = 600.0
"""From here on a run says something of latency, and comes to rest after each tenth."""
KEYS_PER_PART = 25
KEYS_PER_SHORT_PART = 8
WARM_UP_SHARE = 1 / 6
LEAST_SHARE = 1 / 3
REFERENCE_EVERY = 4.0
CALM_LOOKS = 20
_ERROR = re.compile(r"\b(ERROR|CRITICAL)\b|\"level\":\s*\"(error|critical)\"|^Traceback", re.MULTILINE)
_ABLE = {"configuration": True, "workspaceFolders": True, "didChangeConfiguration": {"dynamicRegistration": True}}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for: seconds in all, documents typed in, a seed, how many times faster than a person the keys come,
    and a file for the samples as JSON lines."""

    seconds: float = 3600.0
    documents: int = 50
    seed: int = 0
    speed: float = 1.0
    out: Path | None = None
    files: int = FILES
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def long(self) -> bool:
        """Whether latency is looked at."""
        return self.seconds >= LONG_SECONDS

    @property
    def keys(self) -> int:
        """Keys in one part."""
        return KEYS_PER_PART if self.long else KEYS_PER_SHORT_PART


async def soak(plan: Plan) -> Seen:
    """Run it; what was seen, also where an answer did not come or the server did not come to rest."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aix-"))).resolve()
        root = folder / "workspace"
        root.mkdir()
        project = await asyncio.to_thread(build, root, plan.seed, plan.files, plan.documents)
        out = stack.enter_context(plan.out.open("w", encoding="utf-8")) if plan.out is not None else None
        client = await stack.enter_async_context(LspClient(_command(folder), _environment(folder, plan)))
        await _introduce(client, root)
        seen = Seen()
        person = Person(client, project, plan.seed, plan.speed, seen)
        assert client.process is not None
        run = _Run(plan, person, Scales(client.process.pid, folder / "census.json"), began, folder, out)
        try:
            await run.all()
            code = await client.shutdown()
            if code:
                seen.failed.append(f"the server ended with exit code {code}")
        except (TimeoutError, ServerError, AssertionError) as error:
            # what was seen until then is told all the same
            seen.ended = seen.ended or time.monotonic() - began
            seen.failed.append(f"the run ended early: {type(error).__name__} {error}".rstrip())
        run.read_log()
        seen.twice = sum(count > 1 for count in client.answers.values())
        seen.errors += _shown_errors(client)
        return seen


class _Run:
    def __init__(
        self, plan: Plan, person: Person, scales: Scales, began: float, folder: Path, out: IO[str] | None
    ) -> None:
        self._plan = plan
        self._person = person
        self._scales = scales
        self._began = began
        self._folder = folder
        self._out = out
        self._seen = person.seen
        person.began = began
        scales.began = began

    async def all(self) -> None:
        """Warm-up, tenths, rests."""
        person, seen = self._person, self._seen
        await person.until_quiet()
        looking = [asyncio.ensure_future(self._sample()), asyncio.ensure_future(self._refer())]
        try:
            await self._warm_up()
            await self._rest()
            seen.warm_until = self._seconds
            # on a machine that is many times as slow the warm-up alone may have taken all the time
            left = max(self._plan.seconds - seen.warm_until, LEAST_SHARE * self._plan.seconds)
            tenths = range(1, TENTHS + 1) if self._plan.long else (TENTHS,)
            deck = self._deck()
            for tenth in tenths:
                # the rest at its end takes a moment too
                await self._type_until(seen.warm_until + left * tenth / TENTHS - 3, deck)
                seen.ended = self._seconds  # so far
                await self._rest()
                self._tell(f"{tenth} of {TENTHS}")
            seen.ended = self._seconds
        finally:
            for task in looking:
                task.cancel()
            ended = await asyncio.gather(*looking, return_exceptions=True)
        for how in ended:
            if isinstance(how, Exception):
                raise how

    async def _warm_up(self) -> None:
        person = self._person
        deck = self._deck()
        for number in range(max(len(person.project.typed), len(CHORES))):
            await person.part(self._plan.keys)
            if number < len(CHORES):
                await deck.next()
        await self._type_until(self._plan.seconds * WARM_UP_SHARE, deck)
        self._tell("warm")

    def _deck(self) -> Deck:
        return Deck(self._person, CHORES if self._plan.long else QUICK)

    async def _type_until(self, seconds: float, deck: Deck) -> None:
        while self._seconds < seconds:
            await self._person.part(self._plan.keys)
            if self._seconds < seconds:
                await deck.next()

    async def _rest(self) -> None:
        """With the workspace as at the start: a folder more is a thread more, which watches it."""
        person = self._person
        await person.settle()
        await tidy(person)
        await person.compare()
        await person.until_quiet()
        await self._until_calm()
        self._seen.rests.append(await self._scales.rest(6.0 if self._plan.long else 1.0))
        self._write("rest", asdict(self._seen.rests[-1]))
        self.read_log()

    async def _until_calm(self) -> None:
        """The last threads and children end, the caches are tidied, what was begun ahead is done: a second in which no
        thread works, or five minutes. On a busy machine one that gets no processor time may have work all the same."""
        end = time.monotonic() + 300
        calm = 0
        while calm < CALM_LOOKS and time.monotonic() < end:
            before = self._scales.cpu()
            await asyncio.sleep(0.05)
            works = self._scales.cpu() - before > 0.01 or self._scales.working() or self._scales.children()
            calm = 0 if works else calm + 1

    async def _sample(self) -> None:
        while True:
            sample = self._scales.sample(self._seen.done["key"], self._person.runs)
            self._seen.samples.append(sample)
            self._write("sample", asdict(sample))
            await asyncio.sleep(1.0 if self._plan.long else 0.25)

    async def _refer(self) -> None:
        """How fast the machine is, and how often the model ran."""
        if not self._plan.long:
            return
        reference = Reference()
        while True:
            self._seen.references.append((round(self._seconds, 2), await reference.milliseconds()))
            status = await self._person.told("aix.status")
            self._person.runs = status["engine"]["runs"] + status["engine"]["background_runs"]
            await asyncio.sleep(REFERENCE_EVERY)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _write(self, what: str, values: Mapping[str, Any]) -> None:
        if self._out is not None:
            self._out.write(json.dumps({"what": what, **values}) + "\n")
            self._out.flush()

    def _tell(self, place: str) -> None:
        if self._seen.samples:
            own = self._seen.samples[-1].own / (1 << 20)
            print(
                f"  {self._seconds:6.0f} s  {place:<9}  {own:5.0f} MiB  {self._seen.done['key']} keys", file=sys.stderr
            )

    def read_log(self) -> None:
        """Lines at ERROR level so far; the files turn over, so they are read now and then."""
        found: list[str] = []
        for path in self._folder.glob("server*.log*"):
            with suppress(OSError):
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                found += [line[:200] for line in lines if _ERROR.search(line)]
        self._seen.errors += [line for line in dict.fromkeys(found) if line not in self._seen.errors]


def _command(folder: Path) -> list[str]:
    serve = [sys.executable, "-P", "-m", "aix_lsp", "serve", "--stdio", "--set", "model.share=off"]
    # what the server writes to standard error is looked at as well
    return ["sh", "-c", f'exec "$@" 2>"{folder}/server-errors.log"', "sh", *serve]


def _environment(folder: Path, plan: Plan) -> dict[str, str]:
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    path = os.pathsep.join([str(PROBE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **environment_in(folder),
        "XDG_RUNTIME_DIR": str(runtime),
        "AIX_LSP_INSPECT__SOCKET": "true",
        "AIX_LSP_MODEL__NAME": "aix-mini",
        "AIX_LSP_MODEL__IDLE_MINUTES": "0",
        "AIX_LSP_LOG__FILE": str(folder / "server.log"),
        "PYTHONPATH": path,
        "AIX_SOAK_CENSUS": str(folder / "census.json"),
        **({} if plan.long else {"AIX_SOAK_TRIM": "1"}),
        **plan.environment,
    }


async def _introduce(client: LspClient, root: Path) -> None:
    folder = {"uri": path_to_uri(root), "name": root.name}
    capabilities = {
        **CAPABILITIES,
        "general": {"positionEncodings": ["utf-16"]},
        "workspace": _ABLE,
        "window": {"workDoneProgress": True, "showDocument": {"support": True}},
        "experimental": {"aix": {"status": True}},
    }
    await client.request(
        "initialize",
        {
            "processId": os.getpid(),
            "clientInfo": {"name": "a soak"},
            "rootUri": folder["uri"],
            "workspaceFolders": [folder],
            "capabilities": capabilities,
        },
    )
    client.notify("initialized", {})


def _shown_errors(client: LspClient) -> list[str]:
    """What opened in the editor as an error, or was logged there as one."""
    kinds = ("window/showMessage", "window/logMessage")
    messages = [message["params"] for message in client.notifications if message["method"] in kinds]
    return [message["message"] for message in messages if message["type"] == 1]
