"""The servers of this user that run, asked over their private sockets (`server/inspection.py` says what travels)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aix_lsp.cli.failure import UsageError
from aix_lsp.completion.trace import Traced
from aix_lsp.completion.trace_data import traced_of
from aix_lsp.completion.trace_words import Summary, printable
from aix_lsp.engine.base import EngineError
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import Message, ProtocolError, Unpacker, pack, proof, proves
from aix_lsp.server import inspection_place
from aix_lsp.server.inspection import INSPECTOR_SIDE, PROTOCOL, SERVER_SIDE

_PATIENCE_S = 3.0


class ServerGone(EngineError):
    """A server ended, or does not want to be asked; one line."""


@dataclass(frozen=True, slots=True)
class About:
    """What a server says of itself."""

    pid: int
    version: str
    client: str
    folders: tuple[Path, ...]
    state: str
    message: str
    model: str
    capacity: int
    latest: float
    summary: Summary
    client_version: str = ""
    log: str = ""

    @property
    def name(self) -> str:
        """`process 4711 (neovim) of /home/me/shop`."""
        client = f" ({self.client})" if self.client else ""
        folders = ", ".join(map(str, self.folders)) or "no folder"
        return printable(f"process {self.pid}{client} of {folders}")


class RunningServer:
    """A connection to one server. Raises ServerGone from everything when the server ends."""

    def __init__(self, place: Place, patience: float = _PATIENCE_S) -> None:
        """Connect and shake hands. Raises OSError or ValueError when nobody is there, ServerGone when refused."""
        self._connection, token = place.connect(patience)
        self._unpacker = Unpacker()
        self._ready: list[Message] = []
        try:
            self.about = self._shake_hands(token)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()

    def last(self, count: int) -> list[Traced]:
        """The last so many requests, oldest first."""
        return self._ask({"op": "last", "count": count})

    def request(self, number: int) -> Traced | None:
        """One request; None where it is not remembered."""
        return next(iter(self._ask({"op": "request", "number": number})), None)

    def set_log_level(self, level: str) -> None:
        """Have the server log so much from now on; empty: what its settings say."""
        self._ask({"op": "level", "level": level})

    def follow(self) -> Iterator[Traced]:
        """Each request from now on, until the server ends."""
        self._connection.settimeout(None)
        self._send({"op": "follow"})
        while True:
            try:
                message = self._next()
            except ServerGone:
                return
            if message["op"] == "record":
                yield traced_of(message["record"])

    def _ask(self, message: Message) -> list[Traced]:
        self._send(message)
        found = []
        while (answer := self._next())["op"] != "end":
            if answer["op"] == "record":
                found.append(traced_of(answer["record"]))
        return found

    def _shake_hands(self, token: str) -> About:
        hello = self._next()
        nonce = secrets.token_hex(16)
        said = proof(token, str(hello.get("nonce")), INSPECTOR_SIDE)
        self._send({"op": "hello", "protocol": PROTOCOL, "nonce": nonce, "proof": said})
        welcome = self._next()
        if welcome["op"] != "welcome" or not proves(welcome.get("proof"), token, nonce, SERVER_SIDE):
            raise ServerGone("what listens in place of the server does not know its token")
        return about_of(welcome.get("server"))

    def _send(self, message: Message) -> None:
        try:
            self._connection.sendall(pack(message))
        except OSError as error:
            raise ServerGone(f"the server does not answer ({error.strerror or error})") from None

    def _next(self) -> Message:
        try:
            while not self._ready:
                data = self._connection.recv(1 << 16)
                if not data:
                    raise ServerGone("the server has ended")
                self._ready.extend(self._unpacker.feed(data))
        except (OSError, ProtocolError) as error:
            raise ServerGone(f"the server does not answer ({error})") from None
        message = self._ready.pop(0)
        if message["op"] == "refused":
            raise ServerGone(str(message.get("message", "the server refuses to be asked")))
        return message


def about_of(data: Any) -> About:
    """What a server said of itself. Raises ServerGone for anything else."""
    try:
        reasons = tuple((str(reason), int(count)) for reason, count in data["reasons"])
        return About(
            pid=int(data["pid"]),
            version=str(data["version"]),
            client=str(data["client"]),
            folders=tuple(Path(folder) for folder in data["folders"]),
            state=str(data["state"]),
            message=str(data["message"]),
            model=str(data["model"]),
            capacity=int(data["capacity"]),
            latest=float(data["latest"]),
            summary=Summary(
                int(data["asked"]), int(data["offered"]), int(data["accepted"]), reasons, int(data.get("given_up", 0))
            ),
            client_version=str(data.get("client_version", "")),
            log=str(data.get("log", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ServerGone(f"the server describes itself in a way that is not understood ({error})") from None


@contextlib.contextmanager
def running() -> Iterator[tuple[list[RunningServer], list[str]]]:
    """All servers that answer, oldest first, and one line for each that does not. Raises HostUnavailable where the
    folder of sockets is somebody else's."""
    servers: list[RunningServer] = []
    problems: list[str] = []
    try:
        for place in inspection_place.living():
            process = place.key.partition("-")[0]
            try:
                servers.append(RunningServer(place))
            except (FileNotFoundError, ConnectionError, ValueError):
                continue  # it is only about to begin, or to end
            except (OSError, ServerGone) as error:
                problems.append(printable(f"process {process}: {error}"))
        yield servers, problems
    finally:
        for server in servers:
            server.close()


def choose(servers: Sequence[RunningServer], here: Path, pid: int | None = None) -> RunningServer:
    """The server with this process id; without one, the one whose folder holds `here` (the innermost folder, then the
    one that was asked last), or the only one there is. Raises UsageError that lists them otherwise."""
    listed = "; ".join(server.about.name for server in servers)
    if not servers:
        raise UsageError("no aix-lsp server of yours is running (or inspect.socket is off): open a file in your editor")
    if pid is not None:
        found = next((server for server in servers if server.about.pid == pid), None)
        if found is None:
            raise UsageError(f"no aix-lsp server has process id {pid}; running: {listed}")
        return found
    holding = [(depth, server) for server in servers if (depth := _depth(server.about.folders, here))]
    if holding:
        return max(holding, key=lambda item: (item[0], item[1].about.latest))[1]
    if len(servers) == 1:
        return servers[0]
    raise UsageError(f"{len(servers)} servers run and none is of this folder; name one with --pid: {listed}")


def _depth(folders: Sequence[Path], here: Path) -> int:
    """Parts of the innermost folder that holds `here`; 0 when none does."""
    return max((len(folder.parts) for folder in folders if here == folder or folder in here.parents), default=0)
