"""Which licence a project has, and whether it lets its code into a corpus.

Expressions are those of SPDX (version 2.3, annex D). What is known of single licences is data: `licences.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal

from aix_lsp.training.corpus import licence_metadata as metadata

Kind = Literal["permissive", "copyleft", "unknown"]

_MAX_TEXT: Final = 60_000
"""Characters of a licence file that are looked at. The GPL has 35,000; what comes later are licences of other works."""

_NEAR: Final = 4_000
"""Characters around a licence's first sentence in which its others stand."""

_MIN_FUZZY: Final = 60
_FUZZY_SCORE: Final = 90.0
_HEAD_FILES: Final = 100
_HEAD_BYTES: Final = 4_096

_LICENCE_FILE: Final = re.compile(
    r"^(?:un|mit-|apache-|bsd-)?licen[cs]es?(?:[-._].*)?$|^copying(?:[-._].*)?$", re.IGNORECASE
)
_NOT_THE_PROJECTS: Final = re.compile(r"third|3rd|bundled|vendor|extern|notice|depend|docs?\b|header", re.IGNORECASE)
_NOT_A_TEXT: Final = re.compile(r"\.(?:py|js|ts|go|rs|java|c|cc|h|hpp|cpp|cs|json|toml|ya?ml|html?|pdf|png|svg)$", re.I)
_CHOICE: Final = re.compile(r"licen[cs]e[-._](?:apache|mit|bsd|unlicense|zlib|boost|0bsd|isc|psf|cc0)", re.IGNORECASE)
_SPDX_LINE: Final = re.compile(r"SPDX-License-Identifier:[ \t]*([\w.+() -]+)")
_TOKEN: Final = re.compile(r"\s*(\(|\)|[A-Za-z0-9][\w.:+-]*)")
_OPERATORS: Final = frozenset({"AND", "OR", "WITH"})
_SEVERAL: Final = re.compile(
    r"\s+or\s+(?!\(?(?:at your|later|any|newer|higher))|\s+and\s+(?!later|above|newer)|\s*[/;&]\s*"
)


class _Malformed(ValueError):
    """Not an SPDX expression."""


@dataclass(frozen=True, slots=True)
class _Text:
    identifier: str
    all: tuple[str, ...]
    none: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tables:
    permissive: frozenset[str]
    excluded: tuple[str, ...]
    texts: tuple[_Text, ...]
    names: tuple[tuple[re.Pattern[str], str], ...]


@cache
def _tables() -> _Tables:
    data = tomllib.loads(Path(__file__).with_name("licences.toml").read_text(encoding="utf-8"))
    return _Tables(
        permissive=frozenset(each.lower() for each in data["permissive"]),
        excluded=tuple(each.lower() for each in data["excluded"]),
        texts=tuple(
            _Text(each["id"], tuple(map(_plain, each["all"])), tuple(map(_plain, each.get("none", ()))))
            for each in data["text"]
        ),
        names=tuple((re.compile(each["pattern"]), each["id"]) for each in data["name"]),
    )


def kind(expression: str) -> Kind:
    """What an SPDX expression asks for: of `A OR B` the better one counts, of `A AND B` both must be permissive.

    "copyleft" stands for every licence that keeps code out of a corpus whatever the options say: copyleft, strong or
    weak, and licences that forbid uses (non-commercial, no derivatives, no competing service). An exception after
    WITH changes nothing, because it is about the use of binaries. "" and what is no expression are "unknown".
    """
    try:
        return _Parser(expression).kind()
    except _Malformed:
        return "unknown"


def detect(root: Path) -> str:
    """The SPDX expression of the project in `root`, or "" when nothing says what its licence is.

    What the manifests state counts first, then the licence files at the top, then `SPDX-License-Identifier` lines and
    notices at the head of source files. Where a licence file is of a kind that keeps code out and the manifest does
    not name it, both are joined with AND: a mistake then costs a project, not somebody's rights. A file that holds
    several licences has the first; those that follow are of bundled works.
    """
    stated = " AND ".join(_bracketed(list(dict.fromkeys(filter(None, map(_understood, metadata.statements(root)))))))
    written = _from_files(root)
    if not stated:
        return written or _from_sources(root)
    named = {each.lower() for each in identifiers(stated)}
    for identifier in identifiers(written):
        if stated == "LicenseRef-BSD" and identifier.startswith("BSD"):
            return identifier
        if kind(identifier) == "copyleft" and not any(_family(identifier) == _family(each) for each in named):
            return " AND ".join(_bracketed([stated, written]))
    return stated


