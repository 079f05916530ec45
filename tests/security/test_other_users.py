"""Another user of the same machine: reads nothing, reaches nothing, and what he laid into our way is not used.

The tests that act as him need root, who alone can become somebody else.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aix_lsp.completion.index_cache import IndexStore
from aix_lsp.completion.index_job import IndexJob
from aix_lsp.completion.statistics import Statistics
from aix_lsp.engine.host_place import HostUnavailable, Place, private_folder
from aix_lsp.engine.host_protocol import pack, proof, proves
from aix_lsp.server.transport import accept_one
from tests.e2e.conftest import INVOICE
from tests.security.attacked import attacked, engine_elsewhere
from tests.unit.remote_server import ModelServer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes; its own rules hold in a user's profile")
NOBODY = 65534
as_nobody = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and write to, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="aix-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def private_files(*folders: Path) -> list[str]:
    """What others can read, write or enter in these folders; sockets count too."""
    found = []
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & 0o077:
                found.append(f"{stat.S_IMODE(mode):o} {path}")
    return found


ATTACK = r"""
import json, os, socket, stat, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
told = {"read": [], "listed": [], "connected": []}
for top in sys.argv[1:]:
    stack = [top]
    while stack:
        path = stack.pop()
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(mode):
            try:
                stack += [os.path.join(path, name) for name in os.listdir(path)]
                told["listed"].append(path)
            except OSError:
                pass
        elif stat.S_ISSOCK(mode):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(path)
                told["connected"].append(path)
            except OSError:
                pass
        else:
            try:
                open(path, "rb").close()
                told["read"].append(path)
            except OSError:
                pass
print(json.dumps(told))
"""


def as_another_user(*paths: Path) -> dict[str, list[str]]:
    """What user 65534 can list, read and connect to, of these paths and all below."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ATTACK, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


KNOCK = r"""
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(30)
connection.connect(sys.argv[1])
heard = b""
try:
    connection.sendall(bytes.fromhex(sys.argv[2]))
    while piece := connection.recv(65536):
        heard += piece
except (BrokenPipeError, ConnectionResetError):
    pass  # it was refused before it had said all
sys.stdout.buffer.write(heard)
"""


def knock(path: Path, said: bytes) -> bytes:
    """What a socket answers to user 65534 who says this."""
    command = [sys.executable, "-I", "-S", "-c", KNOCK, str(path), said.hex()]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


