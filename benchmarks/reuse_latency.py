"""How long an answer takes that needs nobody to be asked: milliseconds in the server, from the message to the answer.

    python benchmarks/reuse_latency.py --folder aix_lsp --requests 500

A whole server runs in this process with an engine that writes what it is told to, on a folder that is indexed and a
file of it that is open. An offer is made, then typed into and undone, a key per request. Each time from the bytes of a
request to the bytes of its answer is taken on the server's own thread, and what of it that thread was at work
(`cpu_ms`). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aix_lsp.engine.base import Engine, OnEvent
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.server.app import AixServer
from aix_lsp.settings import Settings
from aix_lsp.uris import path_to_uri

OFFER = "total_of(amounts, rate) * (1 + other_rate) - rebate_for(customer, season)"
PLACE = "\n\nresult = "


def scripted(settings: Settings, on_event: OnEvent) -> Engine:
    """An engine that always writes the same."""
    engine = ScriptedEngine(OFFER, on_event=on_event)
    engine.start(asyncio.get_running_loop())
    return engine


class Server:
    """A server in this process, with the moments of its messages."""

    def __init__(self) -> None:
        options = {"statistics.enabled": False, "workspace.watch": "off", "completion.prepare_next": False}
        self.server = AixServer({**options, "completion.confidence": "off"}, scripted)
        self.came: dict[int, tuple[float, float]] = {}
        self.answers: dict[int, asyncio.Future[tuple[Any, float, float]]] = {}
        protocol = self.server.protocol
        handle, send = protocol.handle_body, protocol._send_data

        def handled(body: bytes) -> None:
            number = json.loads(body).get("id")
            if isinstance(number, int):
                self.came[number] = time.perf_counter(), time.thread_time()
            handle(body)

        def sent(data: Any) -> None:
            send(data)
            if isinstance(data, dict):
                number, result = data.get("id"), data.get("result")
            else:
                number, result = getattr(data, "id", None), getattr(data, "result", None)
            if isinstance(number, int) and number in self.came:
                wall, work = self.came[number]
                self.answers[number].set_result((result, time.perf_counter() - wall, time.thread_time() - work))

        protocol.handle_body = handled  # type: ignore[method-assign]
        protocol._send_data = sent  # type: ignore[method-assign]
        source, self._sink = os.pipe()
        self._number = 0
        self._serving = asyncio.ensure_future(
            self.server.serve(os.fdopen(source, "rb"), open(os.devnull, "wb"))  # noqa: SIM115, PTH123
        )

    def tell(self, method: str, params: Any, **more: Any) -> None:
        """Send a message."""
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        os.write(self._sink, b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def ask(self, method: str, params: Any) -> tuple[Any, float, float]:
        """A request's result, and how many seconds it took in the server: by the clock, and of its thread's work."""
        self._number += 1
        answer = self.answers[self._number] = asyncio.get_running_loop().create_future()
        self.tell(method, params, id=self._number)
        return await answer

    async def close(self) -> None:
        """Shut the server down."""
        await self.ask("shutdown", None)
        self.tell("exit", None)
        await self._serving


async def measure(folder: Path, path: Path, text: str, requests: int) -> dict[str, Any]:
    """All figures, typing at the end of a file's text."""
    uri, line, column = path_to_uri(path), text.count("\n"), len(PLACE) - PLACE.rfind("\n") - 1
    server = Server()
    folders = [{"uri": path_to_uri(folder), "name": folder.name}]
    await server.ask(
        "initialize", {"processId": None, "rootUri": None, "capabilities": {}, "workspaceFolders": folders}
    )
    server.tell("initialized", {})
    opened = {"uri": uri, "languageId": "python", "version": 1, "text": text}
    server.tell("textDocument/didOpen", {"textDocument": opened})
    session = server.server.session
    await session.settled.wait()
    while any(item.phase != "ready" for item in session.context.folders):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    figures: dict[str, list[tuple[float, float]]] = {}
    typed, version = -1, 0
    while len(figures.get("typed-through", ())) < requests:
        typed = (typed + 1) % (len(OFFER) - 1)
        version += 1
        whole = {"start": {"line": line, "character": column}, "end": {"line": line, "character": 10_000}}
        change = {"range": whole, "text": OFFER[:typed]}
        document = {"uri": uri, "version": version + 1}
        server.tell("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
        place = {"line": line, "character": column + typed}
        params = {"textDocument": {"uri": uri}, "position": place, "context": {"triggerKind": 2}}
        answer, wall, work = await server.ask("textDocument/inlineCompletion", params)
        latest = session.trace.latest
        assert latest is not None
        if latest.result.items:
            assert answer.items[0].insert_text == OFFER[typed:]
        figures.setdefault(latest.result.source, []).append((wall * 1000, work * 1000))
    await server.close()
    return {
        "file": path.name,
        "characters": len(text),
        "answers": {name: told(times) for name, times in figures.items()},
    }


def told(times: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The figures of one kind of answer."""
    wall, work = ([round(item, 3) for item in column] for column in zip(*times, strict=True))
    cuts = [statistics.quantiles(column, n=20)[-1] if len(column) > 1 else column[0] for column in (wall, work)]
    return {
        "requests": len(times),
        "p50_ms": statistics.median(wall),
        "p95_ms": round(cuts[0], 3),
        "most_ms": max(wall),
        "cpu_ms": {"p50": statistics.median(work), "p95": round(cuts[1], 3)},
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("aix_lsp"))
    parser.add_argument("--requests", type=int, default=500)
    given = parser.parse_args()
    folder = given.folder.resolve()
    path = max(folder.rglob("*.py"), key=lambda item: item.stat().st_size)
    text = path.read_text(encoding="utf-8") + PLACE
    print(json.dumps(asyncio.run(measure(folder, path, text, given.requests))))


if __name__ == "__main__":
    main()
