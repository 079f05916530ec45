"""Programs that take more than they are given."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from secrets import token_hex

import pytest

from aix_lsp.evaluation.sandbox import LIMITS_ONLY, OUTPUT, Sandbox
from tests.unit.sandboxed import GENEROUS_S, KINDS, linux, of_kind, run, wait_until_gone


@pytest.fixture(scope="module", params=KINDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each way that works here."""
    return of_kind(request.param)


@linux
def test_a_fork_bomb_is_stopped(sandbox: Sandbox) -> None:
    mark = token_hex(8)
    started = time.monotonic()
    result = run(
        sandbox,
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        arguments=[mark],
        tasks=32,
        seconds=2,
        wall_seconds=20,
    )
    assert result.status in ("killed", "timeout", "failed"), result
    assert time.monotonic() - started < 4 * GENEROUS_S
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
