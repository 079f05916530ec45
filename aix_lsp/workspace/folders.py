"""Folders that are never entered: what tools install, build or keep for themselves, never a user's own source."""

from __future__ import annotations

from typing import Final

REPOSITORY_FOLDERS: Final = frozenset({".git", ".hg", ".svn", ".jj", ".bzr", "CVS", "_darcs"})

NEVER_ENTERED: Final = REPOSITORY_FOLDERS | {
    *("node_modules", "bower_components", "jspm_packages", ".yarn", ".pnpm-store", ".npm"),
    *(".venv", "venv", "site-packages", "__pypackages__", "__pycache__", ".tox", ".nox", ".eggs"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".ipynb_checkpoints", ".pixi", ".direnv"),
    *(".gradle", ".idea", ".vs", ".vscode-test", ".metals", ".bloop", ".terraform", ".dart_tool", ".bundle"),
    *(".next", ".nuxt", ".svelte-kit", ".angular", ".parcel-cache", ".turbo", ".cache", ".ccls-cache", ".clangd"),
    *("bazel-bin", "bazel-out", "bazel-testlogs", "Pods", "DerivedData", ".build", ".stack-work", "dist-newstyle"),
}
"""Names. Folders such as `build`, `dist` or `target` are source in some projects: only ignore rules keep those out."""

ENVIRONMENT_MARK: Final = "pyvenv.cfg"
"""A folder with this file is a Python environment, whatever its name."""


def never_entered(path: str) -> bool:
    """True if a folder on the way to the file `path` (relative, forward slashes) is one that is never entered."""
    return not NEVER_ENTERED.isdisjoint(path.split("/")[:-1])
