"""The workspace as retrieval sees it: for every folder an index that follows the disk and the open documents.

Lives on the event loop. How folders follow the disk is in `following.py`. The text of an open document counts, not
what is on disk; an edit is taken over when the next query from another document comes, so typing costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aix_lsp.completion.folder import Folder
from aix_lsp.completion.following import DiskFollower
from aix_lsp.completion.index_job import IndexReport
from aix_lsp.completion.open_documents import MOST_CHARACTERS, MOST_RECENT, OpenDocuments, OpenText
from aix_lsp.completion.packing import Packer
from aix_lsp.completion.policy import Silence, holds_secrets
from aix_lsp.completion.secret_text import SecretFinder
from aix_lsp.completion.several_roots import OTHER_FOLDER_WEIGHT, Found, best_of_all
from aix_lsp.completion.snippet_set import Chosen, SnippetSets, marked, still_good
from aix_lsp.languages import is_code
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet
from aix_lsp.workspace.secrets import is_secret_path


class WorkspaceContext:
    """All folders, and the open documents over them. Implements the service's Retriever."""

    def __init__(
        self,
        settings: Settings,
        on_state: Callable[[Path, str], None] | None = None,
        cache: Path | None = None,
        patience: float | None = None,
    ) -> None:
        """`on_state(folder, "indexing" | "ready" | "failed: why" | "absent" | "gone" | "silent" | "answers" |
        "removed")` is called on the event loop. `cache` is the folder of kept indexes (`index_cache.cache_folder`);
        None keeps none. `patience` are the seconds that a query waits for a disk (`workspace/disk.py`); None waits as
        long as it takes, for one-shot commands."""
        self._settings = settings
        self._cache = cache
        self._patience = patience
        self._on_state = on_state or (lambda folder, state: None)
        self._folders: dict[Path, Folder] = {}
        self._documents = OpenDocuments()
        self._elsewhere = RetrievalIndex(chunk_lines=settings.retrieval.chunk_lines)
        self._packer = Packer()
        self._sets = SnippetSets()
        self._finders: dict[str, SecretFinder] = {}
        self._follower = DiskFollower(self._folders, self._documents, self._packer, self._on_state)

    @property
    def folders(self) -> tuple[Folder, ...]:
        """The folders in the order they were added."""
        return tuple(self._folders.values())

    def add_folder(self, path: Path) -> Folder:
        """Know a folder. Its index is empty until it is built."""
        if path not in self._folders:
            folder = self._folders[path] = Folder(path, self._settings, self._cache, self._patience)
            self._follower.listen_to(folder)
            self._documents.all_stale()
        return self._folders[path]

    def remove_folder(self, path: Path) -> None:
        """Forget a folder and stop indexing it."""
        folder = self._folders.pop(path, None)
        if folder is not None:
            folder.disk.close()
        if folder is not None and folder.building is not None:
            folder.building.cancel()
            self._on_state(path, "removed")
        self._documents.all_stale()

    def start_indexing(self, path: Path) -> None:
        """Index a folder in the indexer process; the index in use stays until the new one is whole."""
        self._follower.start_indexing(self._folders[path])

    def begin(self, path: Path) -> None:
        """Index a folder as `start_indexing` does, once it is known to be there. The disk may take long to say so. One
        that is not there is indexed when `paths_changed` tells of the folder itself."""
        self._follower.begin(self._folders[path])

    def index_now(self, path: Path) -> IndexReport:
        """Index a folder in this process and wait for it; for one-shot commands."""
        return self._follower.index_now(self.add_folder(path))

    def opened_or_changed(self, path: Path, text: str, language_id: str) -> None:
        """An open document's text is now this."""
        self._documents.put(path, text, language_id)

    def closed(self, path: Path) -> None:
        """The document was closed; what is on disk counts again."""
        self._documents.drop(path)
        self._elsewhere.remove(path.as_posix())
        self.paths_changed([path])

    def paths_changed(self, paths: Iterable[Path]) -> None:
        """Something happened to these paths on disk. Looked at in slices, so that the loop stays free."""
        self._follower.paths_changed(paths)

    async def close(self) -> None:
        """Stop what runs in the background."""
        await self._follower.close()
        await self._packer.close()

    # open documents

    def _take_over_open_documents(self, current: Path | None) -> None:
        """Put what was edited into the indexes, but for the document that asks. Merges and the definitions of long
        documents follow in the background."""
        documents = self._documents
        touched: dict[int, RetrievalIndex] = {}
        for path in [item for item in documents.stale if item != current]:
            owner = self._owner(path)
            if owner is not None:
                self._elsewhere.remove(path.as_posix())  # it lay outside before this folder came
                if owner.scanner_busy:
                    continue
            documents.stale.discard(path)
            opened = documents[path]
            index = self._elsewhere if owner is None else owner.index
            touched[id(index)] = index
            name = path.as_posix() if owner is None else owner.relative(path) or path.name
            if self._is_quotable(path, owner, opened):
                index.update(name, opened.text, opened.language_id)
            else:
                # perhaps it was quotable before this edit
                index.remove(name)
        for index in touched.values():
            self._packer.soon(index)

    def _is_quotable(self, path: Path, owner: Folder | None, opened: OpenText) -> bool:
        """Whether the text of an open document may be quoted elsewhere: the rules for files on disk, but for a file
        that is not on disk yet. The cheap questions come first."""
        if len(opened.text) > self._settings.workspace.max_file_kb * 1024 or not is_code(path.name):
            return False
        if is_secret_path(path.as_posix()):
            return False
        if owner is not None and owner.reason(owner.relative(path) or "") not in (None, "missing"):
            return False
        return not opened.has_secret

    def _owner(self, path: Path) -> Folder | None:
        """The innermost folder that holds a path."""
        holding = [folder for folder in self.folders if folder.relative(path) is not None]
        return max(holding, key=lambda folder: len(folder.path.parts), default=None)

    def name_of(self, path: Path) -> str:
        """How a file is called in prompts: its path inside its folder, else its own name."""
        owner = self._owner(path)
        return (owner.relative(path) if owner is not None else None) or path.name

    # queries

    def silence(self, document: DocumentSnapshot) -> Silence:
        """Why nothing is offered in a document. Cheap at every key: of the text only what changed is looked through.

        A text that holds a secret is never answered, the other cells of its notebook included: a prompt would quote
        it. A file that ignore rules leave out is answered when asked explicitly. What is no file (an untitled buffer),
        or lies outside all folders, has no rules.
        """
        if _length(document) > MOST_CHARACTERS:
            return Silence("this document is too long to be looked through for keys and passwords", always=True)
        if (line := self._line_of_secret(document)) is not None:
            found = "this text holds what looks like a key or a password, which no model may see"
            return Silence(f"{found}; it stands on line {line}" if line else found, always=True)
        owner = None if document.path is None else self._owner(document.path)
        if owner is None or document.path is None:
            return Silence()
        rules = owner.ignored_by(owner.relative(document.path) or "")
        if not rules:
            return Silence()
        return Silence(f"this file is ignored by {rules}; change that, or ask explicitly to complete here")

    def is_private(self, document: DocumentSnapshot) -> bool:
        """Whether nothing of a document's text may be remembered or shown: it holds a secret, or its name says so."""
        if holds_secrets(document) or _length(document) > MOST_CHARACTERS:
            return True
        return self._line_of_secret(document) is not None

    def _line_of_secret(self, document: DocumentSnapshot) -> int | None:
        """The line that a secret stands on; 0 for a notebook, whose editor counts lines by cells; None without one."""
        opened = None if document.path is None else self._documents.get(document.path)
        cells = (document.before, document.text, document.after)
        if opened is not None and cells == ("", opened.text, ""):
            return opened.secret_line if opened.has_secret else None
        finder = self._finders.pop(document.uri, None) or SecretFinder()
        self._finders[document.uri] = finder  # the latest last
        if len(self._finders) > MOST_RECENT:
            del self._finders[next(iter(self._finders))]
        if not finder.holds("\n".join(cells)):
            return None
        return 0 if document.before or document.after else finder.line - 1

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """The best snippets for a place, or those of the document's last request while they are good enough
        (`snippet_set.py`). The document's own folder comes first: hits of other folders count less."""
        self._take_over_open_documents(document.path)
        options = settings.retrieval
        roots = list(self._roots(document, settings))
        key = (options, tuple(self._folders), tuple(root.index.serial for root in roots))
        last = self._sets.before(document.uri, document.text, offset, key)
        before = last.snippets if options.stable else ()
        now = {root.number: root.index.mark() for root in roots}
        found: list[Found] = []
        again: list[Found | None] = [None] * len(before)
        for root in roots:
            places = [place for place, item in enumerate(before) if item.root == root.number]
            search = root.index.search(
                document,
                offset,
                limit=options.snippets,
                query_lines=options.query_lines,
                suffix_lines=options.suffix_lines,
                scheme=options.scheme,
                definitions=options.definitions,
                exclude={root.own_path} if root.own_path else set(),
                recent=root.recent,
                before=[before[place].snippet for place in places],
                read=root.read,
            )
            found.extend(Found(root.number, root.weight, hit) for hit in search.snippets if root.holds(hit.path))
            for place, snippet in zip(places, search.before, strict=True):
                again[place] = None if snippet is None else Found(root.number, root.weight, snippet)
        chosen = best_of_all(found, options.snippets)
        if not still_good(chosen, again) or _has_news(chosen, last, roots):
            self._sets.note(document.uri, document.text, offset, key, Chosen(tuple(chosen), now))
            return [_shown(item) for item in chosen]
        kept = tuple(item for item in again if item is not None)
        self._sets.note(document.uri, document.text, offset, key, Chosen(kept, last.marks))
        return [marked(_shown(item)) for item in kept]

    def stamp(self, document: DocumentSnapshot, snippets: Sequence[Snippet]) -> tuple[object, ...]:
        """Another value once any other file than the document has changed, here or in the editor: besides those that
        are quoted, a file that fits better now counts too. Saving the document itself changes nothing.

        The quoted files are looked at on disk too: watching tells of a change some milliseconds after it.
        """
        path = document.path
        indexes = tuple(
            (folder.index.serial, folder.phase, folder.index.changed_besides(folder.relative(path) if path else None))
            for folder in self.folders
        )
        quoted = [snippet.path for snippet in snippets]
        asked = self.folders if quoted else ()
        on_disk = tuple(folder.disk.ask(partial(_on_disk, folder.path, quoted), None) for folder in asked)
        return self._documents.edits_elsewhere(path), indexes, on_disk

    def _roots(self, document: DocumentSnapshot, settings: Settings) -> Iterator[_Root]:
        """All indexes as this document sees them; number 0 is that of the documents outside all folders."""
        path = document.path
        own = self._owner(path) if path is not None else None
        recent = self._documents.recent() if settings.retrieval.recent else []
        for number, folder in enumerate(self.folders, 1):
            yield _Root(
                number,
                folder.index,
                weight=1.0 if own in (folder, None) else OTHER_FOLDER_WEIGHT,
                own_path=folder.relative(path) if path is not None else None,
                recent={item for each in recent if (item := folder.relative(each)) is not None},
                read=self._reader(folder),
                holds=partial(self._holds, folder),
            )
        yield _Root(
            0,
            self._elsewhere,
            weight=OTHER_FOLDER_WEIGHT if own else 1.0,
            own_path=path.as_posix() if path is not None else None,
            recent=(),
            read=self._read_elsewhere,
            holds=lambda hit: self._owner(Path(hit)) is None,
        )

    def _holds(self, folder: Folder, relative: str) -> bool:
        """Whether a file is for this folder to quote: what lies in an inner folder too is that folder's."""
        return len(self._folders) == 1 or self._owner(folder.path / relative) is folder

    def _reader(self, folder: Folder) -> Callable[[str], str | None]:
        def read(relative: str) -> str | None:
            path = folder.path / relative
            opened = self._documents.get(path)
            if opened is None:
                return folder.read(relative)
            # the document that asks is not taken over while it is typed in; here another one's text is read
            return None if path in self._documents.stale or opened.has_secret else opened.text

        return read

    def _read_elsewhere(self, path: str) -> str | None:
        opened = self._documents.get(Path(path))
        return None if opened is None or opened.has_secret else opened.text


