"""Brings a model's files into the local Hugging Face cache: resumed where it was broken off, and checked.

huggingface_hub names the files and keeps the cache; the bytes are read here, since it begins a broken-off file anew.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from hashlib import sha1, sha256
from pathlib import Path

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.hub import Listing, RemoteFile, cache_folder, told

Progress = Callable[[str, int, int], None]
"""Told a file's name, how many of its bytes are there, and how many it has."""

_ATTEMPTS = 5
"""So often in a row a file may not grow before it is given up; any bytes beyond what was there begin the count anew."""

_PAUSE_S = 1.0
_BLOCK = 2**20
_SILENCE_S = 30.0
_SPARE = 50_000_000
"""Bytes that a disk keeps free besides the files."""


def missing(listing: Listing) -> list[RemoteFile]:
    """The files that are not in the cache."""
    snapshot = cache_folder(listing.repository) / "snapshots" / listing.commit
    return [file for file in listing.files if not _there(snapshot / file.name, file)]


def check_disk(listing: Listing) -> None:
    """Raises ModelError when the cache's disk has no room for what is missing."""
    folder = cache_folder(listing.repository)
    needed = sum(file.size - _begun(folder, file) for file in missing(listing))
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    if needed and free < needed + _SPARE:
        raise ModelError(
            f"{listing.repository} needs {needed / 1e9:.1f} GB more and {free / 1e9:.1f} GB are free in {nearest}; "
            "make room, or name another disk with HF_HOME"
        )


def download(listing: Listing, progress: Progress = lambda name, done, size: None) -> Path:
    """Fetch what is missing; returns the model's folder in the cache. Raises ModelError with one line.

    A file gets its name only when it is whole and its checksum is right. What was begun stays for the next call.
    """
    from huggingface_hub import hf_hub_download

    folder = cache_folder(listing.repository)
    try:
        for file in missing(listing):
            blob = folder / "blobs" / file.digest
            if not _there(blob, file):
                _fetch(listing, file, blob, progress)
            name = folder / "snapshots" / listing.commit / file.name
            # One that is not whole would be left as it is.
            name.unlink(missing_ok=True)
            with told(listing.repository, listing.revision):
                # Finds the content and makes the name that leads to it. By the commit: the revision may have moved on.
                hf_hub_download(listing.repository, file.name, revision=listing.commit)
            if _there(name, file) and not _linked(folder, blob):
                # Without symbolic links the content was copied, and one copy is enough.
                blob.unlink(missing_ok=True)
        if left := missing(listing):
            raise ModelError(f"{left[0].name} of {listing.repository} did not come whole; run the same command again")
        _note_revision(folder, listing)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelError(
                f"the disk of {folder} is full; what is there stays, and the same command goes on once there is room"
            ) from error
        raise ModelError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    return folder / "snapshots" / listing.commit


def _fetch(listing: Listing, file: RemoteFile, blob: Path, progress: Progress) -> None:
    """Bring one file's content to `blob`, going on with what an earlier call left."""
    blob.parent.mkdir(parents=True, exist_ok=True)
    begun = _begun_path(blob)
    largest = _size(begun)
    in_vain = 0
    while _size(begun) < file.size or not begun.exists():
        failure: Exception | None = None
        try:
            _read_on(listing, file, begun, progress)
        except Exception as error:  # noqa: BLE001  # raised below, unless it is worth another try
            failure = error
        in_vain = 0 if _size(begun) > largest else in_vain + 1
        largest = max(largest, _size(begun))
        if failure is not None and (not type(failure).__module__.startswith("httpx") or in_vain >= _ATTEMPTS):
            with told(listing.repository, listing.revision):
                raise failure
        if _size(begun) >= file.size:
            continue
        if in_vain >= _ATTEMPTS:
            raise ModelError(f"{file.name} comes shorter than the hub says; a proxy or a login page may be in between")
        time.sleep(_PAUSE_S * max(in_vain, 1))
    if _digest(begun, file) != file.digest:
        begun.unlink()
        raise ModelError(
            f"{file.name} arrived damaged: its checksum is not the hub's, so it was removed; run the same command again"
        )
    begun.replace(blob)


def _read_on(listing: Listing, file: RemoteFile, begun: Path, progress: Progress) -> None:
    """One request for the rest of a file. Raises the library's errors."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(listing.repository, file.name, revision=listing.commit)
    done = _size(begun)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=_SILENCE_S) as response:
        if response.status_code == 416:
            begun.unlink(missing_ok=True)
            return
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        # A server that cannot go on sends the whole file: what is there already is passed over.
        whole = response.status_code != 206
        passed = done if whole else 0
        length = response.headers.get("Content-Length", str(file.size))
        if whole and length != str(file.size) and "Content-Encoding" not in response.headers:
            # Another page, which must not take the place of what is there.
            return
        with begun.open("ab") as out:
            for block in response.iter_bytes(_BLOCK):
                fresh = block[passed:]
                passed = max(0, passed - len(block))
                out.write(fresh[: file.size - done])
                done = min(file.size, done + len(fresh))
                progress(file.name, done, file.size)


def _linked(folder: Path, blob: Path) -> bool:
    """Whether a name of any version leads to a blob."""
    content = blob.resolve()
    return any(name.is_symlink() and name.resolve() == content for name in (folder / "snapshots").rglob("*"))


def _note_revision(folder: Path, listing: Listing) -> None:
    """Write down, as the library does, which commit a branch or a tag means."""
    if listing.revision == listing.commit:
        return
    note = folder / "refs" / listing.revision
    if note.is_file() and note.read_text("utf-8") == listing.commit:
        return
    note.parent.mkdir(parents=True, exist_ok=True)
    fresh = note.with_name(f"{note.name}.aix-lsp-new")
    fresh.write_text(listing.commit, "utf-8")
    fresh.replace(note)


def _digest(path: Path, file: RemoteFile) -> str:
    """SHA-256 of a large file; of a small one git's id: SHA-1 of a header and the content."""
    digest = sha256() if file.large else sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _begun_path(blob: Path) -> Path:
    return blob.with_name(blob.name + ".aix-lsp-incomplete")


def _begun(folder: Path, file: RemoteFile) -> int:
    blob = folder / "blobs" / file.digest
    return file.size if _there(blob, file) else min(_size(_begun_path(blob)), file.size)


def _there(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
