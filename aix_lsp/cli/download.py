"""`aix-lsp download`: a model of the catalog into the local cache, its licence shown first."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aix_lsp.cli.failure import UsageError
from aix_lsp.engine.catalog import CatalogEntry, known, resolve
from aix_lsp.engine.download import Progress, check_disk, download, missing
from aix_lsp.engine.hub import Listing, list_files

_STEPS = 10


def run(*, name: str, yes: bool, as_json: bool) -> None:
    """Show what would be fetched and under which licence, ask, and fetch it."""
    entry = resolve(name)
    if entry.source == known()["aix-mini"].source:
        raise UsageError(f"{entry.name} is part of aix-lsp; there is nothing to download")
    if isinstance(entry.source, Path):
        raise UsageError(f"{entry.source} is a folder; download takes a model's name")
    listing = list_files(entry.source)
    left = missing(listing)
    if left:
        check_disk(listing)
        _line(_offer(entry, listing))
        _ask(yes, as_json)
    with _shown(as_json) as progress:
        folder = download(listing, progress)
    if as_json:
        data = {
            "name": entry.name,
            "repository": listing.repository,
            "commit": listing.commit,
            "folder": str(folder),
            "bytes": listing.size,
            "fetched": [file.name for file in left],
        }
        print(json.dumps(data))  # noqa: T201
    elif left:
        print(f"{entry.name} is ready: aix-lsp serve --model {name}")  # noqa: T201
    else:
        print(f"{entry.name} is there already, whole: {folder}")  # noqa: T201


def _offer(entry: CatalogEntry, listing: Listing) -> str:
    licence = entry.licence or f"{listing.licence or 'not stated'} (as its page says)"
    return (
        f"{entry.name}: {listing.repository}, {listing.size / 1e9:,.1f} GB in {len(listing.files)} files\n"
        f"licence: {licence}"
    )


def _ask(yes: bool, as_json: bool) -> None:
    """Go on only with a yes: from the option, or on a terminal from the keyboard."""
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise UsageError("say --yes to accept the licence and download")
    sys.stderr.write("Accept the licence and download? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was downloaded")


@contextmanager
def _shown(as_json: bool) -> Iterator[Progress]:
    """Progress on standard error: a bar on a terminal, else a line per tenth of a file; nothing with JSON."""
    if as_json:
        yield lambda name, done, size: None
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=Console(stderr=True, highlight=False)) as bars:
        tasks = {}

        def progress(name: str, done: int, size: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=size)
            bars.update(tasks[name], completed=done)

        yield progress


class _Lines:
    """A line for every tenth of a file, for output that is kept."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def __call__(self, name: str, done: int, size: int) -> None:
        step = _STEPS * done // max(size, 1)
        if step > self._told.get(name, -1):
            self._told[name] = step
            _line(f"{name}: {done / 1e6:,.0f} of {size / 1e6:,.0f} MB")


def _line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
