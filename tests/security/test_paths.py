"""Nothing outside the folders that the editor opened is read: through links, names, URIs, or what a file becomes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.uris import path_to_uri, uri_to_path
from aix_lsp.workspace import scanner as scanner_module
from aix_lsp.workspace.ignore import read_lines
from aix_lsp.workspace.scanner import Scanner
from tests.security.attacked import attacked, engine_elsewhere, sent_to
from tests.unit.remote_server import ModelServer

BAIT = "def reconcile_ledger(quarterly_totals, exchange_rates):\n    return quarterly_totals * exchange_rates\n"
OUTSIDE = f"CANARY_OUTSIDE = 1\n\n\n{BAIT}"
ASKED = "from ledger import reconcile_ledger\n\n\nquarterly_totals = exchange_rates = 2\nreconcile_ledger(quarterly_"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links of Windows are tested with the scanner")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is not opened, whose files show by the time of their last reading whether they were read."""
    folder = tmp_path.resolve() / "outside"
    (folder / "package").mkdir(parents=True)
    for name in ("ledger.py", "package/ledger.py", "later.py", "watched.py", ".gitignore", "package/.gitignore"):
        (folder / name).write_text(OUTSIDE)
        os.utime(folder / name, (1_000_000_000, 1_500_000_000))
    return folder


