"""Programs that try to get out of the sandbox."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from aix_lsp.evaluation import sandbox as module
from aix_lsp.evaluation.programs import not_run
from aix_lsp.evaluation.sandbox import LIMITS_ONLY, Sandbox, why_none
from aix_lsp.evaluation.sandbox_places import places, python
from tests.unit.sandboxed import GENEROUS_S, KINDS, linux, of_kind, run, running, wait_until_gone


@pytest.fixture(scope="module", params=KINDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each way that works here."""
    return of_kind(request.param)


@pytest.fixture
def listeners() -> Iterator[tuple[int, str]]:
    """A port of this machine and an abstract socket that answer outside of the sandbox."""
    name = token_hex(8)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local,
    ):
        local.bind("\0" + name)
        local.listen()
        yield server.getsockname()[1], name


@linux
def test_the_network_is_out_of_reach(sandbox: Sandbox, listeners: tuple[int, str]) -> None:
    port, name = listeners
    with socket.create_connection(("127.0.0.1", port), 5):
        pass
    result = run(
        sandbox,
        f"""
        import socket
        def attempt(family, kind, address):
            try:
                with socket.socket(family, kind) as s:
                    s.settimeout(5)
                    s.connect(address)
                    s.send(b"x")
            except OSError:
                return
            print("reached", address)
        attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {port}))
        attempt(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53))
        attempt(socket.AF_INET6, socket.SOCK_DGRAM, ("2001:db8::1", 53))
        attempt(socket.AF_UNIX, socket.SOCK_STREAM, "\\0{name}")
        print([name for _, name in socket.if_nameindex()])
        """,
    )
    assert (result.stdout.strip(), result.status) == ("['lo']", "passed"), result.stderr


@linux
def test_files_of_the_user_cannot_be_seen_and_nothing_outside_can_be_written(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    result = run(
        sandbox,
        f"""
        import json, os
        outside = [{str(secret)!r}, {__file__!r}, "/etc/shadow", "/etc/passwd", "/sys/kernel", "/run", "/var"]
        seen = [path for path in outside if os.path.exists(path)]
        home = {str(Path.home())!r}
        files = [name for folder, _, names in os.walk(home) if not folder.startswith({sys.base_prefix!r})
                 for name in names]
        written = []
        for path in ("/x", "/usr/x", "/etc/x", "/dev/x", {str(Path.home() / "x")!r},
                     {str(tmp_path / "x")!r}, {sys.base_prefix!r} + "/x",
                     "/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/self/oom_score_adj"):
            try:
                os.close(os.open(path, os.O_WRONLY | (0 if path.startswith("/proc") else os.O_CREAT)))
                written.append(path)
            except OSError:
                pass
        open("/work/mine", "w").close()
        open("/tmp/mine too", "w").close()
        print(json.dumps([seen, files, written]))
        """,
    )
    assert result.status == "passed", result.stderr
    assert json.loads(result.stdout) == [[], [], []]
    assert list(tmp_path.iterdir()) == [secret]


@linux
def test_nothing_of_the_environment_and_no_open_file_passes(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIX_TEST_TOKEN", "hunter2hunter2")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        result = run(
            sandbox,
            """
            import glob, os
            print(dict(os.environ))
            for path in glob.glob("/proc/*/environ"):
                try:
                    print(open(path).read())
                except OSError as error:
                    print(type(error).__name__)
            print("open:", sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4])
            """,
        )
    assert result.status == "passed", result.stderr
    assert "hunter2" not in result.stdout
    assert "AIX_TEST" not in result.stdout
    assert "open: [0, 1, 2, 3]" in result.stdout  # the fourth is the listing itself


@linux
def test_a_program_has_no_privilege_and_can_get_none(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        """
        import ctypes, os
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0, status
        assert status["NoNewPrivs"].strip() == "1"
        assert os.getuid() == 65534
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(0x10000000) != 0  # a user namespace of its own
        assert libc.mount(b"tmpfs", b"/work", b"tmpfs", 0, None) != 0
        assert libc.mount(None, b"/usr", None, 32 | 4096, None) != 0  # read only no more
        """,
    )
    assert result.status == "passed", result.stderr


@linux
def test_processes_outside_can_be_neither_seen_nor_killed(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        f"""
        import os, signal
        others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        assert max(others) < 20, others
        for pid in ({os.getpid()}, {os.getppid()}):
            try:
                os.kill(pid, signal.SIGKILL)
                print("killed", pid)
            except ProcessLookupError:
                pass
        try:
            os.kill(-1, signal.SIGKILL)  # all that it may
            print("killed others")
        except ProcessLookupError:
            pass
        """,
    )
    assert (result.stdout, result.status) == ("", "passed"), result


@linux
def test_what_a_program_leaves_behind_is_killed_with_it(sandbox: Sandbox) -> None:
    mark = token_hex(8)
    result = run(
        sandbox,
        f"""
        import os, subprocess, sys, time
        for _ in range(3):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # {mark}"], start_new_session=True)
        print("started")
        """,
    )
    assert (result.stdout, result.status) == ("started\n", "passed")
    wait_until_gone(mark)


@linux
def test_a_program_ends_with_the_process_that_started_it(sandbox: Sandbox) -> None:
    mark = token_hex(8)
    program = f"""
from aix_lsp.evaluation.sandbox import Sandbox
from aix_lsp.evaluation.sandbox_places import python
sandbox = Sandbox({sandbox.kind!r}, "", {sandbox.bubblewrap!r})
sandbox.run({{}}, [python(), "-I", "-S", "-c", "import time; time.sleep(600) # {mark} inside"], seconds=600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as p:
        limit = time.monotonic() + GENEROUS_S
        while not any(pid != p.pid for pid in running(f"{mark} inside")):
            assert time.monotonic() < limit
            assert p.poll() is None
            time.sleep(0.01)
        p.kill()
    wait_until_gone(f"{mark} inside")


@linux
def test_without_a_sandbox_nothing_runs_unless_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fails", lambda sandbox: "Operation not permitted")
    module._found.cache_clear()
    try:
        assert Sandbox.find() is None
        assert "the kernel gives no namespaces (Operation not permitted)" in why_none()
        assert not_run().startswith("functional tests: not run (")
        assert Sandbox.find(force=True) is LIMITS_ONLY
    finally:
        module._found.cache_clear()


def test_on_windows_nothing_runs_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "win32")
    module._found.cache_clear()
    try:
        assert Sandbox.find(force=True) is None
    finally:
        module._found.cache_clear()


def test_elsewhere_than_on_linux_nothing_runs_unless_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    module._found.cache_clear()
    try:
        assert Sandbox.find() is None
        assert why_none() == "programs are run in a sandbox on Linux only"
        assert not LIMITS_ONLY.isolates
        assert "with network and all files" in LIMITS_ONLY.description
    finally:
        module._found.cache_clear()


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", ""])
def test_names_outside_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name below a folder"):
        LIMITS_ONLY.run({name: ""}, [python()], seconds=1)


def test_the_users_folder_is_never_shown() -> None:
    with pytest.raises(ValueError, match="the user's files are in it"):
        places([Path.home()])
    with pytest.raises(ValueError, match="the user's files are in it"):
        places([Path("/")])
