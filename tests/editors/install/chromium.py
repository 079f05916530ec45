"""Chromium: the system's where there is one, else Debian's, unpacked into the cache folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.editors.install import debian
from tests.editors.install.place import NotInstalledError, installed

NAMES = ("chromium", "chromium-browser", "google-chrome")

_PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
_LIBC = re.compile(
    r"(ld-linux.*|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|BrokenLocale|thread_db|nsl|nss_.*|memusage|pcprofile))\.so.*"
)


def browser() -> str:
    """The program. Raises NotInstalledError."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is not None:
        return found
    suite = _suite()
    return str(
        installed("chromium", f"{suite} {' '.join(_PACKAGES)}", lambda folder: _install(folder, suite)) / "chromium"
    )


def _suite() -> str:
    """The release of this system: a browser starts itself again and again, so it must run with the system's loader."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"^VERSION_CODENAME=\"?([\w-]+)", text, re.MULTILINE)
    if named is None or not re.search(r"^ID=\"?debian\b", text, re.MULTILINE):
        raise NotInstalledError(f"none of {', '.join(NAMES)} is on the PATH, and this is no Debian to take it from")
    return named[1]


def _install(folder: Path, suite: str) -> None:
    root = debian.unpack(_PACKAGES, folder, suite)
    libraries = {path.parent for part in ("lib", "usr/lib") for path in (root / part).glob("**/*.so*")}
    for path in [path for library in libraries for path in library.iterdir() if _LIBC.fullmatch(path.name)]:
        path.unlink()  # the C library must be that of the loader
    fonts = folder / "fonts.conf"
    fonts.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>'
        f"<dir>{root}/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir>"
        "<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>\n",
        encoding="utf-8",
    )
    program = next((path for path in sorted(root.glob("usr/lib/chromium/*shell")) if path.is_file()), None)
    if program is None:
        raise NotInstalledError(f"no browser in {root}")
    start = folder / "chromium"
    start.write_text(
        f'#!/bin/sh\nexport FONTCONFIG_FILE="{fonts}" LD_LIBRARY_PATH="{":".join(sorted(map(str, libraries)))}"\n'
        f'exec "{program}" "$@"\n',
        encoding="utf-8",
    )
    start.chmod(0o755)
