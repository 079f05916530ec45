"""Git's view of a folder: which files it tracks or could track. Runs git, and nothing that a repository configures."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from aix_lsp.environment import without_secrets

_TIMEOUT_S: Final = 20.0
_QUESTION_TIMEOUT_S: Final = 10.0
"""For the first question, which reads a few files: a git that does not answer it (a disk that is away, a wrapper that
waits for somebody) is done without."""

_NO_FILTER: Final = (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))

_REDIRECTIONS: Final = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"),
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"),
        *("GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE"),
    }
)
"""Variables that point git at another repository, as in a server started from a git hook."""

_SAFE_OPTIONS: Final = (
    # A repository's own configuration can name programs to run and servers to ask. A folder is opened to be read.
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "protocol.allow=never"),
    # a folder that merely looks like a repository's inside
    *("-c", "safe.bareRepository=explicit"),
    # nor files to read, which may be devices without end
    *("-c", f"core.attributesFile={os.devnull}"),
    *("-c", f"diff.orderFile={os.devnull}"),
    *("-c", "log.mailmap=false"),
)

_MOST_MEMORY: Final = 2 << 30
"""Bytes that git may take for itself: its own files may be links to what has no end, such as `.git/commondir` to
/dev/zero. A work tree of a million files takes a quarter."""


@dataclass(frozen=True)
class GitView:
    """A folder inside a work tree.

    `top` is the work tree's root and `prefix` the way from there to the folder (empty, or ending in a slash).
    `exclude_files` are the ignore files outside the tree: `.git/info/exclude`, then the user's own.
    """

    root: Path
    top: Path
    prefix: str
    exclude_files: tuple[Path, ...]
    options: tuple[str, ...] = ()

    @cached_property
    def tracked_although_ignored(self) -> frozenset[str]:
        """Paths that the index holds in spite of ignore rules, relative to the folder; asked of git when first
        needed."""
        tracked = self._ask("ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
        return frozenset(_paths(tracked or b""))

    def files(self) -> list[str] | None:
        """Tracked files, and untracked ones that are not ignored, relative to the folder; None when git fails.

        Submodules and other repositories inside are left out, deleted files are not.
        """
        listing = self._ask("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        if listing is None:
            return None
        # Other repositories are listed as folders, a path in a merge conflict once for each side.
        return [path for path in dict.fromkeys(_paths(listing)) if not path.endswith("/")]

    def last_commits(self, most: int = 1_000) -> dict[str, int] | None:
        """When files of the folder were last committed, in seconds since 1970: those that the latest `most` commits
        touch. None when git fails, as before the first commit."""
        log = self._ask(
            *("log", f"--max-count={most}", "--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-renames"),
            *("-z", "--name-only", "--relative", "--format=format:%x01%ct%x02"),
        )
        if log is None:
            return None
        found: dict[str, int] = {}
        for commit in log.split(b"\1")[1:]:
            time, _, names = commit.partition(b"\2")
            for path in _paths(names.removeprefix(b"\n")):
                # a merge may bring an older commit later
                found[path] = max(found.get(path, 0), int(time))
        return found

    def uncommitted(self) -> frozenset[str]:
        """Files that differ from the index, or that git does not track, ignored ones aside."""
        # To compare contents git would run the programs that the repository names as filters.
        filters = self._ask("config", "-z", "--name-only", "--get-regexp", r"^filter\.") or b""
        names = {os.fsdecode(key.rpartition(b".")[0]) for key in filters.split(b"\0") if key}
        values = {f"{name}.{key}": value for name in names for key, value in _NO_FILTER}
        listing = self._ask("ls-files", "-z", "--modified", "--others", "--exclude-standard", configured=values)
        return frozenset(_paths(listing or b""))

    def _ask(self, *arguments: str, configured: Mapping[str, str] | None = None) -> bytes | None:
        return _git(self.root, *self.options, *arguments, configured=configured)


def find_git_view(root: Path) -> GitView | None:
    """Git's view of `root`, or None: no git, no work tree, somebody else's repository, or a folder that the
    repository around it ignores (a project inside a home folder that is itself under version control)."""
    try:
        user_file = _users_exclude_file(root)
    except TimeoutError:
        return None  # nor would it answer the next question
    # A repository may name any file as one of patterns: only the user's own is read.
    options = ("-c", f"core.excludesFile={user_file}")
    answer = _git(
        root,
        *(*options, "rev-parse", "--is-inside-work-tree", "--show-cdup", "--git-path", "info/exclude", "--show-prefix"),
        timeout=_QUESTION_TIMEOUT_S,
    )
    if answer is None:
        return None
    inside, way_up, exclude, prefix = os.fsdecode(answer).removesuffix("\n").split("\n", 3)
    if inside != "true" or _git(root, *options, "check-ignore", "--quiet", ".") is not None:
        return None
    return GitView(
        root=root,
        top=root / way_up,
        prefix=prefix,
        exclude_files=(root / exclude, user_file),
        options=options,
    )


def _users_exclude_file(root: Path) -> Path:
    """The user's own ignore file, whether it is there or not. Raises TimeoutError where git does not answer."""
    asked = ("config", "-z", "--show-scope", "--type=path", "--get-all", "core.excludesFile")
    named = _answer(root, *asked, timeout=_QUESTION_TIMEOUT_S)
    words = (named or b"").split(b"\0")
    for scope, value in reversed([*zip(words[::2], words[1::2], strict=False)]):
        if scope in (b"global", b"system") and value.strip():
            return Path(os.fsdecode(value))
    configuration = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(configuration).expanduser() / "git" / "ignore"


