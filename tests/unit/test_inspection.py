"""The private socket at which running servers are asked: who may, who is found, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aix_lsp.cli import doctor_servers
from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.servers import About, RunningServer, ServerGone, choose, running
from aix_lsp.completion.trace import TraceLog
from aix_lsp.completion.trace_words import Summary
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import Message, Unpacker, pack
from aix_lsp.server import inspection as socket_module
from aix_lsp.server import inspection_place
from aix_lsp.server.inspection import Inspection
from aix_lsp.types import CompletionResult, Prompt
from tests.unit.traces import log_of, offered, request, silent

PATIENCE_S = 60.0
READY = SimpleNamespace(state="ready", message="small is ready")
GARBAGE = [
    b"\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x02[]",
    pack({"op": "last", "count": 3}),
    pack({"op": "hello", "protocol": 99}),
    pack({"op": "hello", "protocol": 1, "nonce": "x", "proof": "x" * 64}),
    pack({"op": "hello", "protocol": 1, "proof": None}),
]


@dataclass
class OneSession:
    """As much of a session as the socket asks for."""

    trace: TraceLog
    folders: dict[str, Path] = field(default_factory=dict)
    client_name: str = "an editor"
    client_version: str = "1.2"
    given_up: int = 0
    server: Any = field(default_factory=lambda: SimpleNamespace(version="1", logs=None))
    engine: Any = field(default_factory=lambda: SimpleNamespace(model=None))
    activity: Any = field(default_factory=lambda: SimpleNamespace(status=lambda: READY))
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def run(self, coroutine: Any) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.ensure_future(coroutine))
        return self.tasks[-1]


@pytest.fixture(autouse=True)
def runtime(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    return short_folder / "aix-lsp-servers"


@asynccontextmanager
async def serving(session: OneSession, unix: bool = True) -> AsyncIterator[Inspection]:
    inspection = Inspection(session, unix)  # type: ignore[arg-type]
    session.run(inspection.serve())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while inspection.place is None:
                await asyncio.sleep(0.01)
        yield inspection
    finally:
        for task in session.tasks:
            task.cancel()
        await asyncio.gather(*session.tasks, return_exceptions=True)
        inspection.close()


def asked(place: Place, ask: Callable[[RunningServer], Any]) -> Any:
    server = RunningServer(place, PATIENCE_S)
    try:
        return ask(server)
    finally:
        server.close()


async def ask(inspection: Inspection, what: Callable[[RunningServer], Any]) -> Any:
    assert inspection.place is not None
    return await asyncio.to_thread(asked, inspection.place, what)


@pytest.mark.parametrize("unix", [True, False])
async def test_the_last_requests_and_a_single_one_are_told_whole(unix: bool) -> None:
    log = log_of(offered(), silent(), offered("c", "two"))
    async with serving(OneSession(log), unix) as inspection:
        assert await ask(inspection, lambda server: [item.number for item in server.last(2)]) == [2, 3]
        assert await ask(inspection, lambda server: [item.number for item in server.last(1000)]) == [1, 2, 3]
        assert await ask(inspection, lambda server: server.last(0)) == []
        found = await ask(inspection, lambda server: server.request(3))
        assert found.result.items[0].text == "c"
        assert found.result.prompt.text == log.find(3).result.prompt.text  # type: ignore[union-attr]
        assert await ask(inspection, lambda server: server.request(9)) is None


async def test_a_server_says_what_it_is_and_how_it_went(tmp_path: Path) -> None:
    session = OneSession(log_of(offered(), silent()), {"uri": tmp_path})
    async with serving(session) as inspection:
        about = await ask(inspection, lambda server: server.about)
        assert about.name == f"process {os.getpid()} (an editor) of {tmp_path}"
        assert about.summary == Summary(2, 1, 0, (("code follows the cursor on its line", 1),))
        (finding,) = await asyncio.to_thread(lambda: list(doctor_servers.examine_servers()))
        assert finding.status == "ok"
        assert finding.detail == (
            f"{about.name}: ready; 2 asked, 1 offered; no offer: code follows the cursor on its line: 1"
        )
        session.activity.status = lambda: SimpleNamespace(state="failed", message="no memory is left")
        (finding,) = await asyncio.to_thread(lambda: list(doctor_servers.examine_servers()))
        assert finding.status == "warn"
        assert finding.detail.endswith("no memory is left")


def test_doctor_says_that_no_server_runs() -> None:
    (finding,) = doctor_servers.examine_servers()
    assert (finding.status, finding.detail) == ("ok", "none runs now (or inspect.socket is off)")


async def test_new_requests_are_told_as_they_come_until_the_server_ends() -> None:
    session = OneSession(log_of(silent()))
    heard: list[int] = []

    def follow(server: RunningServer) -> None:
        heard.extend(item.number for item in server.follow())

    async with serving(session) as inspection:
        following = asyncio.ensure_future(ask(inspection, follow))
        async with asyncio.timeout(PATIENCE_S):
            while not session.trace.listeners:
                await asyncio.sleep(0.01)
            for _ in range(3):
                session.trace.note(request(), offered())
            while len(heard) < 3:
                await asyncio.sleep(0.01)
    await asyncio.wait_for(following, PATIENCE_S)
    assert heard == [2, 3, 4]
    assert not session.trace.listeners


async def test_a_prompt_too_long_for_a_message_is_told_in_part() -> None:
    prompt = Prompt((), "é\n" * 600_000, "l2r")
    async with serving(OneSession(log_of(CompletionResult(prompt=prompt)))) as inspection:
        (found,) = await ask(inspection, lambda server: server.last(1))
    assert prompt.text.startswith(found.result.prompt.text)
    assert len(found.result.prompt.text) > 100_000
    assert found.result.prompt.cut == ("this report: the prompt was too long to be shown whole",)


@pytest.mark.parametrize("sent", GARBAGE, ids=repr)
async def test_garbage_and_strangers_are_refused_and_harm_nobody(sent: bytes) -> None:
    async with serving(OneSession(log_of(silent()))) as inspection:
        assert inspection.place is not None
        said = await asyncio.to_thread(say, inspection.place, sent)
        assert [message["op"] for message in said][1:] == ([] if sent == b"\x00" else ["refused"])
        assert all("\n" not in str(message.get("message")) for message in said)
        assert await ask(inspection, lambda server: len(server.last(5))) == 1


@pytest.mark.parametrize("message", [{"op": "dance"}, {"op": "last"}, {"op": "request", "number": "x"}], ids=str)
async def test_nonsense_ends_its_own_connection(message: Message) -> None:
    def nonsense(server: RunningServer) -> None:
        server._send(message)
        server._next()

    async with serving(OneSession(log_of(silent()))) as inspection:
        with pytest.raises(ServerGone, match=r"^[^\n]+$"):
            await ask(inspection, nonsense)
        assert await ask(inspection, lambda server: len(server.last(5))) == 1


async def test_a_wrong_token_is_refused_in_one_line() -> None:
    async with serving(OneSession(log_of(silent()))) as inspection:
        assert inspection.place is not None
        inspection.place.write_token("0" * 64, 0)
        with pytest.raises(ServerGone, match=r"^this server does not know this token$"):
            await ask(inspection, lambda server: server.last(1))
        assert await asyncio.to_thread(problems_of_all) == [
            f"process {os.getpid()}: this server does not know this token"
        ]


def problems_of_all() -> list[str]:
    with running() as (servers, problems):
        assert servers == []
        return problems


async def test_another_user_is_refused_even_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(OneSession(log_of(silent()))) as inspection:
        monkeypatch.setattr(socket_module, "os", SimpleNamespace(getuid=lambda: 12345, getpid=os.getpid))
        with pytest.raises(ServerGone, match="another user's"):
            await ask(inspection, lambda server: server.last(1))


async def test_an_inspector_that_does_not_know_the_token_learns_nothing(runtime: Path) -> None:
    """Whoever listens where a server did cannot pass for one."""
    place, lock = inspection_place.claim()
    listener = place.listen("the-token")

    def impostor() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(pack({"op": "hello", "protocol": 1, "nonce": "n"}))
            connection.recv(1 << 16)
            connection.sendall(pack({"op": "welcome", "proof": "0" * 64, "server": {}}))
            connection.recv(1)

    pretending = asyncio.ensure_future(asyncio.to_thread(impostor))
    with pytest.raises(ServerGone, match="does not know its token"):
        await asyncio.to_thread(RunningServer, place, PATIENCE_S)
    await pretending
    listener.close()
    inspection_place.leave(place, lock)
    assert not runtime.exists()


async def test_files_are_the_users_alone_and_gone_at_the_end(runtime: Path) -> None:
    async with serving(OneSession(log_of())):
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in runtime.iterdir()} == {0o600}
        assert sorted(path.suffix for path in runtime.iterdir()) == [".lock", ".sock", ".token"]
    assert not runtime.exists()


async def test_what_a_dead_server_left_is_swept_and_nothing_else(runtime: Path) -> None:
    async with serving(OneSession(log_of())) as inspection:
        dead = Place(runtime, "999999-dead")
        for path in (dead.socket_file, dead.token_file, dead.lock_file):
            path.write_text("x 0")
        assert inspection_place.living() == [inspection.place]
        assert not dead.lock_file.exists()
        assert not dead.token_file.exists()
        assert not dead.socket_file.exists()
        assert await ask(inspection, lambda server: server.last(1)) == []


async def test_a_socket_that_was_tidied_away_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "_LOOK_S", 0.02)
    async with serving(OneSession(log_of(silent()))) as inspection:
        assert inspection.place is not None
        inspection.place.socket_file.unlink()
        async with asyncio.timeout(PATIENCE_S):
            while not inspection.place.socket_file.exists():
                await asyncio.sleep(0.01)
            while True:
                with contextlib.suppress(OSError):
                    assert await ask(inspection, lambda server: len(server.last(1))) == 1
                    break


async def test_a_folder_that_was_tidied_away_is_made_anew(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "_LOOK_S", 0.02)
    async with serving(OneSession(log_of(silent()))) as inspection:
        shutil.rmtree(runtime)
        async with asyncio.timeout(PATIENCE_S):
            while not any(runtime.glob("*.token")):
                await asyncio.sleep(0.01)
        assert await asyncio.to_thread(inspection_place.living) == [inspection.place]
        assert await ask(inspection, lambda server: len(server.last(1))) == 1
    assert not runtime.exists()


async def test_a_place_that_cannot_be_used_costs_the_socket_alone_until_it_can(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket_module, "_LOOK_S", 0.02)
    caplog.set_level("INFO", logger="aix_lsp")
    runtime.write_text("a file")
    session = OneSession(log_of())
    inspection = Inspection(session)  # type: ignore[arg-type]
    session.run(inspection.serve())

    def told() -> int:
        return sum("cannot reach this server" in record.message for record in caplog.records)

    async with asyncio.timeout(PATIENCE_S):
        while not told():
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # it looks again and again, and says it once
    assert inspection.place is None
    assert told() == 1
    (finding,) = await asyncio.to_thread(lambda: list(doctor_servers.examine_servers()))
    assert finding.status in ("ok", "warn")
    runtime.unlink()
    async with asyncio.timeout(PATIENCE_S):
        while inspection.place is None:
            await asyncio.sleep(0.01)
    session.tasks[0].cancel()
    await asyncio.gather(*session.tasks, return_exceptions=True)
    inspection.close()
    assert not runtime.exists()


def test_a_folder_with_an_escape_sequence_in_its_name_stays_a_name() -> None:
    hostile = server(1, "/w/\x1b]0;owned\x07\u202e\n/x").about
    assert hostile.name.isprintable()
    assert "owned" in hostile.name


def say(place: Place, sent: bytes) -> list[Message]:
    """What a server answers to somebody who sends this and hangs up."""
    connection, _ = place.connect(PATIENCE_S)
    with connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        came = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                came += data
    return list(Unpacker().feed(came))


def server(pid: int, *folders: str, latest: float = 0.0) -> Any:
    paths = tuple(map(Path, folders))
    about = About(pid, "1", "", paths, "ready", "", "", 50, latest, Summary(0, 0, 0))
    return SimpleNamespace(about=about)


SERVERS = [server(1, "/w"), server(2, "/w/inner", "/v"), server(3, "/x"), server(4, "/w", latest=9.0)]


@pytest.mark.parametrize(
    ("here", "pid", "chosen"),
    [
        ("/w", None, 4),
        ("/w/other/deep", None, 4),
        ("/w/inner/deep", None, 2),
        ("/v", None, 2),
        ("/x", 1, 1),
    ],
)
def test_the_server_of_the_innermost_folder_is_asked_then_the_one_used_last(
    here: str, pid: int | None, chosen: int
) -> None:
    assert choose(SERVERS, Path(here), pid).about.pid == chosen


@pytest.mark.parametrize(
    ("servers", "pid", "said"),
    [
        ([], None, "no aix-lsp server of yours is running"),
        (SERVERS, None, r"4 servers run and none is of this folder; name one with --pid: process 1 of /w; process 2"),
        (SERVERS, 9, r"no aix-lsp server has process id 9; running: process 1 of /w;"),
    ],
)
def test_where_none_can_be_chosen_they_are_listed_in_one_line(servers: list[Any], pid: int | None, said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        choose(servers, Path("/elsewhere"), pid)
    assert "\n" not in str(error.value)


def test_a_single_server_is_asked_from_anywhere() -> None:
    assert choose(SERVERS[2:3], Path("/elsewhere")).about.pid == 3


async def test_the_level_of_the_log_is_changed_by_who_knows_the_token() -> None:
    levels: list[str] = []
    server = SimpleNamespace(version="1", logs=None, log_level="")
    server.apply_log_settings = lambda settings: levels.append(server.log_level)
    session = OneSession(log_of(), server=server)
    session.settings = SimpleNamespace(log=None)  # type: ignore[attr-defined]
    async with serving(session) as inspection:
        await ask(inspection, lambda running: running.set_log_level("debug"))
        await ask(inspection, lambda running: running.set_log_level(""))
        with pytest.raises(ServerGone, match="does not know this level"):
            await ask(inspection, lambda running: running.set_log_level("everything"))
    assert levels == ["debug", ""]
