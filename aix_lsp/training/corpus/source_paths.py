"""Which paths of a project are its own source: nine languages, without what was built, installed or copied in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from aix_lsp.languages import language_of
from aix_lsp.retrieval.ranking import is_secondary
from aix_lsp.training.corpus.licence_metadata import MANIFEST_ENDINGS, MANIFESTS
from aix_lsp.workspace.folders import never_entered
from aix_lsp.workspace.listing import PathRules, folders_above, name_of

LANGUAGES: Final = frozenset(
    {"python", "javascript", "jsx", "typescript", "tsx", "java", "go", "rust", "c", "c++", "c#"}
)
"""Names of `languages.language_of`. Headers that C and C++ share are C++ there."""

_ENDINGS: Final = frozenset(
    {
        *(".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".java", ".go", ".rs", ".cs"),
        *(".c", ".h", ".cc", ".cpp", ".cxx", ".c++", ".cp", ".hh", ".hpp", ".hxx", ".h++", ".ipp", ".inl", ".tcc"),
    }
)
_DECLARATIONS: Final = (".d.ts", ".d.mts", ".d.cts")
"""Left out, as are `.pyi` files: declarations of what is written elsewhere teach that bodies are empty."""

_BUNDLED: Final = frozenset(
    {
        *("vendor", "vendored", "_vendor", "_vendored", "_bundled", "bundled", "node_modules", "bower_components"),
        *("third_party", "third-party", "thirdparty", "3rdparty", "3rd_party", "extern", "site-packages"),
        *("dist-packages", "jspm_packages", "Godeps", "Carthage", "Pods", ".yarn", "htmlcov", "_build"),
    }
)
_OUTPUT: Final = frozenset({"build", "dist", "out", "target"})
_DOTNET_OUTPUT: Final = frozenset({"bin", "obj"})
_EXTERNAL: Final = re.compile(r"(?:^|(?<=/))external/")


def source_paths(root: Path) -> list[str]:
    """Paths (relative, forward slashes, in order) of source files in the nine languages that ignore rules let through.

    Git's rules where there is a repository, `.gitignore` and `.aixignore` otherwise; folders that tools install or
    keep for themselves are never entered. Bundled folders are among the paths: see `bundled`.
    """
    return source_and_bundled(root)[0]


def source_and_bundled(root: Path) -> tuple[list[str], frozenset[str]]:
    """`source_paths`, and those of them that are `bundled`."""
    listed = PathRules(root).list().paths
    paths = sorted(path for path in listed if is_source(path) and not never_entered(path))
    return paths, bundled(paths, listed)


def is_source(path: str) -> bool:
    """True for the name of a source file in one of the nine languages; declaration files are none."""
    _, dot, ending = name_of(path).rpartition(".")
    if f"{dot}{ending}".lower() not in _ENDINGS or path.lower().endswith(_DECLARATIONS):
        return False
    return language_of(path).name in LANGUAGES


def is_test(path: str) -> bool:
    """True for a test, or a file in a folder of tests or of their data."""
    # What ranking calls secondary is tests and others' code. A folder `external` is as often one's own.
    return is_secondary(_EXTERNAL.sub("", path))


def bundled(paths: Iterable[str], listed: Collection[str]) -> frozenset[str]:
    """Those of `paths` that lie in a folder of others' code or of what a build put out. `listed` is all of a project.

    `build`, `dist`, `out` and `target` at the top or beside a manifest are output, unless they are Python packages;
    `bin` and `obj` are beside a .NET project.
    """
    packages = {_folder_of(path) for path in listed if name_of(path) == "__init__.py"}
    manifests = {_folder_of(path) for path in listed if is_manifest(name_of(path))} | {""}
    dotnet = {_folder_of(path) for path in listed if path.endswith((".csproj", ".vcxproj"))}
    judged: dict[str, bool] = {}

    def judge(folder: str) -> bool:
        name, parent = name_of(folder), _folder_of(folder)
        if name in _BUNDLED:
            return True
        if name in _OUTPUT:
            return folder not in packages and parent in manifests
        return name in _DOTNET_OUTPUT and parent in dotnet

    def is_bundled(path: str) -> bool:
        for folder in folders_above(path):
            if folder not in judged:
                judged[folder] = judge(folder)
            if judged[folder]:
                return True
        return False

    return frozenset(filter(is_bundled, paths))


def is_manifest(name: str) -> bool:
    """True for the name of a file that stands at the top of one project."""
    return name in MANIFESTS or name.endswith(MANIFEST_ENDINGS)


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]
