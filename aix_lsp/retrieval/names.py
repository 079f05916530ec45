"""Which names of other files the line at a place may use next, from the text around it.

What stands on the cursor's own line comes first. Then a name that was imported and is not used yet is the likeliest
next thing to be written; then names that are used below for the first time, and names that the similar chunks use
(less, once such a chunk is quoted and shows how). The weights are those of a log-linear model of which name a missing
line uses, fitted on public repositories and rounded (docs/log.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from operator import eq
from typing import NamedTuple

from aix_lsp.languages import Language, language_of
from aix_lsp.retrieval.definitions import DefinitionIndex, DefinitionPlace
from aix_lsp.retrieval.definitions_packed import PlaceRow
from aix_lsp.retrieval.ranking import is_secondary
from aix_lsp.retrieval.tokens import expand
from aix_lsp.syntax_imports import ImportStatement, imports_at_a_glance
from aix_lsp.text import with_line_feeds
from aix_lsp.types import DocumentSnapshot, Snippet

_REACH = 400  # lines on either side of the cursor in which names count
_COUNTED = 100  # lines; beyond, a distance says no more than that it is far
_STILL_NEAR = 15  # lines
_MOST_PLACES = 24  # a name with more definitions says little about where to look
_IDENTIFIER = re.compile(r"[^\W\d]\w{2,}")
_ASCII_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]{2,}")  # the same for ASCII text, and faster
_PATH_PART = re.compile(r"[^\W_]\w*")

_ON_LINE = 6.0
_UNUSED_IMPORT = 4.0
_IMPORTED_BELOW = (1.0, 0.5)  # at any distance, and what the nearest line adds
_FIRST_BELOW = (1.7, 0.7)
_USED_ABOVE = (0.0, -1.5)
_IMPORTED_AND_USED = -2.0
_DECAY = 0.95  # per line
_ONLY_SIMILAR = 1.0
_SHOWN = -2.0  # a similar chunk that is quoted shows how it is used: another definition says more (measured)
_RELATED = 1.0
_SAID_BY_IMPORT = 1.6
_SECONDARY = -1.2
_KINDS: Mapping[str, float] = {
    "class": 1.3,
    "interface": 1.3,
    "enum": 1.3,
    "type": 1.3,
    "function": 0.9,
    "constant": 0.0,
    "macro": 0.0,
    "method": -1.8,
    "variable": -1.7,
    "field": -2.6,
}
_KIND_FITNESS: Mapping[str, float] = {kind: 0.3 * worth for kind, worth in _KINDS.items()}
_FAMILIES: Mapping[str, str] = {"javascript": "typescript", "tsx": "typescript", "c": "cpp"}


class Candidate(NamedTuple):
    """A definition that may be meant, and how likely that looks (the larger the likelier)."""

    name: str
    place: DefinitionPlace
    score: float


class NameUse(NamedTuple):
    """How a document uses a name: how many lines away the nearest use above and below is (0: on the cursor's line),
    the statement that imports it, and the rank (from 0) of the first similar chunk that has it."""

    above: int | None = None
    below: int | None = None
    imported: ImportStatement | None = None
    similar: int | None = None


_NOT_USED = NameUse()
_ABOVE = [NameUse(above=distance) for distance in range(_REACH + 1)]  # most of some hundred names are one of these
_BELOW = [NameUse(below=distance) for distance in range(_REACH + 1)]


def names_around(
    document: DocumentSnapshot, offset: int, language: Language, *, suffix: bool = True
) -> dict[str, NameUse]:
    """The names of a document as they are used around a place; without `suffix` as if nothing stood behind it."""
    if language.grammar is None:
        return {}
    text = document.text if suffix else document.text[:offset]
    statements = imports_at_a_glance(text, language.grammar)
    imported = {name: statement for statement in statements for name in statement.names}
    skipped = {line for item in statements for line in range(item.start_line, item.end_line + 1)}
    above, below = with_line_feeds(text[:offset]), with_line_feeds(text[offset:])
    row = above.count("\n") + 1
    near = above.rsplit("\n", _REACH)[-_REACH:]  # the last one is the cursor's line
    behind = below.split("\n", _REACH)[:_REACH]
    words = (_ASCII_IDENTIFIER if text.isascii() else _IDENTIFIER).findall
    # From afar to near, so that the nearest use is the one that stays.
    first = row - len(near) + 1
    far = [line for number, line in enumerate(near[:-_COUNTED], first) if number not in skipped]
    names = dict.fromkeys(words("\n".join(far)), _ABOVE[_REACH])
    for distance in range(min(_COUNTED, len(near)) - 1, -1, -1):
        if row - distance not in skipped:
            names.update(dict.fromkeys(words(near[-1 - distance]), _ABOVE[distance]))
    far = [line for number, line in enumerate(behind[_COUNTED:], row + _COUNTED) if number not in skipped]
    downward = dict.fromkeys(words("\n".join(far)), _REACH)
    for distance in range(min(_COUNTED, len(behind)) - 1, -1, -1):
        if row + distance not in skipped:
            downward.update(dict.fromkeys(words(behind[distance]), distance or 1))
    for name, distance in downward.items():
        use = names.get(name)
        names[name] = _BELOW[distance] if use is None else NameUse(use.above, distance)
    for name, statement in imported.items():
        above_it, below_it, _, _ = names.get(name, _NOT_USED)
        names[name] = NameUse(above_it, below_it, statement)
    return names


def with_similar(names: Mapping[str, NameUse], similar: Sequence[Snippet]) -> dict[str, NameUse]:
    """The names of a document and those of the similar chunks."""
    ranks: dict[str, int] = {}
    for rank in range(len(similar) - 1, -1, -1):
        ranks.update(dict.fromkeys(_IDENTIFIER.findall(similar[rank].text), rank))
    found = dict(names)
    for name, rank in ranks.items():
        above, below, imported, _ = found.get(name) or _NOT_USED
        found[name] = NameUse(above, below, imported, rank)
    return found


class NameRanking:
    """Definitions in other files that names of a document may mean. Remembers what it looked up."""

    def __init__(
        self,
        index: DefinitionIndex,
        path: str,
        language: Language,
        weights: Mapping[str, float],
        exclude: Collection[str] = (),
    ) -> None:
        """`weights` are the query's terms; `exclude` are files that do not count, besides `path` itself."""
        self._index = index
        self._path = path
        self._language = language
        self._family = _family(language.grammar)
        self._weights = weights
        self._exclude = {path, *exclude}
        self._known: dict[str, Candidate | None] = {}
        self._folders = _facts(path).folders
        self._aside = is_secondary(path)
        self._nearness: dict[str, float] = {}

    def order(self, names: Mapping[str, NameUse]) -> list[Candidate]:
        """Likeliest first."""
        # Names that were used some time ago are many, and seldom the ones that come next.
        worth = {
            name: use
            for name, use in names.items()
            if use[0] is None or use[0] <= _STILL_NEAR or use[3] is not None  # fields by number: half the time
        }
        known = self._known
        new = worth.keys() - known.keys()
        places = self._index.rows(new, most=_MOST_PLACES)
        known.update(dict.fromkeys(new))
        for name, rows in places.items():
            known[name] = self._candidate(name, worth[name], rows)
        found = []
        for name, use in worth.items():
            candidate = known[name]
            if candidate is not None:
                found.append(Candidate(name, candidate.place, candidate.score + _likely(use)))
        found.sort(key=_by_score)
        return found

    def _candidate(self, name: str, use: NameUse, rows: Sequence[PlaceRow]) -> Candidate | None:
        """The definition that is meant, with the part of its score that is the same wherever the name is used."""
        family, exclude = self._family, self._exclude
        same: list[PlaceRow] = []
        for row in rows:
            if row[0] in exclude:
                return None  # what the file defines itself needs no other file
            if _facts(row[0]).family == family:
                same.append(row)
        if not same:
            return None
        said = frozenset[str]() if use.imported is None else _said(use.imported.text)
        place = DefinitionPlace._make(same[0] if len(same) == 1 else self._best(same, said))
        score = _RELATED * _related(name, self._weights, self._language) + _KINDS[place.kind]
        if use.imported is not None:
            score += _SAID_BY_IMPORT * (0.5 if said.isdisjoint(_facts(place.path).parts) else 1.0)
        return Candidate(name, place, score + _SECONDARY * (is_secondary(place.path) and not self._aside))

    def _best(self, rows: Sequence[PlaceRow], said: frozenset[str]) -> PlaceRow:
        """The definition that is meant: the nearest one, unless words of the import (`said`) name another's path;
        the last path and its first line among equals."""
        best, top = rows[0], -math.inf
        for row in rows:
            path = row[0]
            near = self._nearness.get(path)
            if near is None:
                near = self._nearness[path] = self._near(path)
            fitness = near + _KIND_FITNESS[row[3]]
            if said and not said.isdisjoint(parts := _facts(path).parts):
                fitness += 3 * sum([1.0 / (1 + i) for i, part in enumerate(reversed(parts)) if part in said])
            if fitness > top or (fitness == top and (path, -row[1]) > (best[0], -best[1])):
                best, top = row, fitness
        return best

    def _near(self, path: str) -> float:
        """How much of the way to a file is that of the document's own, from 0 to 1; less for tests and vendored
        files."""
        folders = self._folders
        shared = sum(takewhile(bool, map(eq, folders, _facts(path).folders)))
        return float(shared / (1 + len(folders)) - (is_secondary(path) and not self._aside))


def _by_score(candidate: Candidate) -> tuple[float, str, int]:
    return -candidate.score, candidate.place.path, candidate.place.start_line


def expected(candidates: Sequence[Candidate], most: int) -> dict[str, float]:
    """Name -> how likely the missing line uses it (the model's shares sum to 1), for the likeliest `most`."""
    if not candidates:
        return {}
    top = candidates[0].score
    total = sum(math.exp(item.score - top) for item in candidates)
    return {item.name: math.exp(item.score - top) / total for item in candidates[:most]}


def _likely(use: NameUse) -> float:
    score = 0.0
    if use.similar is not None:
        score += _SHOWN
    if 0 in (use.above, use.below):
        return score + _ON_LINE
    if use.above is not None:
        base, near = _USED_ABOVE
        return score + base + near * _DECAY**use.above + (_IMPORTED_AND_USED if use.imported else 0.0)
    if use.below is not None:
        base, near = _IMPORTED_BELOW if use.imported else _FIRST_BELOW
        return score + base + near * _DECAY**use.below
    return score + (_UNUSED_IMPORT if use.imported else _ONLY_SIMILAR)


def _related(name: str, weights: Mapping[str, float], language: Language) -> float:
    """How much of a name's parts is in the query, from 0 to 1."""
    terms = expand(name, language.keywords)
    parts = terms[1:] or terms
    return sum([min(weights.get(part, 0.0), 1.0) for part in parts]) / max(len(parts), 1)


class _Facts(NamedTuple):
    """What a path says: the family of its grammar, its folders, and its parts in lower case without endings."""

    family: str | None
    folders: tuple[str, ...]
    parts: tuple[str, ...]


@lru_cache(maxsize=1 << 13)
def _facts(path: str) -> _Facts:
    parts = path.split("/")
    names = tuple([part.split(".")[0].lower() for part in parts])
    return _Facts(_family(language_of(path).grammar) or "", tuple(parts[:-1]), names)


@lru_cache(maxsize=256)
def _said(statement: str) -> frozenset[str]:
    """The words of an import statement in lower case."""
    return frozenset([part.lower() for part in _PATH_PART.findall(statement)])


def _family(grammar: str | None) -> str | None:
    return None if grammar is None else _FAMILIES.get(grammar, grammar)


def same_family(grammar: str | None, other: str | None) -> bool:
    """Whether files of two grammars can name each other's definitions."""
    if grammar is None or other is None:
        return False
    return _family(grammar) == _family(other)
