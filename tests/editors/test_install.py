"""Where an editor cannot be installed there is one reason in one line, and nothing half done is left."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors import conftest
from tests.editors.conftest import editor_or_skip
from tests.editors.install import debian, place
from tests.editors.install.place import CACHE_VARIABLE, NotInstalledError, command, installed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="editors are installed on Linux only")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    conftest.tried.cache_clear()
    yield tmp_path / "cache"
    conftest.tried.cache_clear()


def program(folder: Path, name: str, script: str) -> None:
    """A program that does what a shell script says."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_an_editor_that_cannot_be_installed_is_tried_once_and_each_test_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def install(name: str) -> None:
        tries.append(name)
        raise NotInstalledError("no network")

    monkeypatch.setattr(conftest, "install", install)
    for _ in range(3):
        with pytest.raises(pytest.skip.Exception, match="emacs: no network"):
            editor_or_skip("emacs")
    assert tries == ["emacs"]


def test_what_is_there_is_not_installed_again_and_another_recipe_is(cache: Path) -> None:
    made = []
    for recipe in ("1", "1", "2"):
        assert installed("x", recipe, made.append) == cache / "x"
    assert len(made) == 2


def test_a_full_disk_is_the_reason_and_nothing_is_left_on_it(cache: Path) -> None:
    def install(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "half"))

    with pytest.raises(NotInstalledError, match=r"No space left on device: .*half"):
        installed("x", "1", install)
    assert not (cache / "x").exists()


def test_what_a_program_says_of_a_full_disk_is_the_reason(tmp_path: Path) -> None:
    program(tmp_path, "unpack", "echo 'tar: No space left on device' >&2; echo 'tar returned 2' >&2; exit 2")
    with pytest.raises(NotInstalledError, match=r"No space left on device$"):
        command([tmp_path / "unpack"], seconds=60)


def test_an_installation_that_was_broken_off_is_begun_anew(cache: Path) -> None:
    def broken_off(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        installed("x", "1", broken_off)
    (cache / "x").mkdir()  # as a process that was killed leaves it
    (cache / "x" / "half").touch()
    installed("x", "1", lambda folder: (folder / "whole").touch())
    assert not (cache / "x" / "half").exists()


def test_of_two_at_once_the_second_waits_says_so_and_finds_it_done(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    begun, waiting, go_on = threading.Event(), threading.Event(), threading.Event()

    def say(line: str) -> None:
        if "waiting for another process" in line:
            waiting.set()

    def install(folder: Path) -> None:
        made.append(folder)
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(place, "say", say)
    first = threading.Thread(target=installed, args=("x", "1", install))
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=installed, args=("x", "1", install))
    second.start()
    assert waiting.wait(60)
    go_on.set()
    first.join()
    second.join()
    assert len(made) == 1


def test_a_folder_that_cannot_be_made_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(NotInstalledError, match="file"):
        installed("x", "1", lambda _: None)


@pytest.mark.parametrize("there", [[], ["apt-get"]])
def test_without_debians_programs_the_missing_one_is_the_reason(
    there: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in there:
        program(tmp_path / "bin", name, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(NotInstalledError, match=f"needs {'dpkg' if there else 'apt-get'}, which is not"):
        debian.unpack(["x"], tmp_path)


def test_without_a_network_the_first_error_of_apt_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "echo 'E: Failed to fetch x  Could not resolve host' >&2; echo 'E: Some files failed' >&2; exit 100"
    program(tmp_path / "bin", "apt-get", says)
    program(tmp_path / "bin", "dpkg", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(debian, "_mirror", lambda: "http://mirror.invalid/debian")
    with pytest.raises(NotInstalledError, match="apt-get failed: E: Failed to fetch x  Could not resolve host"):
        debian.unpack(["x"], tmp_path)


def test_a_program_for_another_kind_of_machine_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "nvim").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "nvim").chmod(0o755)
    with pytest.raises(NotInstalledError, match="nvim does not start here"):
        command([tmp_path / "nvim"], seconds=60)
    with pytest.raises(NotInstalledError, match="no loader in"):
        debian.loader(tmp_path)