@as_nobody
async def test_another_user_reads_no_file_of_a_server_and_connects_to_none_of_its_sockets(
    environment: dict[str, str], workspace: Path, open_folder: Path
) -> None:
    runtime, home = open_folder / "runtime", open_folder / "home"
    for folder in (runtime, home):
        folder.mkdir(mode=0o755)
    places = {name: str(home / name.lower()) for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    values = {**environment, **places, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(open_folder)}
    values |= {"AIX_LSP_INSPECT__SOCKET": "true"}
    async with ModelServer("text", text="total\n") as elsewhere:
        async with attacked(workspace, {**values, **engine_elsewhere(elsewhere)}) as server:
            assert await server.complete(workspace / "shop" / "invoice.py", INVOICE)
            await server.everything_shown()  # makes the page of `aix.inspect`
            async with asyncio.timeout(60):
                while not list(runtime.rglob("*.token")):
                    await asyncio.sleep(0.05)
            server.client.notify("textDocument/didClose", {"textDocument": {"uri": "untitled:x"}})
            pages = list(open_folder.glob("aix-lsp-inspect-*"))
            assert pages
            seen = as_another_user(runtime, home / "xdg_cache_home", home / "xdg_state_home", *pages)
            assert seen["read"] == []
            assert seen["connected"] == []
            assert seen["listed"] == [str(runtime)], "which the test made itself, open to all"
            assert private_files(*(path for path in runtime.iterdir()), *pages, server.log) == []
            assert as_another_user(server.log)["read"] == []
            # the folder is opened and the token read by force: what is left is that the system tells who connects
            (socket_file,) = runtime.rglob("*.sock")
            (token_file,) = runtime.rglob("*.token")
            socket_file.parent.chmod(0o777)
            socket_file.chmod(0o777)
            token = token_file.read_text().split()[0]
            hello = {"op": "hello", "protocol": 1, "nonce": "0" * 32, "proof": proof(token, "0" * 32, "inspector")}
            for said in (pack(hello), pack(hello) + pack({"op": "last", "count": 9})):
                heard = await asyncio.to_thread(knock, socket_file, said)
                assert not any(word in heard for word in (b"record", b"shop", b"welcome"))
        ours = [path for path in (home / "xdg_cache_home", home / "xdg_state_home") if path.exists()]
        assert ours
        assert private_files(*ours) == []


def test_a_proof_is_of_one_token_one_connection_and_one_side() -> None:
    token, nonce = "a" * 64, "b" * 32
    good = proof(token, nonce, "window")
    assert proves(good, token, nonce, "window")
    for said in (None, "", good[:-1], good + " ", proof("c" * 64, nonce, "window"), 7, [good], {"proof": good}):
        assert not proves(said, token, nonce, "window")
    assert not proves(good, token, "d" * 32, "window"), "a proof that was heard before"
    assert not proves(good, token, nonce, "host"), "a proof that was said by the other side"


@as_nobody
@pytest.mark.parametrize("kind", ["another user's", "link", "file"])
def test_a_folder_for_sockets_that_somebody_else_made_is_refused(open_folder: Path, kind: str) -> None:
    planted = open_folder / "aix-lsp"
    if kind == "file":
        planted.write_text("")
    else:
        target = planted if kind == "another user's" else open_folder / "target"
        target.mkdir(mode=0o777)
        os.chown(target, NOBODY, NOBODY)
        if kind == "link":
            planted.symlink_to(target)
            os.chown(planted, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(HostUnavailable):
        Place(planted, "key").prepare()


@as_nobody
def test_a_runtime_folder_of_another_user_is_not_used(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.chown(open_folder, NOBODY, NOBODY)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(open_folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not private_folder("aix-lsp", "host", "key.sock").is_relative_to(open_folder)


def test_links_in_the_place_of_socket_and_token_are_replaced_and_what_they_point_to_is_untouched(
    short_folder: Path, tmp_path: Path
) -> None:
    place = Place(short_folder, "key")
    place.prepare()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for planted in (place.socket_file, place.token_file):
        planted.symlink_to(victim)
    listener = place.listen("t" * 64)
    try:
        assert victim.read_text() == "mine"
        assert not place.token_file.is_symlink()
        assert not place.socket_file.is_symlink()
        assert stat.S_IMODE(place.token_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.socket_file.stat().st_mode) == 0o600
    finally:
        listener.close()
        place.leave()


def test_a_link_in_the_place_of_the_lock_is_not_followed(short_folder: Path, tmp_path: Path) -> None:
    place = Place(short_folder, "key")
    place.prepare()
    place.lock_file.symlink_to(tmp_path / "made by us")
    with pytest.raises(OSError, match=str(place.lock_file)):
        place.lock()
    assert not (tmp_path / "made by us").exists()


def test_a_link_in_the_place_of_the_statistics_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    for make in (lambda path: path.symlink_to(victim), os.mkfifo):
        path = tmp_path / "state" / "statistics.jsonl"
        path.parent.mkdir(exist_ok=True)
        make(path)
        statistics = Statistics(path)
        statistics.count("python", "offered")
        statistics.save()
        path.unlink()
    assert victim.read_text() == "mine\n"


@as_nobody
@pytest.mark.parametrize("kind", ["another user's", "link"])
def test_an_index_is_neither_kept_in_nor_read_from_a_folder_that_is_not_ours(open_folder: Path, kind: str) -> None:
    cache, target = open_folder / "cache" / "index", open_folder / "target"
    cache.parent.mkdir()
    if kind == "link":
        target.mkdir()
        cache.symlink_to(target)
    else:
        cache.mkdir(mode=0o777)
    os.chown(target if kind == "link" else cache, NOBODY, NOBODY)
    job = IndexJob(root="/w", cache=str(cache), chunk_lines=10, max_file_bytes=1, ignore=(), max_files=1, reuse=True)
    store = IndexStore(job)
    assert not store.keeps
    store.keep("chunks", {}, b"")
    assert store.head("chunks") is None
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "::ffff:0.0.0.0", "0", "", "192.0.2.1", "localhost.localdomain.invalid"],
)
def test_tcp_listens_for_no_other_machine_without_force(host: str) -> None:
    with pytest.raises((ValueError, OSError)):
        accept_one(host, 0, force=False, announce=lambda line: pytest.fail(line))


def test_tcp_refuses_a_name_that_also_stands_for_an_outside_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from aix_lsp.server import transport

    both = [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("192.0.2.1", 0))]
    monkeypatch.setattr(transport.socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(ValueError, match="--force"):
        accept_one("workstation", 0, force=False, announce=lambda line: pytest.fail(line))
