"""Debian packages of any suite, unpacked into a folder: apt in a configuration of its own, then `dpkg -x`.

The mirror is the one that the system uses. The packages come with all that they depend on, the C library included, so a
program of a newer suite runs on an older system, started through its own loader.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.editors.install.place import NotInstalledError, command, say

SUITE = "forky"
"""Has Neovim 0.12 and Emacs 30, which bookworm has not."""

_UPDATE_SECONDS = 300
_DOWNLOAD_SECONDS = 900
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack(packages: Sequence[str], folder: Path, suite: str = SUITE) -> Path:
    """Unpack packages with their dependencies; returns the folder that stands for `/`. Raises NotInstalledError."""
    missing = next((name for name in ("apt-get", "dpkg") if shutil.which(name) is None), None)
    if missing is not None:
        raise NotInstalledError(f"needs {missing}, which is not on this machine")
    state, root = folder / "apt", folder / "root"
    for part in ("lists/partial", "cache/archives/partial", "etc"):
        (state / part).mkdir(parents=True, exist_ok=True)
    root.mkdir(exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n", encoding="utf-8")
    environment = {**os.environ, "APT_CONFIG": str(_configuration(state))}
    say(f"  apt-get update (Debian {suite}, in {state})")
    command(["apt-get", "-q", "update"], seconds=_UPDATE_SECONDS, env=environment)
    say(f"  apt-get download {' '.join(packages)}, and what they depend on")
    command(
        ["apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install", *packages],
        seconds=_DOWNLOAD_SECONDS,
        env=environment,
    )
    archives = sorted((state / "cache" / "archives").glob("*.deb"))
    size = sum(path.stat().st_size for path in archives)
    say(f"  unpacking {len(archives)} packages, {size / 1e6:.0f} MB, into {root}")
    for archive in archives:
        command(["dpkg", "-x", archive, root], seconds=_DOWNLOAD_SECONDS)
        archive.unlink()
    return root


def loader(root: Path) -> list[str]:
    """The command line that starts a program of `root` with the libraries there."""
    (found,) = [*root.glob("usr/lib*/ld-linux-*.so.*"), *root.glob("lib*/ld-linux-*.so.*")][:1] or [None]
    if found is None:
        raise NotInstalledError(f"no loader in {root}")
    libraries = sorted({path.parent for path in root.glob("usr/lib/**/*.so.*")} | {root / "usr" / "lib"})
    return [str(found), "--library-path", ":".join(map(str, libraries))]


def _mirror() -> str:
    """The address of Debian's packages that this system uses."""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            address = re.match(r"(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+/debian/?)(?:\s|$)", line)
            if address:
                return address[1]
    raise NotInstalledError("no Debian mirror in this system's sources")


def _configuration(state: Path) -> Path:
    """The system's settings (a proxy, say), with all folders under `state`."""
    path = state / "apt.conf"
    lines = [
        f'Dir::State "{state}";',
        f'Dir::State::lists "{state}/lists";',
        f'Dir::State::status "{state}/status";',
        f'Dir::Cache "{state}/cache";',
        f'Dir::Etc::sourcelist "{state}/sources.list";',
        'Dir::Etc::sourceparts "-";',
        # without this apt is content with the lists of last time, or with none
        'APT::Update::Error-Mode "any";',
        # a mirror that is a snapshot keeps lists that have run out
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "2";',
        'Acquire::http::Timeout "30";',
        'Acquire::Languages "none";',
        'APT::Sandbox::User "";',
        'Dpkg::Use-Pty "0";',
        "DPkg::Post-Invoke {};",
        "APT::Update::Post-Invoke {};",
        "#clear DPkg::Post-Invoke;",
        "#clear APT::Update::Post-Invoke;",
        "#clear APT::Update::Post-Invoke-Success;",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
