"""Which language a file is written in, and what follows from it.

Endings and whole names decide; the language identifier of the editor serves files whose name says nothing.
The tables lie in `data/` and are read when first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    `name` is empty when the language is not known. `comment` is the opening of a line comment, or the two ends
    of a block comment where there is no line comment. `header` holds the two lines that aiXcoder-7B expects at
    the top of a file, "{text}" in the first standing for its sentence. `grammar` is a name that `syntax` knows.
    `keywords` are in lower case.
    """

    name: str
    comment: str | tuple[str, str]
    header: tuple[str, str] | None
    grammar: str | None
    keywords: frozenset[str]


_GRAMMARS: Mapping[str, str] = MappingProxyType(
    {
        "python": "python",
        "javascript": "javascript",
        "jsx": "javascript",
        "js": "javascript",
        "typescript": "typescript",
        "tsx": "tsx",
        "java": "java",
        "go": "go",
        "rust": "rust",
        "c": "c",
        "c++": "cpp",
        "cpp": "cpp",
        "cuda": "cpp",
        "arduino": "cpp",
        "c#": "csharp",
        "c-sharp": "csharp",
        "csharp": "csharp",
    }
)

# Endings younger than the model's table, or too rare for it.
_MORE_FILES: Mapping[str, str] = MappingProxyType(
    {
        "python": ".pyi .star .bazel BUILD WORKSPACE SConstruct SConscript wscript",
        "javascript": ".mjs .cjs",
        "typescript": ".mts .cts",
        "c++": ".ixx .cppm .cxxm .txx",
        "c#": ".razor",
        "ruby": "Rakefile Gemfile Podfile Vagrantfile Brewfile Fastfile Guardfile",
        "groovy": "Jenkinsfile",
        "cmake": "CMakeLists.txt",
        "makefile": "makefile GNUmakefile Justfile justfile",
        "dockerfile": "Containerfile",
        "shell": ".bashrc .bash_profile .profile .zshrc .zshenv",
        "graphql": ".gql",
        "hcl": ".tfvars",
        "d": ".d",
        "html+django": ".jinja2 .j2 .njk",
        "html+erb": ".ejs",
        "html+eex": ".heex .leex",
        "svelte": ".svelte",
        "astro": ".astro",
        "wgsl": ".wgsl",
        "bicep": ".bicep",
        "rego": ".rego",
        "cue": ".cue",
        "jsonnet": ".jsonnet .libsonnet",
        "meson": "meson.build meson_options.txt",
        "xml": "pom.xml build.xml AndroidManifest.xml",
    }
)

_MORE_COMMENTS: Mapping[str, str | tuple[str, str]] = MappingProxyType(
    {
        "svelte": ("<!--", "-->"),
        "astro": ("<!--", "-->"),
        "wgsl": "//",
        "bicep": "//",
        "cue": "//",
        "jsonnet": "//",
    }
)

# The protocol's identifiers where the name of the language is another.
_PROTOCOL_IDS: Mapping[str, str] = MappingProxyType(
    {
        "jsx": "javascriptreact",
        "tsx": "typescriptreact",
        "c++": "cpp",
        "c#": "csharp",
        "f#": "fsharp",
        "cuda": "cuda-cpp",
        "objective-c++": "objective-cpp",
        "shell": "shellscript",
        "batchfile": "bat",
        "visual basic": "vb",
        "protocol buffer": "proto",
        "hcl": "terraform",
        "viml": "vim",
        "emacs lisp": "elisp",
        "html+django": "jinja",
    }
)

# What else editors send.
_LANGUAGE_IDS: Mapping[str, str] = MappingProxyType(
    {
        **{identifier: name for name, identifier in _PROTOCOL_IDS.items()},
        "cs": "c#",
        "objc": "objective-c",
        "objcpp": "objective-c++",
        "sh": "shell",
        "bash": "shell",
        "zsh": "shell",
        "make": "makefile",
        "latex": "tex",
        "plaintex": "tex",
        "rst": "restructuredtext",
        "dockercompose": "yaml",
        "proto3": "protocol buffer",
        "raku": "perl6",
    }
)

_NOT_CODE = frozenset(
    ("markdown", "restructuredtext", "rmarkdown", "tex", "xml", "ini", "edn", "raml", "")
)  # prose, and data more often than not
_CODE_IN_XML = frozenset((".xaml", ".axml", ".fxml", ".csproj", ".fsproj", ".vbproj", ".props", ".targets", ".zcml"))
_CODE_NAMES = frozenset(("pom.xml", "build.xml", "AndroidManifest.xml"))
_CODE_OF_SEVERAL_LANGUAGES = frozenset((".m", ".v", ".inc"))
_DATA_ENDINGS = frozenset((".nb", ".nbp", ".cdf", ".ma", ".mt", ".tab", ".frx", ".scpt", ".numpy"))
_GENERATED_NAMES = frozenset(("pnpm-lock.yaml", "pubspec.lock", "packages.lock.yaml"))


