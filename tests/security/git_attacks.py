"""A repository whose own configuration names a program wherever git would take one. The program leaves a file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}

PROGRAMS = (
    *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.gitProxy"),
    *("core.alternateRefsCommand", "gpg.program", "gpg.ssh.program", "diff.external", "credential.helper"),
    *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "filter.odd=name.clean", "diff.evil.textconv"),
    *("diff.evil.command", "merge.evil.driver", "alias.ls-files", "alias.rev-parse", "alias.log", "alias.check-ignore"),
    *("uploadpack.packObjectsHook", "interactive.diffFilter", "pager.log", "pager.ls-files", "sequence.editor"),
    *("hook.evil.command",),
)


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, with nobody's settings."""
    subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **_ENVIRONMENT}, check=True, capture_output=True, timeout=60
    )


def evil_program(folder: Path, canary: Path) -> Path:
    """A program that leaves `canary` behind."""
    program = folder / "evil.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{canary}"\ncat\n')
    program.chmod(0o755)
    return program


def make_evil(root: Path, canary: Path) -> None:
    """Make a repository of `root`, with a commit, filters for all files, hooks, and a changed file."""
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all of it")
    program = evil_program(root / ".git", canary)
    for number, name in enumerate(PROGRAMS):
        git(root, "config", name, str(program))
        del number
    for name, value in (
        ("log.showSignature", "true"),
        ("core.hooksPath", str(root / ".git" / "evil-hooks")),
        ("hook.evil.event", "post-index-change"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", f"ext::{program} %S"),
        ("remote.origin.promisor", "true"),
        ("protocol.allow", "always"),
        ("core.untrackedCache", "true"),
        ("include.path", str(root / ".git" / "more")),
    ):
        git(root, "config", name, value)
    (root / ".git" / "more").write_text(f'[core]\n\tfsmonitor = "{program}"\n[pager]\n\tlog = "{program}"\n')
    hooks = root / ".git" / "evil-hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout", "fsmonitor-watchman"):
        (hooks / hook).write_bytes(program.read_bytes())
        (hooks / hook).chmod(0o755)
    (root / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n*.py filter=odd=name\n")
    for path in list(root.rglob("*.py")):
        status = path.stat()
        text = path.read_text()
        path.write_text(text[:-1] + "#" if text else "#")  # of the same size, so that only the content tells
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