def licence_files(root: Path) -> list[Path]:
    """Licence files at the top of `root` and in the metadata of a wheel or egg unpacked there; not those of other works
    that come along."""
    folders = [root, *metadata.information_folders(root)]
    folders += [licences for folder in folders[1:] if (licences := folder / "licenses").is_dir()]
    return [
        path
        for folder in folders
        for path in metadata.entries(folder)
        if _LICENCE_FILE.match(path.name)
        and not _NOT_THE_PROJECTS.search(path.name)
        and not _NOT_A_TEXT.search(path.name)
    ]


def identifiers(expression: str) -> list[str]:
    """The licences that an expression names, exceptions apart."""
    words = _TOKEN.findall(expression)
    after = zip(["", *words], words, strict=False)
    return [word for last, word in after if word not in ("(", ")", *_OPERATORS) and last != "WITH"]


def of_name(name: str) -> str:
    """The expression behind a name as people write it ("Apache License, Version 2.0", "MIT/Apache-2.0"), or ""."""
    parts = []
    for part in _SEVERAL.split(name.strip().strip("()")):
        plain = re.sub(r"[^a-z0-9+.]+", " ", part.lower()).strip()
        found = next((identifier for pattern, identifier in _tables().names if pattern.search(plain)), "")
        if not found:
            return ""
        if found.endswith("-only") and (re.search(r"later|newer|above|\d\+", plain)):
            found = found.removesuffix("-only") + "-or-later"
        parts.append(found)
    either = re.search(r"\bor\b(?!\s+\(?(?:later|any|newer))|/", name) is not None
    return (" OR " if either else " AND ").join(dict.fromkeys(parts))


def of_text(text: str, *, fuzzy: bool = True) -> str:
    """The licence whose words come first in `text`, or "". With `fuzzy`, long sentences may differ by a tenth."""
    plain = _plain(text[:_MAX_TEXT])
    found = [hit for each in _tables().texts if (hit := _find(each, plain)) is not None]
    if not found and fuzzy and len(plain) >= _MIN_FUZZY:
        found = [hit for each in _tables().texts if (hit := _find_fuzzily(each, plain)) is not None]
    # At one place the more particular licence is meant: the MIT licence with a further sentence is another one.
    return min(found)[2] if found else ""


def of_notice(head: str) -> str:
    """The expression that the comment at a source file's head states, or "": an SPDX line, or words of a licence."""
    if "icen" not in head and "ICEN" not in head:
        return ""
    line = _SPDX_LINE.search(head)
    return _spdx(line[1]) if line else of_text(head, fuzzy=False)


class _Parser:
    """Recursive descent over an expression. OR binds weaker than AND, AND weaker than WITH."""

    def __init__(self, expression: str) -> None:
        self._tokens: list[str] = []
        position, expression = 0, expression.strip()
        while position < len(expression):
            match = _TOKEN.match(expression, position)
            if match is None:
                raise _Malformed(expression)
            self._tokens.append(match[1].upper() if match[1].upper() in _OPERATORS else match[1])
            position = match.end()
        self._tokens.reverse()

    def kind(self) -> Kind:
        found = self._either()
        if self._tokens:
            raise _Malformed(self._tokens[-1])
        return found

    def _either(self) -> Kind:
        kinds = [self._both()]
        while self._take("OR"):
            kinds.append(self._both())
        return min(kinds, key=("permissive", "copyleft", "unknown").index)

    def _both(self) -> Kind:
        kinds = [self._one()]
        while self._take("AND"):
            kinds.append(self._one())
        return min(kinds, key=("copyleft", "unknown", "permissive").index)

    def _one(self) -> Kind:
        if self._take("("):
            found = self._either()
            if not self._take(")"):
                raise _Malformed("a bracket is not closed")
            return found
        identifier = self._word()
        if self._take("WITH"):
            self._word()
        return _kind_of_one(identifier)

    def _take(self, token: str) -> bool:
        if self._tokens and self._tokens[-1] == token:
            self._tokens.pop()
            return True
        return False

    def _word(self) -> str:
        if not self._tokens or self._tokens[-1] in ("(", ")", *_OPERATORS):
            raise _Malformed("a licence is missing")
        return self._tokens.pop()


