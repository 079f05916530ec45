"""Programs that take more than they are given."""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from aix_lsp.evaluation import sandbox as module
from aix_lsp.evaluation import sandbox_watch
from aix_lsp.evaluation.sandbox import LIMITS_ONLY, OUTPUT, Sandbox, why_none
from tests.unit.sandboxed import KINDS, linux, of_kind, run, wait_until_gone


@pytest.fixture(scope="module", params=KINDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each way that works here."""
    return of_kind(request.param)


MANY = """
import os, time
started = 0
for _ in range(120):
    try:
        if not os.fork():
            time.sleep(600)
            os._exit(0)
    except OSError:
        break
    started += 1
print(started)
"""
"""Starts processes one by one, and never more than the machine bears, whatever becomes of the limits."""


@linux
def test_no_program_has_more_processes_than_it_may(sandbox: Sandbox) -> None:
    if sandbox.kind == "bubblewrap" and os.geteuid() == 0:
        pytest.skip("root has no bubblewrap: the kernel would not limit it")
    mark = token_hex(8)
    # with what is outside of it looked at only by the kernel, as in the moments between two looks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox_watch, "_too_much", lambda pid, memory, tasks: "")
        result = run(sandbox, MANY, arguments=[mark], tasks=32)
    assert result.status == "passed", result
    assert int(result.stdout) < 32
    wait_until_gone(mark)


@linux
def test_more_processes_than_allowed_are_killed_also_where_the_kernel_sets_no_limit() -> None:
    mark = token_hex(8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_most_tasks", lambda tasks, isolated: 0)
        result = run(LIMITS_ONLY, MANY + "time.sleep(600)", arguments=[mark], tasks=32)
    assert (result.status, result.why) == ("killed", "it had more than 32 processes and threads")
    wait_until_gone(mark)


@linux
def test_root_takes_no_bubblewrap_which_could_not_limit_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "_fails", lambda sandbox: "" if sandbox.kind == "bubblewrap" else "not permitted")
    module._found.cache_clear()
    try:
        assert Sandbox.find() is None
        assert "bubblewrap cannot limit the processes of root" in why_none()
    finally:
        module._found.cache_clear()


@linux
def test_without_a_sandbox_the_users_other_processes_do_not_count_as_the_programs() -> None:
    running = sandbox_watch.tasks_of_user()
    assert running >= 1
    assert module._most_tasks(32, isolated=False) >= 32 + 1
    assert run(LIMITS_ONLY, "import os\nif not os.fork(): os._exit(0)\nos.wait()").status == "passed"


@linux
def test_empty_files_are_limited_too_where_the_sandbox_can() -> None:
    result = run(
        of_kind("namespaces"),
        """
        made = 0
        try:
            for number in range(20_000):
                open(str(number), "w").close()
                made += 1
        except OSError as error:
            print(error.errno)
        """,
        disk_mb=1,
    )
    assert (result.stdout, result.status) == (f"{errno.ENOSPC}\n", "passed")


@linux
def test_without_a_sandbox_too_what_a_program_leaves_behind_is_killed() -> None:
    mark = token_hex(8)
    result = run(
        LIMITS_ONLY,
        f"""
        import subprocess, sys
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600) # {mark}"], start_new_session=True, stdout=2
        )
        print("started")
        """,
    )
    assert (result.stdout, result.status) == ("started\n", "passed")
    wait_until_gone(mark)


@linux
def test_memory_is_limited_for_one_process_and_for_all_together(sandbox: Sandbox) -> None:
    one = run(sandbox, "data = bytearray(10**9)", memory_mb=256)
    assert one.status == "failed"
    assert "MemoryError" in one.stderr
    shared = run(
        sandbox,
        """
        import os, time
        for _ in range(5):
            if not os.fork():
                break
        data = bytearray(b"x") * (100 << 20)
        time.sleep(600)
        """,
        memory_mb=256,
    )
    assert (shared.status, shared.why) == ("killed", "it took more than 256 MB")
    without = run(
        sandbox, "data = bytearray(b'x') * (1 << 30)\nimport time\ntime.sleep(600)", memory_mb=256, address_space=False
    )
    assert without.status == "killed"


@linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="its system calls are not known")
def test_memory_that_belongs_to_no_process_and_the_users_keys_are_not_to_be_had(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        """
        import ctypes, errno, os
        libc = ctypes.CDLL(None, use_errno=True)
        arm = os.uname().machine == "aarch64"
        try:
            print("memory", os.memfd_create("held"))
        except OSError as error:
            print(errno.errorcode[error.errno])
        for call, arguments in (
            (libc.shmget, (0, 4096, 0o1600)),
            (libc.msgget, (0, 0o1600)),
            (libc.syscall, (219 if arm else 250, 0, -3, 0)),
        ):
            print(errno.errorcode[ctypes.get_errno()] if call(*arguments) < 0 else call.__name__)
        """,
    )
    assert (result.stdout.split(), result.status) == (["ENOSYS"] * 4, "passed"), result


@linux
def test_the_disk_of_a_program_is_limited_by_file_and_in_all(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        """
        import os
        written = 0
        for number in range(10):
            try:
                with open(f"file{number}", "wb", buffering=0) as file:
                    for _ in range(1000):
                        written += file.write(bytes(1 << 16))
            except OSError as error:
                print(error.errno)
        print(written <= 8 << 20, os.statvfs("/work").f_blocks * os.statvfs("/work").f_frsize)
        """,
        disk_mb=8,
    )
    assert result.stdout.endswith(f"True {8 << 20}\n"), result


@linux
def test_time_is_limited_by_the_processor_and_by_the_clock(sandbox: Sandbox) -> None:
    busy = run(sandbox, "while True: pass", seconds=1)
    assert (busy.status, busy.why) == ("timeout", "it took more than 1 s of the processor")
    asleep = run(sandbox, "import time\ntime.sleep(600)", wall_seconds=0.5)
    assert (asleep.status, asleep.why) == ("timeout", "it ran longer than 0.5 s")
    deaf = run(
        sandbox,
        """
        import signal, time
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
        """,
        wall_seconds=1,
    )
    assert deaf.status == "timeout"


@linux
def test_output_is_cut_and_does_not_fill_memory(sandbox: Sandbox) -> None:
    result = run(sandbox, "import os\nfor _ in range(1000): os.write(1, b'x' * 65536)\nos.write(2, b'end')")
    assert result.status == "passed"
    assert len(result.stdout) == OUTPUT
    assert result.stderr == "end"


@linux
def test_a_program_that_does_not_start_is_an_error_and_a_signal_a_failure(sandbox: Sandbox) -> None:
    missing = sandbox.run({}, ["/usr/bin/no-such-program"], seconds=5)
    assert missing.status == "error"
    assert "FileNotFoundError" in missing.why
    crashed = run(sandbox, f"import os\nos.kill(os.getpid(), {int(signal.SIGSEGV)})")
    assert (crashed.status, crashed.why) == ("failed", f"exit status {128 + signal.SIGSEGV}")


def test_with_limits_only_there_are_limits_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIX_TEST_TOKEN", "hunter2hunter2")
    result = run(LIMITS_ONLY, "import os\nprint(os.getcwd(), dict(os.environ))")
    assert result.status == "passed", result
    assert "hunter2" not in result.stdout
    assert not Path(result.stdout.split()[0]).exists()
    mark = token_hex(8)
    stopped = run(
        LIMITS_ONLY,
        f"""
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # {mark}"], start_new_session=True)
        time.sleep(600)
        """,
        wall_seconds=1,
    )
    assert stopped.status == "timeout"
    if sys.platform.startswith("linux"):
        wait_until_gone(mark)
