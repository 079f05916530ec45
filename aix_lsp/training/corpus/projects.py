"""Which folders are projects, and which of them a corpus is made of.

As aiXcoder-7B's authors did (Jiang et al. 2024, section on data collection): licences first, then copies of projects,
then a score from commits, test files and stars, whose lowest tenth is left out.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Final

from aix_lsp.training.corpus import licence_metadata, licences
from aix_lsp.training.corpus.records import Dropped, Project
from aix_lsp.training.corpus.source_paths import is_manifest, is_source, is_test, source_and_bundled
from aix_lsp.workspace.folders import NEVER_ENTERED, REPOSITORY_FOLDERS

STEP: Final = "projects"

_GIT_TIMEOUT_S: Final = 30.0
_MIN_PROJECTS_TO_RANK: Final = 10
_MAX_SHARED: Final = 0.8
_MUCH_LARGER: Final = 2
_MIN_BYTES_TO_COMPARE: Final = 64
"""Smaller files are the same in projects that have nothing to do with one another."""

_NOT_IN_A_NAME: Final = re.compile(r"[\s/\\:\x00-\x1f\x7f\ud800-\udfff]+")


class SourcesError(ValueError):
    """A source that cannot be read, in one line for a person."""


def find_projects(sources: Sequence[Path], stars: Mapping[str, int] | None = None) -> list[Project]:
    """The projects of the folders `sources`, in their order, each folder once.

    A folder is one project if anything at its top says so: a source file, a licence file, a manifest (or the metadata
    of an unpacked wheel), or a version control folder. Otherwise each folder in it is one, whatever it holds; folders
    that tools keep for themselves, hidden ones and links are not. It goes no deeper than that.

    A project is called as its manifest says, or else as its folder; where two folders without a manifest have one
    name, the name of the folder above comes before it. `stars` are by that name. Raises SourcesError when a source is
    no folder.
    """
    roots: dict[Path, None] = {}
    for source in sources:
        if not source.is_dir():
            raise SourcesError(f"{source} is {'not a folder' if source.exists() else 'not there'}")
        for root in [source] if _is_project(source) else _folders(source):
            roots.setdefault(root.resolve())
    return [_project(root, name, stars or {}) for root, name in _named(list(roots))]


def select(
    projects: Sequence[Project], *, allow_unknown: bool, lowest: float = 0.1
) -> tuple[list[Project], list[Dropped]]:
    """The projects to learn from, in the order given, and those left out with the reason.

    Left out are, in this order: licences that keep code out, unknown ones unless allowed, projects without a source
    file, copies of others, and the share `lowest` with the lowest score. Of two copies (one name, or more than four
    fifths of the smaller one's source files in the other, byte for byte) the one with the higher score stays, or the
    larger one if it is at least twice as large: it has the other's files, not the other way round. Projects whose
    score is that of the lowest that stays are not left out, and of fewer than ten none is. Reads all source files.
    """
    if not 0 <= lowest < 1:
        raise ValueError(f"the share of projects to leave out must lie between 0 and 1, not at {lowest}")
    dropped: list[Dropped] = []
    candidates: list[_Candidate] = []
    for project in projects:
        kind = licences.kind(project.licence)
        if kind == "copyleft":
            dropped.append(_dropped(project, "copyleft or restricting licence", project.licence))
        elif kind == "unknown" and not allow_unknown:
            dropped.append(_dropped(project, "unknown licence", project.licence))
        else:
            files = list(_files(project))
            if files:
                candidates.append(_Candidate(project, frozenset(each for each in files if each)))
            else:
                dropped.append(_dropped(project, "no source file"))
    points = scores([each.project for each in candidates])
    candidates = [replace(each, score=score) for each, score in zip(candidates, points, strict=True)]
    kept, copies = _without_copies(candidates)
    dropped += copies
    if len(kept) >= _MIN_PROJECTS_TO_RANK:
        limit = sorted(each.score for each in kept)[math.floor(lowest * len(kept))]
        dropped += [_dropped(each.project, "low score", f"{each.score:.3f}") for each in kept if each.score < limit]
        kept = [each for each in kept if each.score >= limit]
    return [each.project for each in kept], dropped


def scores(projects: Sequence[Project]) -> list[float]:
    """A score from 0 to 1 for each project: the mean of log(1 + n) / log(1 + largest n) over commits, test files and
    stars. Logarithms, because a hundredfold count is not a hundredfold quality; stars count where they are known."""
    signals: list[list[int | None]] = [
        [project.commits for project in projects],
        [project.tests for project in projects],
        [project.stars for project in projects],
    ]
    most = [math.log1p(max((each for each in signal if each is not None), default=0)) for signal in signals]
    found = []
    for values in zip(*signals, strict=True):
        known = [(value, top) for value, top in zip(values, most, strict=True) if value is not None]
        found.append(sum(math.log1p(max(0, value)) / top for value, top in known if top) / max(1, len(known)))
    return found


@dataclass(frozen=True, slots=True)
class _Candidate:
    project: Project
    hashes: frozenset[bytes]
    score: float = 0.0


def _without_copies(candidates: Sequence[_Candidate]) -> tuple[list[_Candidate], list[Dropped]]:
    places = sorted(range(len(candidates)), key=lambda place: (-candidates[place].score, place))
    kept: set[int] = set()
    names: dict[str, int] = {}
    owners: defaultdict[bytes, list[int]] = defaultdict(list)
    copy_of: dict[int, tuple[int, str]] = {}
    for place in places:
        one = candidates[place]
        same = names.get(_plain(one.project.name))
        if same in kept:
            copy_of[place] = (same, "another project of the same name")
            continue
        shared = Counter(owner for each in one.hashes for owner in owners.get(each, ()) if owner in kept)
        copies = [
            other
            for other, count in shared.items()
            if count > _MAX_SHARED * min(len(one.hashes), len(candidates[other].hashes))
        ]
        nearly = [other for other in copies if len(one.hashes) < _MUCH_LARGER * len(candidates[other].hashes)]
        if nearly:
            copy_of[place] = (min(nearly), "copy of another project")
            continue
        for other in copies:
            copy_of[other] = (place, "copy of another project")
            kept.remove(other)
        kept.add(place)
        names[_plain(one.project.name)] = place
        for each in one.hashes:
            owners[each].append(place)
    dropped = [
        _dropped(candidates[place].project, reason, candidates[other].project.name)
        for place, (other, reason) in sorted(copy_of.items())
    ]
    return [candidates[place] for place in sorted(kept)], dropped


def _dropped(project: Project, reason: str, detail: str = "") -> Dropped:
    return Dropped(STEP, project.name, reason, detail=detail)


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]+", "-", name).lower()


def _is_project(folder: Path) -> bool:
    if any(os.path.lexists(folder / name) for name in REPOSITORY_FOLDERS):
        return True
    if licence_metadata.information_folders(folder) or licences.licence_files(folder):
        return True
    names = [path.name for path in licence_metadata.entries(folder)]
    return any(is_manifest(name) or is_source(name) for name in names)


def _folders(source: Path) -> list[Path]:
    found = licence_metadata.entries(source, folders=True)
    return [folder for folder in found if folder.name not in NEVER_ENTERED and not folder.name.startswith(".")] or [
        source
    ]


def _named(roots: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    stated = {root: licence_metadata.name(root) for root in roots}
    names = Counter(_plain(stated[root] or root.name) for root in roots)
    taken: set[str] = {_plain(name) for name in stated.values() if name}
    for root in roots:
        name = stated[root]
        if not name:
            name = root.name if names[_plain(root.name)] == 1 else f"{root.parent.name}-{root.name}"
            first, number = name, 2
            while _plain(name) in taken:
                name, number = f"{first}-{number}", number + 1
            taken.add(_plain(name))
        yield root, _NOT_IN_A_NAME.sub("-", name).strip("-") or "project"


def _project(root: Path, name: str, stars: Mapping[str, int]) -> Project:
    paths, bundled = source_and_bundled(root)
    tests = sum(is_test(path) for path in paths if path not in bundled)
    return Project(name, root, licences.detect(root), _commits(root), tests, stars.get(name))


def _commits(root: Path) -> int:
    """Commits of a repository whose top is `root`; 0 without one, without git, or when git takes too long."""
    if not os.path.lexists(root / ".git"):
        return 0
    # Neither variables that point at another repository, nor what this one's configuration would run or fetch.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never", "rev-list", "--count", "HEAD"],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    told = done.stdout.strip()
    return int(told) if done.returncode == 0 and told.isdigit() else 0


def _files(project: Project) -> Iterator[bytes]:
    """A hash for each source file of the project's own; b"" for those too small to compare."""
    paths, bundled = source_and_bundled(project.root)
    for path in paths:
        file = project.root / path
        if path in bundled or not file.is_file() or file.is_symlink():
            continue
        try:
            data = file.read_bytes()
        except OSError:
            continue
        yield blake2b(data, digest_size=16).digest() if len(data) >= _MIN_BYTES_TO_COMPARE else b""