def _paths(listing: bytes) -> list[str]:
    return [os.fsdecode(path) for path in listing.split(b"\0") if path]


def _program(root: Path) -> str | None:
    """Git as the user's PATH has it, but for entries that a folder which is opened could fill: empty and relative ones,
    and those inside `root`."""
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        folder = Path(entry)
        if not folder.is_absolute() or (len(root.parts) > 1 and _within(folder, root)):
            continue
        found = shutil.which(folder / "git")
        if found is not None and not (len(root.parts) > 1 and _within(Path(found), root)):
            return found
    return None


def _within(path: Path, root: Path) -> bool:
    """Whether a path leads into `root`, as it is written or through links."""
    return path.is_relative_to(root) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _git(
    root: Path, *arguments: str, timeout: float = _TIMEOUT_S, configured: Mapping[str, str] | None = None
) -> bytes | None:
    """`_answer`, or None where it takes too long."""
    try:
        return _answer(root, *arguments, timeout=timeout, configured=configured)
    except TimeoutError:
        return None


def _answer(root: Path, *arguments: str, timeout: float, configured: Mapping[str, str] | None = None) -> bytes | None:
    """Standard output of one git command in `root`, or None when it fails. `configured` are more values, by names that
    may hold anything. Raises TimeoutError after `timeout` seconds."""
    program = _program(root)
    if program is None:
        return None
    environment = {name: value for name, value in without_secrets().items() if name not in _REDIRECTIONS}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    if configured:
        environment["GIT_CONFIG_COUNT"] = str(len(configured))
        for number, (name, value) in enumerate(configured.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        process = subprocess.Popen(
            # The folder is git's to enter: with `cwd` it would be entered before there is a process to end, and on a
            # disk that does not answer the time limit would not count.
            [program, "-C", str(root), *_SAFE_OPTIONS, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    _limit(process)
    with process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise TimeoutError from None
    return output if process.returncode == 0 else None


def _limit(process: subprocess.Popen[bytes]) -> None:
    """Bound git's memory, where the system lets that be said of a process that runs already: of Python's ways to say it
    before, none is safe with threads."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):  # it has ended, or its limit is lower
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: whoever holds its end of the pipe would be waited for without end."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
