"""The list of sources, and what a download may put on the disk."""

from __future__ import annotations

import os
import stat
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aix_lsp.training import sources
from aix_lsp.training.corpus import licences
from aix_lsp.training.sources import Package, Sources, SourcesError, fetch, load_sources, unpack

LIST = Path(sources.__file__).parent / "recipes" / "aix_mini_sources.toml"
HELD_OUT = {"click", "requests", "starlette", "networkx"}
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{licence}\n"


def wheel(folder: Path, name: str, version: str, licence: str = "License-Expression: MIT") -> Path:
    """A wheel that pip accepts: one module, its metadata, and something that is no source."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f'version = "{version}"\n')
        archive.writestr(f"{name}/data.bin", b"\0" * 10)
        archive.writestr(f"{info}/METADATA", METADATA.format(name=name, version=version, licence=licence))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def packed(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return buffer.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ignore(done: int, total: int, what: str) -> None:
    """A progress that nobody watches."""


def only(*packages: Package, held_out: tuple[Package, ...] = ()) -> Sources:
    return Sources("3.11", False, packages, held_out)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and from nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


# The list that comes with the project.


def test_the_list_is_short_pinned_permissive_and_sorted() -> None:
    listed = load_sources(LIST)
    assert 50 <= len(listed.packages) <= 60
    for packages in (listed.packages, listed.held_out):
        assert list(packages) == sorted(packages, key=lambda package: package.name)
    for package in listed.packages + listed.held_out:
        assert len(package.sha256) == 64
        assert licences.kind(package.licence) == "permissive"
    assert listed.standard_library


def test_what_is_held_out_is_in_no_training_list() -> None:
    listed = load_sources(LIST)
    held_out = {package.name for package in listed.held_out}
    assert held_out > HELD_OUT
    assert len(held_out) == 6
    assert not held_out & {package.name for package in listed.packages}


# Reading a list.

PINNED = '[[package]]\nname = "one"\nversion = "1.0"\nlicence = "MIT"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python =", "not TOML"),
        (PINNED, "python must say a version"),
        ('python = "3"\n' + PINNED, "python must say a version"),
        ('python = "3.11"\nstandard_library = 1\n', "true or false"),
        ('python = "3.11"\npackages = 1\n', "unknown entry packages"),
        ('python = "3.11"\npackage = "one"\n', r"listed as \[\[package\]\]"),
        ('python = "3.11"\n' + PINNED + 'url = "x"\n', "'one'.*unknown entry url"),
        ('python = "3.11"\n' + PINNED.replace('version = "1.0"\n', ""), "'one'.*version is missing"),
        ('python = "3.11"\n' + PINNED.replace('"1.0"', "1.0"), "'one'.*version must be text"),
        ('python = "3.11"\n' + PINNED.replace("1.0", ">=1.0"), "not one exact version"),
        ('python = "3.11"\n' + PINNED.replace("1.0", "1.*"), "not one exact version"),
        ('python = "3.11"\n' + PINNED.replace('"one"', '"../one"'), "a name is lower case"),
        ('python = "3.11"\n' + PINNED.replace('"one"', '"--index-url=x"'), "a name is lower case"),
        ('python = "3.11"\n' + PINNED.replace('"one"', '"a\\nb"'), "a name is lower case"),
        ('python = "3.11"\n' + PINNED.replace("MIT", "GPL-3.0-or-later"), "GPL-3.0-or-later is not a permissive"),
        ('python = "3.11"\n' + PINNED.replace("MIT", "MIT AND MPL-2.0"), "is not a permissive"),
        ('python = "3.11"\n' + PINNED.replace("MIT", "Something"), "is not a permissive"),
        ('python = "3.11"\n' + PINNED + 'sha256 = "12"\n', "64 hexadecimal digits"),
        ('python = "3.11"\n' + PINNED + PINNED, "one is listed twice"),
        ('python = "3.11"\n' + PINNED + PINNED.replace("package", "held_out"), "one is listed twice"),
    ],
)
def test_a_bad_list_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(SourcesError, match=words) as caught:
        load_sources(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_list_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match="No such file"):
        load_sources(tmp_path / "none.toml")


# Fetching, with pip and a folder of wheels.


def test_a_package_becomes_a_folder_of_its_source_and_metadata(index: Path, tmp_path: Path) -> None:
    wheel(index, "one", "1.0")
    wheel(index, "one", "2.0")
    told: list[tuple[int, int, str]] = []
    roots = fetch(only(Package("one", "1.0", "MIT")), tmp_path / "out", progress=lambda *step: told.append(step))
    assert roots == [tmp_path / "out" / "one-1.0"]
    assert sorted(files(tmp_path / "out")) == ["one-1.0/one-1.0.dist-info/METADATA", "one-1.0/one/__init__.py"]
    assert (roots[0] / "one/__init__.py").read_text() == 'version = "1.0"\n'
    assert told == [(0, 1, "one-1.0"), (1, 1, "")]


def test_what_is_there_stays_and_what_was_cut_off_is_done_anew(index: Path, tmp_path: Path) -> None:
    wheel(index, "two", "1.0")
    (tmp_path / "one-1.0").mkdir()
    (tmp_path / ".two-1.0.77.part" / ".download").mkdir(parents=True)
    (tmp_path / ".two-1.0.77.part" / "half.py").write_text("cut o")
    roots = fetch(only(Package("one", "1.0", "MIT"), Package("two", "1.0", "MIT")), tmp_path, progress=ignore)
    assert files(roots[0]) == {}
    assert sorted(files(roots[1])) == ["two-1.0.dist-info/METADATA", "two/__init__.py"]
    assert not (tmp_path / ".two-1.0.77.part").exists()


def test_held_out_packages_are_fetched_alone(index: Path, tmp_path: Path) -> None:
    wheel(index, "two", "1.0")
    listed = replace(
        only(Package("one", "1.0", "MIT"), held_out=(Package("two", "1.0", "MIT"),)), standard_library=True
    )
    roots = fetch(listed, tmp_path / "out", progress=ignore, held_out=True)
    assert [root.name for root in roots] == ["two-1.0"]


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (Package("one", "3.0", "MIT"), r"one-3\.0: No matching distribution found for one==3\.0"),
        (Package("one", "1.0", "MIT", "0" * 64), r"one-1\.0: .* is another file than the list's"),
        (Package("copyleft", "1.0", "MIT"), r"copyleft-1\.0: listed as MIT, but it says GPL-3"),
    ],
)
def test_a_package_that_is_not_as_listed_is_named_and_leaves_nothing(
    index: Path, tmp_path: Path, package: Package, words: str
) -> None:
    wheel(index, "one", "1.0")
    wheel(index, "copyleft", "1.0", "License-Expression: GPL-3.0-or-later")
    with pytest.raises(SourcesError, match=words) as caught:
        fetch(only(package), tmp_path / "out", progress=ignore)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(index: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SourcesError, match=r"one-1\.0: .*out: File exists"):
        fetch(only(Package("one", "1.0", "MIT")), tmp_path / "out", progress=ignore)


def test_the_standard_library_comes_without_its_tests_and_with_a_licence(tmp_path: Path) -> None:
    (root,) = fetch(Sources("3.11", True, (), ()), tmp_path, progress=ignore)
    assert root.name == "python-{}.{}-stdlib".format(*sys.version_info)
    names = set(files(root))
    assert {"argparse.py", "json/decoder.py", "PKG-INFO"} <= names
    assert not [name for name in names if {"test", "site-packages"} & set(name.split("/"))]
    assert licences.detect(root) == "PSF-2.0"


# Unpacking what somebody else made.


def test_only_source_licence_and_metadata_files_are_unpacked(tmp_path: Path) -> None:
    kept = {
        "one/a.py": b"a = 1\n",
        "one/LICENSE": b"free",
        "one/licenses/LICENCE-MIT.txt": b"free",
        "one-1.dist-info/METADATA": b"Name: one\n",
        "COPYING.rst": b"free",
    }
    left = ["one/a.so", "one/a.pyc", "one/license.js", "one/_vendor/click/b.py", "one/third_party/c.py", "RECORD"]
    archive = tmp_path / "one.whl"
    archive.write_bytes(
        packed(*kept.items(), *((name, b"x = 1\n") for name in left), ("one/long.py", b" " * 2_000_001))
    )
    unpack(archive, tmp_path / "out", what="one")
    assert files(tmp_path / "out") == dict(sorted(kept.items()))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "one/../../evil.py",
        "/evil.py",
        "one//evil.py",
        "./evil.py",
        "C:/evil.py",
        "..\\evil.py",
        "a.py\0.txt",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    # zipfile tidies names when it writes, so the name goes in behind its back.
    stand_in = "x" * (len(name) - 3) + ".py"
    archive = tmp_path / "one.whl"
    archive.write_bytes(packed((stand_in, b"evil = 1\n")).replace(stand_in.encode(), name.encode()))
    (tmp_path / "in").mkdir()
    with pytest.raises(SourcesError, match=r"one-1\.0: unsafe path"):
        unpack(archive, tmp_path / "in" / "out", what="one-1.0")
    assert files(tmp_path / "in") == {}


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    link, device = zipfile.ZipInfo("link.py"), zipfile.ZipInfo("device.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    device.external_attr = (stat.S_IFCHR | 0o666) << 16
    archive = tmp_path / "one.whl"
    archive.write_bytes(packed((link, b"/etc/passwd"), (device, b""), ("a.py", b"a = 1\n")))
    unpack(archive, tmp_path / "out", what="one")
    assert list(files(tmp_path / "out")) == ["a.py"]


def test_an_archive_may_not_hold_more_than_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "one.whl"
    archive.write_bytes(packed(*((f"{i}.py", b" " * 1_000) for i in range(11))))
    monkeypatch.setattr(sources, "MAX_UNPACKED", 10_000)
    with pytest.raises(SourcesError, match="one: more than 10,000 bytes of source"):
        unpack(archive, tmp_path / "out", what="one")
    monkeypatch.setattr(sources, "MAX_MEMBERS", 10)
    with pytest.raises(SourcesError, match="one: more than 10 files"):
        unpack(archive, tmp_path / "out", what="one")


WHOLE = packed(("one/a.py", b"a = 1\n" * 50), ("one/b.py", b"b = 2\n"), ("LICENSE", b"free"))


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that stand twice
        yield


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4),
    end=st.integers(0, len(WHOLE)) | st.just(len(WHOLE)),
)
def test_a_damaged_archive_is_refused_in_one_line_or_unpacked_inside_its_folder(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    folder = tmp_path_factory.mktemp("damaged")
    archive = folder / "one.whl"
    archive.write_bytes(data[:end])
    said = "one: "
    with quiet():
        try:
            unpack(archive, folder / "out", what="one")
        except SourcesError as error:
            said = str(error)
        except OSError as error:  # a name became longer than the file system takes, or a file's became a folder's
            assert str(folder / "out") in str(error.filename)  # noqa: PT017
    assert said.startswith("one: ")
    assert "\n" not in said
    assert {path.name for path in folder.iterdir()} <= {"one.whl", "out"}
