"""What a project's manifests state about its licence, as they state it: expressions, names, classifiers, whole texts.

Every reader takes the text of one file and gives statements; a broken file gives none, because a corpus of many
projects always has some.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

_MAX_BYTES: Final = 1 << 20
_MAX_FOLDERS: Final = 500

MANIFESTS: Final = frozenset(
    {
        *("pyproject.toml", "setup.cfg", "setup.py", "PKG-INFO", "METADATA", "package.json", "Cargo.toml", "go.mod"),
        *("pom.xml", "build.gradle", "build.gradle.kts", "CMakeLists.txt", "meson.build", "configure.ac", "Makefile"),
        *("deno.json", "tsconfig.json", "build.xml", "build.sbt", "MODULE.bazel", "WORKSPACE"),
    }
)
"""Files that stand at the top of one project."""

MANIFEST_ENDINGS: Final = (".csproj", ".nuspec", ".sln", ".vcxproj", ".gemspec")

_CLASSIFIER: Final = "License :: "
_SAYS_NOTHING: Final = frozenset({"", "unknown", "none", "n/a", "other", "see license", "license", "dual license"})


def statements(root: Path) -> list[str]:
    """What the manifests directly in `root`, and the metadata of a wheel or egg unpacked there, state."""
    stated: list[str] = []
    folders = [root, *information_folders(root)]
    for path in (path for folder in folders for path in entries(folder)):
        reader = _READERS.get(path.name) or _READERS.get(path.suffix)
        if reader is not None:
            stated += [each.strip() for each in reader(read(path)) if each.strip().lower() not in _SAYS_NOTHING]
    return stated


def information_folders(root: Path) -> list[Path]:
    """Folders `*.dist-info` and `*.egg-info` of a wheel or an egg that was unpacked into `root`."""
    return [path for path in entries(root, folders=True) if path.suffix in (".dist-info", ".egg-info")]


def entries(folder: Path, *, folders: bool = False) -> list[Path]:
    """Files (or folders) directly in `folder`, by name; links and what cannot be listed are left out."""
    try:
        with os.scandir(folder) as found:
            kept = [
                entry.name
                for entry in found
                if (entry.is_dir(follow_symlinks=False) if folders else entry.is_file(follow_symlinks=False))
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(kept)]


def read(path: Path, limit: int = _MAX_BYTES) -> str:
    """Up to `limit` bytes of a file as text, "" when it cannot be read. What is no UTF-8 is replaced."""
    try:
        with path.open("rb") as file:
            return file.read(limit).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def some_sources(root: Path, most: int) -> list[Path]:
    """Up to `most` source files, breadth first."""
    wanted = {".py", ".js", ".ts", ".tsx", ".java", ".go", ".rs", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs"}
    found: list[Path] = []
    folders = [root]
    for folder in folders:
        found += [path for path in entries(folder) if path.suffix in wanted]
        if len(found) >= most or len(folders) > _MAX_FOLDERS:
            break
        folders += [each for each in entries(folder, folders=True) if not each.name.startswith((".", "node_modules"))]
    return found[:most]


def name(root: Path) -> str:
    """The name that a manifest in `root` gives the project, or ""."""
    for folder in (root, *information_folders(root)):
        for file, way in _NAMES:
            path = folder / file
            if not path.is_file():
                continue
            if file in ("PKG-INFO", "METADATA"):
                given: Any = HeaderParser().parsestr(read(path)).get("Name")
            else:
                given = _toml(read(path)) if file.endswith("toml") else _json(read(path))
                for key in way:
                    given = given.get(key) if isinstance(given, Mapping) else None
            if isinstance(given, str) and given.strip():
                return given.strip()
    return ""


_NAMES: Final = (
    ("pyproject.toml", ("project", "name")),
    ("pyproject.toml", ("tool", "poetry", "name")),
    ("METADATA", ()),
    ("PKG-INFO", ()),
    ("Cargo.toml", ("package", "name")),
    ("package.json", ("name",)),
)


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(data: Mapping[str, Any], *way: str) -> Mapping[str, Any]:
    for key in way:
        found = data.get(key)
        if not isinstance(found, dict):
            return {}
        data = found
    return data


def _strings(value: object) -> list[str]:
    """The strings in a value that may be one, a table with a text or type, or a list of these."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [each for item in value for each in _strings(item)]
    if isinstance(value, dict):
        return _strings(value.get("text") or value.get("type") or value.get("name"))
    return []


