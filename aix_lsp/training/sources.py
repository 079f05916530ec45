"""The packages that the embedded model learns from, and those it never sees: a list, and their download.

The list is TOML: every package pinned by version (and the checksum of its file) with its licence. pip downloads by name
from whatever index it is configured with; nothing is installed, built or run. Of a download only source, licence and
metadata files are unpacked, each package into a folder `NAME-VERSION`.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import stat
import struct
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aix_lsp.training.corpus import licences
from aix_lsp.training.folders import replaced_folder

MAX_FILE = 2_000_000
"""Bytes. A larger source file is data or generated, and no step of the corpus would keep it."""
MAX_UNPACKED = 400_000_000
MAX_MEMBERS = 200_000
PIP_SECONDS = 1_800

# Tags of wheels for 64-bit Linux, oldest C library last. pip takes them literally, so each has to be named.
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)] + [
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
]
# Other people's code carried along: it has licences of its own and may be a package that is held out.
_CARRIED = frozenset(
    [
        *("_vendor", "_vendored", "vendor", "vendored", "third_party", "thirdparty", "thirdparty_files"),
        *("extern", "externals", "_externals", "site-packages", "node_modules", "__pycache__"),
    ]
)
_LICENCE_FILE = re.compile(
    r"((un)?licen[cs]es?|copying|notice|authors)([-_][\w-]+)?(\.(txt|md|rst))?|metadata|pkg-info", re.IGNORECASE
)
# Tests of Python itself hold code that is wrong on purpose; the others are no library, or Python 2's.
_NOT_LIBRARY = frozenset(["site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip"])
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?")

Progress = Callable[[int, int, str], None]
"""Called as (how many are done, how many there are, what is being done)."""


class SourcesError(ValueError):
    """The list or a download is not as it must be. The message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package. `licence` is an SPDX expression, `sha256` the wheel's checksum ("": any of that version)."""

    name: str
    version: str
    licence: str
    sha256: str = ""

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.version}"


@dataclass(frozen=True, slots=True)
class Sources:
    """`python` is the version ("3.11") that wheels are chosen for, on 64-bit Linux whatever machine this is."""

    python: str
    standard_library: bool
    packages: tuple[Package, ...]
    held_out: tuple[Package, ...]