@lru_cache(maxsize=1024)
def _kind_of_one(identifier: str) -> Kind:
    plain = identifier.lower().removesuffix("+")
    if plain in _tables().permissive:
        return "permissive"
    own = plain.removeprefix("licenseref-")
    if any(own == each or own.startswith(f"{each}-") or plain.startswith(each) for each in _tables().excluded):
        return "copyleft"
    return "unknown"


def _family(identifier: str) -> str:
    return re.split(r"-(?=\d|only|or-later)|\+", identifier.lower().removeprefix("licenseref-"))[0]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower())


def _find(text: _Text, plain: str) -> tuple[int, int, str] | None:
    start = plain.find(text.all[0])
    if start < 0:
        return None
    near = plain[max(0, start - _NEAR) : start + _NEAR]
    if not all(each in near for each in text.all) or any(each in near for each in text.none):
        return None
    return start, -sum(map(len, text.all)), text.identifier


def _find_fuzzily(text: _Text, plain: str) -> tuple[int, int, str] | None:
    from rapidfuzz.fuzz import partial_ratio_alignment

    if len(text.all[0]) < _MIN_FUZZY or any(each in plain for each in text.none):
        return None
    starts = []
    for sentence in text.all:
        hit = partial_ratio_alignment(sentence, plain[: 2 * _NEAR], score_cutoff=_FUZZY_SCORE)
        if hit is None:
            return None
        starts.append(hit.dest_start)
    return starts[0], -sum(map(len, text.all)), text.identifier


def _understood(statement: str) -> str:
    """An expression for what a manifest states: an expression, a name, or a whole licence."""
    if "\n" in statement.strip() and len(statement) > 2 * _MIN_FUZZY:
        return of_text(statement) or of_name(statement.strip().splitlines()[0])
    return _spdx(statement) or of_name(statement) or of_text(statement, fuzzy=False)


def _spdx(statement: str) -> str:
    """`statement` if it is an expression of licences that are all known (Cargo's slash is an OR), else ""."""
    expression = re.sub(r"\s*/\s*", " OR ", statement.strip())
    expression = re.sub(r"\s+(and|or|with)\s+", lambda match: f" {match[1].upper()} ", expression)
    try:
        _Parser(expression).kind()
    except _Malformed:
        return ""
    return expression if all(_kind_of_one(each) != "unknown" for each in identifiers(expression)) else ""


def _bracketed(expressions: list[str]) -> list[str]:
    """Expressions ready to be joined with AND."""
    several = len([each for each in expressions if each]) > 1
    return [f"({each})" if several and " OR " in each else each for each in expressions if each]


def _from_files(root: Path) -> str:
    """What the licence files say: files named after licences are a choice, all others hold together."""
    found: dict[str, bool] = {}
    for path in licence_files(root):
        text = metadata.read(path)
        identifier = of_notice(text[:_HEAD_BYTES]) if "SPDX-License-Identifier" in text[:_HEAD_BYTES] else of_text(text)
        if identifier:
            found[identifier] = found.get(identifier, True) and _CHOICE.match(path.name) is not None
    # The GNU Lesser licence is a supplement to the GNU licence, whose text lies beside it.
    if any(each.startswith("LGPL") for each in found):
        found = {each: choice for each, choice in found.items() if not each.startswith("GPL")}
    choices = " OR ".join(each for each, choice in found.items() if choice)
    others = [each for each, choice in found.items() if not choice]
    return " AND ".join(_bracketed([*others, choices]))


def _from_sources(root: Path) -> str:
    """What notices at the heads of some source files state, if at least half of these files have one. Fewer are those
    of single files, of which only a kind that keeps code out says something of the project."""
    found = [of_notice(metadata.read(path, _HEAD_BYTES)) for path in metadata.some_sources(root, _HEAD_FILES)]
    stated = Counter(filter(None, found))
    several = 2 * stated.total() >= len(found)
    return " AND ".join(_bracketed([each for each in stated if several or kind(each) == "copyleft"]))