@dataclass(frozen=True, slots=True)
class _Tables:
    """The data files as they are looked up."""

    languages: Mapping[str, Mapping[str, Any]]
    hyphenated: Mapping[str, str]  # names with a space by their identifier
    names: Mapping[str, str]
    keywords: Mapping[str, frozenset[str]]


@cache
def _tables() -> _Tables:
    folder = Path(__file__).with_name("data")
    languages = json.loads(folder.joinpath("headers.json").read_text(encoding="utf-8"))["languages"]
    names = {file: name for name, facts in languages.items() for file in facts.get("files", "").split()}
    for name, files in _MORE_FILES.items():
        for file in files.split():
            names.setdefault(file, name)
    words = json.loads(folder.joinpath("keywords.json").read_text(encoding="utf-8"))
    keywords = {name: frozenset(listed.split()) for name, listed in words["keywords"].items()}
    for name, others in words["same"].items():
        for other in others.split():
            keywords[other] = keywords[name]
    hyphenated = {name.replace(" ", "-"): name for name in languages if " " in name}
    return _Tables(languages, hyphenated, names, keywords)


def _basename(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _endings(path: str) -> Iterator[str]:
    """The file's name, then its endings from the longest on: "a.d.ts" gives "a.d.ts", ".d.ts", ".ts"."""
    name = _basename(path)
    yield name
    dot = name.find(".")
    while dot >= 0:
        yield name[dot:]
        dot = name.find(".", dot + 1)


def _name_of(path: str, language_id: str) -> str:
    tables = _tables()
    for ending in _endings(path):
        found = tables.names.get(ending)
        if found is None and ending.startswith("."):
            found = tables.names.get(ending.lower())
        if found is not None:
            return found
    wanted = language_id.lower()
    wanted = _LANGUAGE_IDS.get(wanted, wanted)
    known = wanted in tables.languages or wanted in _MORE_FILES
    return wanted if known else tables.hyphenated.get(wanted, "")


@lru_cache(maxsize=512)
def _language(name: str) -> Language:
    tables = _tables()
    facts = tables.languages.get(name, {})
    header = (facts["path"], facts["language"]) if "path" in facts else None
    comment: str | tuple[str, str] = _MORE_COMMENTS.get(name, "#")
    if "comment" in facts:
        form = facts["comment"]
        comment = form if isinstance(form, str) else (form[0], form[1])
    elif header is not None:
        opening, _, closing = (part.strip() for part in header[0].partition("{text}"))
        comment = (opening, closing) if closing else opening
    keywords = tables.keywords.get(name, tables.keywords["common"])
    return Language(name, comment, header, _GRAMMARS.get(name), keywords)


def language_of(path: str, language_id: str = "") -> Language:
    """The language of a file, by the longest ending of its name that is known, else by the editor's identifier.

    Endings are tried as they are written (".C" is C++), then in lower case.
    """
    return _language(_name_of(path, language_id))


def language_id_of(path: str) -> str:
    """The protocol's language identifier for a file, as an editor would send it; "plaintext" if it is not known."""
    name = _name_of(path, "")
    return _PROTOCOL_IDS.get(name, name.replace(" ", "-")) or "plaintext"


def known_files() -> dict[str, str]:
    """Every ending (".py") and whole name ("Dockerfile") that is known, with its language identifier."""
    return {name: language_id_of(f"name{name}" if name.startswith(".") else name) for name in _tables().names}


def header(path: str, language_id: str = "") -> str:
    """The two lines that aiXcoder-7B expects at the top of this file, each with its line feed; "" if it knows none."""
    lines = language_of(path, language_id).header
    if lines is None:
        return ""
    return f"{lines[0].replace('{text}', f'the file path is: {path}', 1)}\n{lines[1]}\n"


def is_code(path: str) -> bool:
    """Whether a file is worth quoting to a model that writes code: programs, templates, and settings that are
    written by hand. Not prose, and not data."""
    name = _basename(path)
    if name in _GENERATED_NAMES:
        return False
    if name in _CODE_NAMES:
        return True
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    if ending in _DATA_ENDINGS:
        return False
    if ending in _CODE_IN_XML or ending in _CODE_OF_SEVERAL_LANGUAGES:
        return True
    return _name_of(path, "") not in _NOT_CODE


def comment_line(language: Language, text: str) -> str:
    """`text`, one line, as a comment of the language. The end of a block comment inside it is broken apart."""
    if isinstance(language.comment, str):
        return f"{language.comment} {text}".rstrip()
    opening, closing = language.comment
    safe = text.replace(closing, f"{closing[0]} {closing[1:]}")
    return f"{opening} {safe} {closing}" if safe.strip() else f"{opening} {closing}"