@dataclass(frozen=True, slots=True)
class _Root:
    """One index as a query sees it. Paths are those of the index; `holds` says whether a file is for it to quote."""

    number: int
    index: RetrievalIndex
    weight: float
    own_path: str | None
    recent: Collection[str]
    read: Callable[[str], str | None]
    holds: Callable[[str], bool]


def _has_news(best: Sequence[Found], last: Chosen, roots: Sequence[_Root]) -> bool:
    """Whether among the best is something of a file that changed since the last set was chosen, and is not in it."""
    indexes = {root.number: root.index for root in roots}
    known = {(item.root, item.snippet.path, item.snippet.text) for item in last.snippets}
    return any(
        (item.root, item.snippet.path, item.snippet.text) not in known
        and indexes[item.root].changed_since(item.snippet.path, last.marks[item.root])
        for item in best
    )


def _length(document: DocumentSnapshot) -> int:
    """Characters of a document, the other cells of its notebook among them."""
    return len(document.before) + len(document.text) + len(document.after)


def _on_disk(folder: Path, paths: Iterable[str]) -> tuple[tuple[int, int] | None, ...]:
    """What differs when one of these files has changed; None for one that is not there."""
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = (folder / path).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


def _shown(item: Found) -> Snippet:
    """The snippet as prompts call it: what lies outside all folders by its name."""
    return item.snippet if item.root else replace(item.snippet, path=Path(item.snippet.path).name)