def was_read(folder: Path) -> list[str]:
    """Files that were read since `outside` made them. Systems that keep no such times say nothing."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and path.stat().st_atime != 1_000_000_000]


def lay_links(root: Path, outside: Path) -> None:
    """Every way that a file in the folder can lead out of it."""
    (root / "ledger.py").symlink_to(outside / "ledger.py")
    (root / "package").symlink_to(outside / "package")
    (root / "deep").mkdir()
    (root / "deep" / "again").symlink_to("../package")
    (root / "up.py").symlink_to("../outside/ledger.py")
    (root / "loop").symlink_to(root)
    (root / "zero.py").symlink_to("/dev/zero")
    (root / "environment.py").symlink_to("/proc/self/environ")
    (root / "rooted").symlink_to("/")
    (root / ".gitignore").symlink_to(outside / ".gitignore")
    (root / ".aixignore").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.py")
    os.mkfifo(root / "deep" / ".gitignore")


async def test_no_link_uri_or_notification_makes_the_server_read_what_lies_outside(
    workspace: Path, environment: dict[str, str], outside: Path
) -> None:
    lay_links(workspace, outside)
    (workspace / "inside.py").write_text(BAIT)
    async with ModelServer("text", text="totals, exchange_rates)\n") as elsewhere:
        values = {**environment, **engine_elsewhere(elsewhere), "CANARY_VARIABLE": "CANARY"}
        async with attacked(workspace, values, options={"retrieval": {"snippets": 20}}) as server:
            (workspace / "later.py").symlink_to(outside / "later.py")
            (workspace / "afterwards").symlink_to(outside / "package")
            odd = [path_to_uri(workspace / name) for name in ("later.py", "afterwards/ledger.py", "afterwards", "loop")]
            odd += [path_to_uri(outside / "watched.py"), path_to_uri(outside)]
            base = path_to_uri(workspace)
            odd += [
                f"{base}/../outside/watched.py",
                f"{base}/%2e%2e/outside/watched.py",
                f"{base}/..%2Foutside/later.py",
            ]
            odd += [f"{base}/shop/..%2f..%2foutside%2flater.py", f"file://host{outside}/later.py", f"FILE://{outside}"]
            odd += ["file:///proc/self/environ", "file:///dev/zero", f"{base}//..//outside/later.py", f"{base}/%00.py"]
            odd += ["untitled:a", "https://example.org/a.py", "vscode-vfs://x/a.py", "git:/a.py?ref=HEAD", "", ":", "%"]
            changes = [{"uri": uri, "type": kind} for uri in odd for kind in (1, 2)]
            server.client.notify("workspace/didChangeWatchedFiles", {"changes": changes})
            for uri in odd[:21]:
                await server.complete(uri, "x = ")
            assert await server.complete(workspace / "report.py", ASKED)
            trace = await server.command("aix.trace")
            assert {snippet["path"] for snippet in trace["snippets"]} == {"inside.py"}
            for seen in (await server.everything_shown(), sent_to(elsewhere), server.logged()):
                assert "CANARY" not in seen
    assert was_read(outside) == []


@pytest.mark.parametrize("at", ["open", "lstat"])
def test_a_folder_that_becomes_a_link_between_look_and_reading_is_not_followed(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    root = tmp_path.resolve() / "root"
    (root / "package").mkdir(parents=True)
    (root / "package" / "ledger.py").write_text(BAIT)
    real = getattr(os, at)
    swapped = []

    def swap(path: object, *arguments: object, **options: object) -> object:
        inside = str(path).endswith("package/ledger.py")
        if inside and not swapped:
            swapped.append(path)
            (root / "package").rename(root / "away")
            (root / "package").symlink_to(outside / "package")
        try:
            return real(path, *arguments, **options)
        finally:
            if inside and at == "open" and len(swapped) == 1:
                # and back, before anybody can look again
                swapped.append(path)
                (root / "package").unlink()
                (root / "away").rename(root / "package")

    scanner = Scanner(root)
    monkeypatch.setattr(scanner_module.os, at, swap)
    if at == "lstat":
        assert "package/ledger.py" not in {file.path for file in scanner.scan().files}
    text = scanner.read("package/ledger.py")
    assert swapped
    assert text is None or "CANARY" not in text
    monkeypatch.undo()
    if at == "open":
        assert text is None
        assert scanner.read("package/ledger.py") == BAIT


def _after(path: Path, make: Callable[[Path], Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, with `path` turned into something else first."""

    def swapped(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        make(path)
        return real(*arguments, **options)

    return swapped


def test_a_file_that_becomes_a_link_or_a_pipe_is_neither_followed_nor_waited_for(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = Scanner(tmp_path)
    real = os.open
    changes: list[Callable[[Path], Any]] = [lambda path: path.symlink_to(outside / "ledger.py"), os.mkfifo, Path.mkdir]
    for make in changes:
        path = tmp_path / "a.py"
        path.write_text(BAIT)

        monkeypatch.setattr(scanner_module.os, "open", _after(path, make, real))
        assert scanner.read("a.py") is None
        monkeypatch.setattr(scanner_module.os, "open", real)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_an_ignore_file_that_is_a_pipe_a_link_or_a_device_has_no_lines(tmp_path: Path, outside: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(outside / ".gitignore")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path / "zero", Path("/dev/zero"), tmp_path):
        assert read_lines(path) == []


def test_a_hard_link_is_a_file_like_any_other(tmp_path: Path, outside: Path) -> None:
    """It cannot be told from one: whoever makes it can read the file, or the system forbids it."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "hard.py").hardlink_to(outside / "ledger.py")
    assert Scanner(root).read("hard.py") == OUTSIDE


@pytest.mark.parametrize(
    "path", ["../outside/ledger.py", "a/../../outside/ledger.py", "/etc/passwd", "./a", "a//b", ""]
)
def test_a_path_that_leads_out_is_not_read_whoever_asks(tmp_path: Path, outside: Path, path: str) -> None:
    root = tmp_path.resolve() / "root"
    (root / "a").mkdir(parents=True)
    assert Scanner(root).read(path) is None
    assert Scanner(root).reason(path) is not None


def test_uris_of_other_hosts_and_schemes_are_no_paths_of_this_machine() -> None:
    for uri in ("http://x/etc/passwd", "untitled:/etc/passwd", "data:,x", "file:///a%00b"):
        assert uri_to_path(uri) is None
    assert str(uri_to_path("file://host/share/a.py", windows=False)) == "//host/share/a.py"


def test_a_home_folder_that_is_opened_keeps_its_keys_and_credentials(tmp_path: Path) -> None:
    for name in (".ssh/config", ".aws/credentials", ".netrc", ".bash_history", ".config/gh/hosts.yml", ".kube/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("CANARY")
    (tmp_path / "inside.py").write_text(BAIT)
    scanner = Scanner(tmp_path)
    assert [file.path for file in scanner.scan().files] == ["inside.py"]
    assert scanner.read(".ssh/config") is None