def _first_of(stated: list[str], classifiers: list[str]) -> Iterator[str]:
    """The field, or else the classifiers: both of one manifest say the same, the field mostly in more detail."""
    stated = [each for each in stated if each.strip().lower() not in _SAYS_NOTHING]
    yield from stated or (
        each.rpartition("::")[2].strip()
        for each in classifiers
        if each.startswith(_CLASSIFIER) and not each.endswith("OSI Approved")
    )


def _pyproject(text: str) -> Iterator[str]:
    data = _toml(text)
    project, poetry = _part(data, "project"), _part(data, "tool", "poetry")
    stated = _strings(project.get("license")) or _strings(poetry.get("license"))
    yield from _first_of(stated, _strings(project.get("classifiers")) + _strings(poetry.get("classifiers")))


def _core_metadata(text: str) -> Iterator[str]:
    headers = HeaderParser().parsestr(text)
    stated = [str(each) for each in headers.get_all("License-Expression", [])]
    classifiers = [str(each) for each in headers.get_all("Classifier", [])]
    free = [str(each) for each in headers.get_all("License", [])]
    # A whole licence in the field of its name: the classifier is the clearer statement.
    if any("\n" in each for each in free) and any(each.startswith(_CLASSIFIER) for each in classifiers):
        free = []
    yield from _first_of(stated or free, classifiers)


def _setup_cfg(text: str) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    if parser.has_section("metadata"):
        section = parser["metadata"]
        lines = section.get("classifiers", section.get("classifier", "")).splitlines()
        yield from _first_of([section.get("license", "")], [line.strip() for line in lines])


def _package_json(text: str) -> Iterator[str]:
    data = _json(text)
    stated = _strings(data.get("license"))
    # The older form is a list, and is a choice.
    yield from stated or [" OR ".join(_strings(data.get("licenses")))]


def _cargo(text: str) -> Iterator[str]:
    data = _toml(text)
    for way in (("package",), ("workspace", "package")):
        yield from _strings(_part(data, *way).get("license"))


def _xml(text: str) -> Iterator[ElementTree.Element]:
    # A document type can define entities that grow without bounds, and no manifest has one.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return
    try:
        top = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return
    for element in top.iter():
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
        yield element


def _pom(text: str) -> Iterator[str]:
    for element in list(_xml(text)):
        if element.tag == "license":
            yield from (child.text for child in element if child.tag == "name" and child.text)


def _dotnet(text: str) -> Iterator[str]:
    for element in _xml(text):
        expression = element.tag == "license" and element.get("type") == "expression"
        if (expression or element.tag == "PackageLicenseExpression") and element.text:
            yield element.text
        elif element.tag == "licenseUrl" and element.text:
            found = re.search(r"licenses\.nuget\.org/([\w.+-]+)|licenses/(MIT|LICENSE-2\.0)", element.text)
            if found:
                yield found[1] or found[2].replace("LICENSE-2.0", "Apache-2.0")


_READERS: Final[Mapping[str, Callable[[str], Iterator[str]]]] = {
    "pyproject.toml": _pyproject,
    "PKG-INFO": _core_metadata,
    "METADATA": _core_metadata,
    "setup.cfg": _setup_cfg,
    "package.json": _package_json,
    "Cargo.toml": _cargo,
    "pom.xml": _pom,
    ".csproj": _dotnet,
    ".nuspec": _dotnet,
}