def load_sources(path: Path) -> Sources:
    """Reads a list of sources. Raises SourcesError where it cannot be read, a package is not pinned, named twice (in
    training and held out too), or not permissively licensed."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourcesError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourcesError(f"{path}: not TOML: {error}") from error
    if unknown := sorted(table.keys() - {"python", "standard_library", "package", "held_out"}):
        raise SourcesError(f"{path}: unknown entry {unknown[0]}")
    python, library = table.get("python"), table.get("standard_library", False)
    if not isinstance(python, str) or not re.fullmatch(r"3\.[0-9]+", python):
        raise SourcesError(f'{path}: python must say a version such as "3.11"')
    if not isinstance(library, bool):
        raise SourcesError(f"{path}: standard_library must be true or false")
    packages, held_out = (tuple(_packages(path, table, section)) for section in ("package", "held_out"))
    seen: set[str] = set()
    for package in packages + held_out:
        if package.name in seen:
            raise SourcesError(f"{path}: {package.name} is listed twice")
        seen.add(package.name)
    return Sources(python, library, packages, held_out)


def _packages(path: Path, table: dict[str, Any], section: str) -> Iterator[Package]:
    rows = table.get(section, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourcesError(f"{path}: packages are listed as [[{section}]]")
    for number, row in enumerate(rows, start=1):
        where = f"{path}: [[{section}]] {number} ({row.get('name', 'no name')!r})"
        if unknown := sorted(row.keys() - {"name", "version", "licence", "sha256"}):
            raise SourcesError(f"{where}: unknown entry {unknown[0]}")
        if wrong := [key for key in ("name", "version", "licence") if key not in row]:
            raise SourcesError(f"{where}: {wrong[0]} is missing")
        if wrong := [key for key, value in row.items() if not isinstance(value, str)]:
            raise SourcesError(f"{where}: {wrong[0]} must be text")
        package = Package(**row)
        if not _NAME.fullmatch(package.name):
            raise SourcesError(f"{where}: a name is lower case, its words joined by '-'")
        if not _VERSION.fullmatch(package.version):
            raise SourcesError(f"{where}: {package.version!r} is not one exact version")
        if licences.kind(package.licence) != "permissive":
            raise SourcesError(f"{where}: {package.licence or 'no licence'} is not a permissive licence")
        if package.sha256 and not re.fullmatch("[0-9a-f]{64}", package.sha256):
            raise SourcesError(f"{where}: sha256 must be 64 hexadecimal digits")
        yield package


def fetch(sources: Sources, folder: Path, *, progress: Progress, held_out: bool = False) -> list[Path]:
    """Downloads and unpacks the packages (or the held-out ones) into `folder`; returns their folders in list order.

    A folder that is there already stays as it is: it was complete when it got its name. The standard library is copied
    from the Python that runs this, first, never for `held_out`. Raises SourcesError, naming the package, at the first
    one that cannot be had, is not what the list says, or is unsafe; what was fetched before stays.
    """
    packages = sources.held_out if held_out else sources.packages
    makers: list[tuple[str, Callable[[Path], None]]] = []
    if sources.standard_library and not held_out:
        makers.append(("python-{}.{}-stdlib".format(*sys.version_info), _copy_standard_library))
    makers += [(package.folder, partial(_get, package, sources.python)) for package in packages]
    roots: list[Path] = []
    for done, (name, make) in enumerate(makers):
        progress(done, len(makers), name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            roots.append(_once(folder / name, make))
        except OSError as error:
            raise SourcesError(f"{name}: {error.filename or folder}: {error.strerror or error}") from error
    progress(len(makers), len(makers), "")
    return roots


def _once(root: Path, make: Callable[[Path], None]) -> Path:
    """Makes a folder under another name first, so that one with this name is always whole."""
    if not root.is_dir():
        with replaced_folder(root) as new:
            make(new)
    return root


def _copy_standard_library(to: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        inside = path.relative_to(library)
        if not _NOT_LIBRARY.intersection(inside.parts[:-1]) and not inside.parts[0].startswith("config-"):
            (to / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / inside)
    version = sysconfig.get_python_version()
    # Many distributions leave Python's licence out of the library's folder.
    metadata = f"Metadata-Version: 2.4\nName: python\nVersion: {version}\nLicense-Expression: PSF-2.0\n"
    (to / "PKG-INFO").write_text(metadata, encoding="utf-8")


def _get(package: Package, python: str, to: Path) -> None:
    downloads = to / ".download"
    wheel = _download(package, python, downloads)
    unpack(wheel, to, what=package.folder)
    shutil.rmtree(downloads)
    found = licences.detect(to)
    same = set(licences.identifiers(found)) == set(licences.identifiers(package.licence))
    if not same or licences.kind(found) != "permissive":
        raise SourcesError(f"{package.folder}: listed as {package.licence}, but it says {found or 'no known licence'}")


def _download(package: Package, python: str, to: Path) -> Path:
    """The wheel of the package's version, in the folder `to`, its checksum verified."""
    command = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "download"]
    # Only wheels: pip would run a source distribution's own build to learn its name.
    command += ["--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    command += [*(f"--platform={platform}" for platform in _PLATFORMS), f"--dest={to}"]
    try:
        done = subprocess.run(
            [*command, f"{package.name}=={package.version}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SourcesError(f"{package.folder}: no download within {PIP_SECONDS} seconds") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["pip failed without a word"]
        said = [line for line in lines if line.startswith("ERROR:")] or lines
        why = " (the package index did not answer)" if "Retrying (" in done.stderr else ""
        raise SourcesError(f"{package.folder}: {said[-1].removeprefix('ERROR:').strip()}{why}")
    files = list(to.glob("*.whl"))
    if len(files) != 1:
        raise SourcesError(f"{package.folder}: pip left {len(files)} wheels instead of one")
    with files[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if package.sha256 and digest != package.sha256:
        raise SourcesError(f"{package.folder}: {files[0].name} is another file than the list's (sha256 {digest})")
    return files[0]


def unpack(archive: Path, to: Path, *, what: str) -> None:
    """Unpacks the `*.py`, licence and metadata files of a wheel into the folder `to`.

    Links, over-long files and code carried along from other projects are left out. Raises SourcesError, naming `what`,
    for a file that is no zip file or is damaged, for members that would land outside `to` (whatever they are), and past
    MAX_MEMBERS members or MAX_UNPACKED bytes. Raises OSError where `to` cannot be written.
    """
    for parts, data in _members(archive, what):
        path = to.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


_DAMAGED = (
    *(zipfile.BadZipFile, struct.error, EOFError, zlib.error, lzma.LZMAError),
    ValueError,  # names that are no text, places outside the file
    OSError,  # the same places where the system finds them wrong; bad bzip2 data
    RuntimeError,  # encrypted, or (NotImplementedError) a compression that zipfile does not know
)


def _members(archive: Path, what: str) -> Iterator[tuple[list[str], bytes]]:
    try:
        with zipfile.ZipFile(archive) as wheel:
            members = [member for member in wheel.infolist() if not member.orig_filename.endswith("/")]
            if len(members) > MAX_MEMBERS:
                raise SourcesError(f"{what}: more than {MAX_MEMBERS:,} files")
            left = MAX_UNPACKED
            for member in members:
                # As written in the archive: `filename` is a name made harmless on the way.
                parts = member.orig_filename.split("/")
                if {"", ".", ".."}.intersection(parts) or re.search(r"[\\:\0]", member.orig_filename):
                    raise SourcesError(f"{what}: unsafe path {member.orig_filename!r} in {archive.name}")
                if not _is_wanted(member, parts):
                    continue
                # The size that an archive states may be a lie, so as much is read as is allowed and no more.
                with wheel.open(member) as stream:
                    data = stream.read(MAX_FILE + 1)
                left -= len(data)
                if left < 0:
                    raise SourcesError(f"{what}: more than {MAX_UNPACKED:,} bytes of source")
                if len(data) <= MAX_FILE:
                    yield parts, data
    except SourcesError:
        raise
    except _DAMAGED as error:
        raise SourcesError(f"{what}: {archive.name} cannot be unpacked: {error}") from error


def _is_wanted(member: zipfile.ZipInfo, parts: list[str]) -> bool:
    """Whether it is a regular file of a kind that is kept, in no folder of other people's code."""
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        return False
    named = parts[-1].endswith(".py") or _LICENCE_FILE.fullmatch(parts[-1]) is not None
    return named and not _CARRIED.intersection(parts[:-1])
