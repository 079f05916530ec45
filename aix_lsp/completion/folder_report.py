"""What a folder's index holds, how far it is, and what it leaves out: for the status, `doctor` and the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aix_lsp.completion.folder import Folder
    from aix_lsp.completion.index_job import IndexReport

_WORDS: Mapping[str, str] = {
    "ignored": "ignored by .gitignore, .aixignore or workspace.ignore",
    "folder": "in folders that are never entered",
    "secret": "named like secrets",
    "type": "not code",
    "name": "with names that cannot be shown",
    "link": "links",
    "special": "no plain files",
    "size": "larger than workspace.max_file_kb",
    "unreadable": "that cannot be read",
    "binary": "binary",
    "generated": "generated",
    "minified": "minified",
    "withheld": "with a secret or no text inside",
}


def left_out_in_words(left_out: Mapping[str, int]) -> str:
    """`3 larger than workspace.max_file_kb, 12 not code`, most first; "" when nothing is left out."""
    counted = sorted(
        ((count, reason) for reason, count in left_out.items() if count), key=lambda pair: (-pair[0], pair)
    )
    return ", ".join(f"{count:,} {_WORDS.get(reason, reason)}" for count, reason in counted)


def cut_in_words(report: IndexReport, max_files: int) -> str:
    """Which files of a folder that has too many are indexed; "" when all are."""
    if not report.truncated:
        return ""
    if report.files + report.left_out.get("withheld", 0) < max_files:
        return "has too many entries to look at all of them; what lies deepest is not indexed"
    return f"has more files than workspace.max_files; the {report.files} most recently changed are indexed"


def folder_to_dict(folder: Folder) -> dict[str, Any]:
    """One folder as the status shows it.

    `phase` is where its indexing stands (see `Folder.phase`), `files` and `chunks` what can be found now. `found`,
    `left_out` and `truncated` are of the latest scan, null or empty before the first. `reused` files came
    from the index that is kept in the folder `cache`, and were not read: `from_disk`.
    """
    report = folder.scan
    return {
        "path": str(folder.path),
        "phase": folder.phase,
        "message": folder.failure,
        "indexing": folder.is_building,
        "files": len(folder.index.paths()),
        "chunks": len(folder.index),
        "memory_mb": round(folder.index.nbytes / 1e6, 2),
        "found": report.files if report is not None else None,
        "left_out": dict(report.left_out) if report is not None else {},
        "truncated": report.truncated if report is not None else False,
        "reused": folder.report.reused if folder.report is not None else 0,
        "from_disk": folder.report is not None and folder.report.reused > 0,
        "cache": folder.job.cache,
    }
