"""Wheel and source archive: built twice, compared, and looked into."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aix_lsp
from tests.findings import Finding
from tests.package.contents import METADATA, ROOT, differences, packed_files, unused_kinds, unwanted
from tests.package.rows import row
from tests.package.tools import BUILD, run, tool

EPOCH = "1700000000"
"""The time that every file in a package gets: what is built twice is then the same."""

NEEDED_IN_SOURCE = ("README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "pyproject.toml", "PKG-INFO")


@dataclass(frozen=True, slots=True)
class Built:
    """What two builds left. The first made its wheel from the source archive, the second from the checkout."""

    wheel: Path
    source: Path
    other_wheel: Path
    other_source: Path


def build(folder: Path) -> Built:
    """Build twice into a folder. Raises NotHere where the tools cannot be had, CalledProcessError."""
    builder = tool("pyproject-build", BUILD)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": ""}
    # the compressor of another Python may pack otherwise, so that both are built by one
    for name, what in (("one", ()), ("two", ("--sdist", "--wheel"))):
        run([builder, "--no-isolation", *what, "--outdir", folder / name, ROOT], env=environment, timeout=600)
    stem = f"aix_lsp-{aix_lsp.__version__}"
    wheel, source = f"{stem}-py3-none-any.whl", f"{stem}.tar.gz"
    one, two = folder / "one", folder / "two"
    return Built(one / wheel, one / source, two / wheel, two / source)


def rows(built: Built) -> Iterator[Finding]:
    """What is promised of the two files."""
    yield row("the wheel holds all of aix_lsp and nothing else", lambda: whole(built.wheel))
    yield row("its metadata are valid and name the licence", lambda: described(built.wheel))
    yield row("wheels from the checkout and from the source archive are equal", lambda: equal_wheels(built))
    yield row("the source archive is complete, and two are equal", lambda: complete(built))


def whole(wheel: Path) -> str:
    """The wheel's files are the checkout's; raises AssertionError with what is missing or too much."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    info = f"aix_lsp-{aix_lsp.__version__}.dist-info"
    code = {name: len(data) for name, data in packed.items() if not name.startswith(f"{info}/")}
    problems = [*differences(packed, packed_files(), info), *unwanted(code)]
    problems += [f"there is no {kind}" for kind in unused_kinds(packed)]
    assert not problems, "; ".join(problems[:5])
    unpacked = sum(map(len, packed.values()))
    return f"{len(packed)} files, {wheel.stat().st_size / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB"


def described(wheel: Path) -> str:
    """Name, version, licence, Python versions, command; checked by `packaging`, which packages indexes use too."""
    from packaging.metadata import Metadata
    from packaging.specifiers import SpecifierSet

    info = f"aix_lsp-{aix_lsp.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = Metadata.from_email(archive.read(f"{info}/METADATA"), validate=True)
        command = archive.read(f"{info}/entry_points.txt").decode()
        licence = archive.read(f"{info}/{METADATA[-1]}")
    assert (metadata.name, str(metadata.version)) == ("aix-lsp", aix_lsp.__version__)
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.license_files == ["LICENSE"]
    assert licence == (ROOT / "LICENSE").read_bytes(), "the licence's text is another one"
    assert metadata.requires_python == SpecifierSet(">=3.11,<3.14")
    assert "aix-lsp = aix_lsp.cli:main" in command.splitlines()
    return f"{metadata.name} {metadata.version}, {metadata.license_expression}, Python {metadata.requires_python}"


def equal_wheels(built: Built) -> str:
    """Both wheels, byte for byte."""
    one, two = built.wheel.read_bytes(), built.other_wheel.read_bytes()
    assert one == two, "the two wheels differ"
    return f"SHA-256 {hashlib.sha256(one).hexdigest()[:16]}…"


def complete(built: Built) -> str:
    """The source archive: what is needed is in it, no cache is, and the second is the same."""
    assert built.source.read_bytes() == built.other_source.read_bytes(), "the two archives differ"
    with tarfile.open(built.source) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    missing = [name for name in (*NEEDED_IN_SOURCE, *packed_files(), "tests/conftest.py") if name not in names]
    assert not missing, f"{missing[:5]} are missing"
    caches = [name for name in names if "__pycache__" in name or "/node_modules/" in name or "_cache/" in name]
    assert not caches, f"{caches[:5]} are caches"
    return f"{len(names)} files, {built.source.stat().st_size / 1e6:.1f} MB"
