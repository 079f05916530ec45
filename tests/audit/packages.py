"""The Python packages: what is pinned, what is declared, what is installed, and who asks for what."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent.parent

OWN = "aix-lsp"

NOT_PINNED = {
    "flash-attn": "has no wheels: it is compiled against the PyTorch and CUDA of the machine that wants it",
}
"""What pyproject.toml declares and constraints.txt does not pin, and why."""

TOOLS = frozenset({"pip", "wheel"})
"""What an environment has to install others."""

PLATFORMS: tuple[Mapping[str, str], ...] = tuple(
    {
        "sys_platform": system,
        "platform_system": name,
        "os_name": "nt" if system == "win32" else "posix",
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    for system, name in (("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows"))
    for python in ("3.11", "3.12", "3.13")
)
"""Where aix-lsp is to run: a requirement counts where it holds on one of these."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What pyproject.toml asks for: by extra ("" for running), each a list of requirements."""

    extras: Mapping[str, tuple[Requirement, ...]]

    def all(self) -> Iterator[tuple[str, Requirement]]:
        """Every requirement of somebody else's package, with the extra that has it."""
        for extra, requirements in self.extras.items():
            for requirement in requirements:
                if canonicalize_name(requirement.name) != OWN:
                    yield extra, requirement


def declared(path: Path = ROOT / "pyproject.toml") -> Declared:
    """Read pyproject.toml."""
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return Declared({extra: tuple(map(Requirement, items)) for extra, items in groups.items()})


def pins(text: str) -> dict[str, str]:
    """Versions by canonical name. Raises ValueError with the line that pins nothing, or twice."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        pinned = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!_-]+)", bare)
        if pinned is None:
            raise ValueError(f"constraints.txt: {line!r} is not NAME==VERSION")
        name = canonicalize_name(pinned[1])
        if name in found:
            raise ValueError(f"constraints.txt pins {name} twice")
        found[name] = pinned[2]
    return found


def installed() -> dict[str, Distribution]:
    """What is installed beside this Python, by canonical name; aix-lsp itself and what installs others left out."""
    found: dict[str, Distribution] = {}
    for one in distributions():
        name = canonicalize_name(one.metadata["Name"] or "")
        if name and name not in TOOLS and name != OWN:
            found.setdefault(name, one)
    return found


def public(version: str) -> str:
    """A version without what a package index adds for its own builds (`2.13.0+cpu`)."""
    return Version(version).public


def wanted_by(requirements: Iterable[Requirement], present: Mapping[str, Distribution]) -> set[str]:
    """Canonical names of all packages that these need, directly or not, as far as installed ones say what they need."""
    found: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if not _holds(requirement, extra):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if name == OWN or (name, wanted) in found:
                continue
            found.add((name, wanted))
            if name in present:
                waiting += [(Requirement(item), wanted) for item in present[name].requires or ()]
    return {name for name, _ in found}


def _holds(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return True
    here = {str(name): str(value) for name, value in default_environment().items()}
    return any(requirement.marker.evaluate({**here, **platform, "extra": extra}) for platform in PLATFORMS)


def users(wanted: Declared, present: Mapping[str, Distribution]) -> dict[str, list[str]]:
    """For each package the extras that need it, the smallest first ("" is running); an extra that another one includes
    is told by itself."""
    needs = {extra: wanted_by(requirements, present) for extra, requirements in wanted.extras.items()}
    found: dict[str, list[str]] = {}
    for extra in ("", *sorted(extra for extra in needs if extra)):
        for name in needs[extra]:
            found.setdefault(name, []).append(extra)
    return found
