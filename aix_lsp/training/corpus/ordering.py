"""The order of a project's files: what is similar or depends on one another stands near one another.

aiXcoder-7B's authors bring related files together by call graph, path similarity, TF-IDF distance and k-means, and keep
randomness in it: projects are random as a whole and related in the small, because in an editor the related file may
not be written yet. Here one method is drawn for each project, by `ODDS`, and every method starts at random places.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aix_lsp import languages
from aix_lsp.training.corpus.records import SourceFile

if TYPE_CHECKING:
    import numpy

ODDS: Mapping[str, float] = MappingProxyType({"graph": 0.4, "similarity": 0.3, "paths": 0.3})
"""How often each method is drawn: dependencies first, clusters of similar text, neighbours in the tree of folders."""

_READ = 20_000  # characters of a file that its similarity is measured by; the rest seldom changes its topic
_LARGEST_PARSED = 300_000  # characters; larger files take part in the graph by their name alone
_FEATURES = 4096
_FILES_A_CLUSTER = 12
_MOST_CLUSTERS = 64
_LARGEST_CHAIN = 512  # files; a chain takes the square of it
_SAME_FOLDER = 0.15  # of cosine similarity
_CANDIDATES = 64
_CALLED_IN = 2  # files that define a name which is called: a header and its source; in more it means nothing
# Where nothing is used without an import that says so; elsewhere calls tell what a file needs.
_IMPORTS_SAY_ALL = frozenset(("python", "javascript", "typescript", "tsx"))
_WORD = re.compile(r"[^\W\d]\w*")
_CALL = re.compile(r"\b([^\W\d]\w{3,})\s*\(")
_PACKAGE_FILES = frozenset(("__init__", "index", "mod", "lib"))


def order(files: Sequence[SourceFile], seed: int, method: str | None = None) -> list[SourceFile]:
    """The files of one project, each once, related ones near one another; the same for the same seed.

    The order in which `files` are given does not matter. `method` is one of `ODDS`; by default one is drawn.
    Raises ValueError for a method that does not exist.
    """
    if method is not None and method not in _METHODS:
        raise ValueError(f"no such order: {method} (one of {', '.join(_METHODS)})")
    if len(files) < 2:
        return list(files)
    given = sorted(files, key=lambda file: (file.project, file.path))
    draw = random.Random(f"{seed}:{given[0].project}")
    if method is None:
        method = draw.choices(list(ODDS), list(ODDS.values()))[0]
    return [given[place] for place in _METHODS[method](given, draw)]


def dependencies(files: Sequence[SourceFile]) -> list[list[int]]:
    """For each file the places of the files that it imports from or, where imports do not say all, calls.

    A name that several files define is taken from a file that the statement names, else from the nearest in the tree.
    """
    from aix_lsp.syntax import definitions
    from aix_lsp.syntax_imports import import_statements

    by_module: dict[str, list[int]] = defaultdict(list)
    by_definition: dict[str, list[int]] = defaultdict(list)
    imports: list[list[tuple[tuple[str, ...], frozenset[str]]]] = []
    folders = [tuple(file.path.split("/")[:-1]) for file in files]
    grammars = [languages.language_of(file.path, file.language).grammar or "" for file in files]
    for place, file in enumerate(files):
        for name in _module_names(file.path, grammars[place]):
            by_module[name].append(place)
        imports.append([])
        if not grammars[place] or len(file.text) > _LARGEST_PARSED:
            continue
        for statement in import_statements(file.text, grammars[place]):
            names = tuple(_WORD.findall(name)[-1] for name in statement.names if _WORD.search(name))
            imports[place].append((names, frozenset(_WORD.findall(statement.text))))
        for defined in definitions(file.text, grammars[place]):
            if defined.kind not in ("method", "field"):
                listed = by_definition[defined.name]
                if not listed or listed[-1] != place:
                    listed.append(place)
    found = []
    for place, file in enumerate(files):
        needed: dict[int, None] = {}
        for names, words in imports[place]:
            modules = [other for word in sorted(words) for other in by_module.get(word, ())[:_CANDIDATES]]
            for name in names or ("",):
                defined_in = by_definition.get(name, ())[:_CANDIDATES]
                both = set(modules).intersection(defined_in)
                other = _nearest(both or modules or defined_in, place, folders)
                if other is not None:
                    needed[other] = None
        if grammars[place] not in _IMPORTS_SAY_ALL:
            for name in sorted(set(_CALL.findall(file.text))):
                defined_in = by_definition.get(name, ())
                if len(defined_in) <= _CALLED_IN:
                    needed.update(dict.fromkeys(defined_in))
        found.append([other for other in needed if other != place])
    return found


def _module_names(path: str, grammar: str) -> Iterable[str]:
    """What other files may call this one: its stem, or its folder where a folder is imported."""
    *folders, name = path.split("/")
    stem = name.split(".")[0]
    if folders and (stem in _PACKAGE_FILES or grammar == "go"):
        return (folders[-1],)
    return (stem,)


def _nearest(candidates: Iterable[int], place: int, folders: Sequence[tuple[str, ...]]) -> int | None:
    """The candidate with the longest common path, then the least way down; None without another file."""
    own = folders[place]

    def distance(other: int) -> tuple[int, int, int]:
        theirs = folders[other]
        common = next((i for i, (a, b) in enumerate(zip(own, theirs, strict=False)) if a != b), None)
        shared = min(len(own), len(theirs)) if common is None else common
        return -shared, len(theirs), other

    return min((other for other in candidates if other != place), key=distance, default=None)


def _by_graph(files: Sequence[SourceFile], draw: random.Random) -> list[int]:
    """What a file needs right before it, from random files on: a depth-first post-order. Cycles break at random."""
    needed = dependencies(files)
    starts = list(range(len(files)))
    draw.shuffle(starts)
    seen = [False] * len(files)
    ordered: list[int] = []
    for start in starts:
        if seen[start]:
            continue
        seen[start] = True
        stack = [(start, iter(draw.sample(needed[start], len(needed[start]))))]
        while stack:
            place, rest = stack[-1]
            following = next((other for other in rest if not seen[other]), None)
            if following is None:
                ordered.append(place)
                stack.pop()
            else:
                seen[following] = True
                stack.append((following, iter(draw.sample(needed[following], len(needed[following])))))
    return ordered


def _by_path(files: Sequence[SourceFile], draw: random.Random) -> list[int]:
    """Folder by folder in random order; inside a folder by name, from a random file on and then from the first."""
    tree: dict[str, Any] = {}
    for place, file in enumerate(files):
        *folders, name = file.path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(f"{folder}/", {})
        node.setdefault(name, []).append(place)
    ordered: list[int] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        names = sorted(name for name in node if not name.endswith("/"))
        turn = draw.randrange(len(names)) if names else 0
        for name in names[turn:] + names[:turn]:
            ordered.extend(node[name])
        inner = sorted(name for name in node if name.endswith("/"))
        draw.shuffle(inner)
        waiting.extend(node[name] for name in inner)
    return ordered


def _by_similarity(files: Sequence[SourceFile], draw: random.Random) -> list[int]:
    """Clusters by k-means over TF-IDF of identifiers, in random order; each a chain of nearest neighbours."""
    import warnings

    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    seed = draw.randrange(2**31)
    # sums over several threads are added in any order, and would differ from run to run
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of files that are all alike
        words = HashingVectorizer(n_features=_FEATURES, alternate_sign=False, norm=None, token_pattern=r"[^\W\d]\w+")
        counted = words.transform(file.text[:_READ] for file in files)
        vectors = TfidfTransformer(sublinear_tf=True).fit_transform(counted)
        clusters = max(1, min(_MOST_CLUSTERS, len(files) // _FILES_A_CLUSTER))
        labels = [0] * len(files)
        if clusters > 1:
            means = MiniBatchKMeans(clusters, random_state=seed, n_init=1, max_iter=20, batch_size=1024)
            labels = means.fit_predict(vectors).tolist()
        members: dict[int, list[int]] = defaultdict(list)
        for place, label in enumerate(labels):
            members[label].append(place)
        chosen = sorted(members.values())
        draw.shuffle(chosen)
        ordered: list[int] = []
        for places in chosen:
            draw.shuffle(places)
            for start in range(0, len(places), _LARGEST_CHAIN):
                part = places[start : start + _LARGEST_CHAIN]
                likeness = (vectors[part] @ vectors[part].T).toarray()
                ordered.extend(part[step] for step in _chain(likeness, [files[place].path for place in part]))
    return ordered


def _chain(likeness: numpy.ndarray[Any, Any], paths: Sequence[str]) -> list[int]:
    """A way through all of them that goes on to the likest one not yet visited; files of a folder are a bit liker."""
    import numpy as np

    _, folder = np.unique([path.rpartition("/")[0] for path in paths], return_inverse=True)
    likeness = likeness + _SAME_FOLDER * (folder[:, None] == folder[None, :])
    free = np.ones(len(paths), dtype=bool)
    free[0] = False
    way = [0]
    for _ in range(len(paths) - 1):
        following = int(np.argmax(np.where(free, likeness[way[-1]], -1.0)))
        free[following] = False
        way.append(following)
    return way


_METHODS: Mapping[str, Callable[[Sequence[SourceFile], random.Random], list[int]]] = MappingProxyType(
    {"graph": _by_graph, "similarity": _by_similarity, "paths": _by_path}
)
