"""`aix-lsp doctor --bundle`: a zip for a bug report, with no source code in it.

What goes in is chosen, nothing is filtered out: figures, choices among fixed values, and sentences from which every
word was taken that is not the program's own (`bundle_words.py`).
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import aix_lsp
from aix_lsp.cli import bundle_parts
from aix_lsp.cli.assignments import command_line
from aix_lsp.cli.bundle_servers import servers
from aix_lsp.cli.bundle_words import vocabulary
from aix_lsp.cli.failure import UsageError
from aix_lsp.configuration import Configuration
from aix_lsp.files import replaced_file

LEFT_OUT = (
    "source code, prompts, answers, snippets, selected text, and the names of files, folders and projects",
    "values of settings that are typed freely (addresses, paths, patterns), and tokens: only whether they are set",
    "words in log records, reasons and findings that are not this program's own (each is replaced by an ellipsis)",
    "the names of the user and the machine",
)
_WHAT = {
    "doctor.json": "what doctor found",
    "versions.json": "versions of Python, the system and the libraries",
    "settings.json": "every option, and where its value comes from",
    "statistics.json": "sums of the counts of offers and of how long answers took",
    "servers.json": "running servers, and figures of their latest requests",
    "log.jsonl": "the log's records",
}
_FEWEST_LETTERS = 4


class Leak(ValueError):
    """Something would have been told that must not be. Nothing was written."""


def run(
    *,
    file: Path | None,
    as_json: bool,
    workspace: Path,
    model: str | None,
    load: bool,
    assignments: Sequence[str],
) -> None:
    """Write the zip and say what is in it. Raises UsageError, before anything is collected, where a file exists already
    or its folder does not."""
    path = file or Path(time.strftime("aix-lsp-report-%Y%m%d-%H%M%S.zip"))
    if path.exists():
        raise UsageError(f"{path} exists already; name another file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.absolute().parent} is no folder")
    members = collect(workspace, command_line(model, assignments), load=load)
    data = packed(members)
    with replaced_file(path, mode=0o600) as out:
        out.write(data)
    listed = _listed(members)
    if as_json:
        told = {"file": str(path.resolve()), "bytes": len(data), "members": listed, "left_out": list(LEFT_OUT)}
        print(json.dumps(told))  # noqa: T201
        return
    for member in listed:
        print(f"  {member['bytes']:>9,}  {member['name']:<16} {member['what']}")  # noqa: T201
    print("left out:")  # noqa: T201
    for what in LEFT_OUT:
        print(f"  {what}")  # noqa: T201
    print(f"{path.resolve()}: {len(data):,} bytes. Look into it before you send it.")  # noqa: T201


def collect(workspace: Path, options: Mapping[str, Any], *, load: bool = False) -> dict[str, bytes]:
    """The members by name, without the manifest. Raises Leak."""
    from aix_lsp.cli.doctor import examine
    from aix_lsp.cli.log import log_files

    configuration = Configuration()
    problems = configuration.read_user_file() + configuration.read_environment()
    problems += configuration.set_layer("command line", options)
    members = {
        "doctor.json": _json(bundle_parts.findings(examine(workspace, options, load=load))),
        "versions.json": _json(bundle_parts.versions()),
        "settings.json": _json(bundle_parts.settings(configuration, problems)),
        "statistics.json": _json(bundle_parts.statistics()),
        "servers.json": _json(servers()),
        "log.jsonl": "".join(f"{line}\n" for line in bundle_parts.log_lines(log_files())).encode("utf-8", "replace"),
    }
    settings = configuration.settings.remote
    secrets = (settings.token.get_secret_value(), os.environ.get(settings.token_env, ""), str(Path.home()))
    refuse_leaks(members, secrets)
    return members


def refuse_leaks(members: Mapping[str, bytes], secrets: Sequence[str]) -> None:
    """Look once more whether a member holds one of these. Raises Leak, which does not repeat it."""
    # a token that is one of our own words, as for a server that asks for none (`none`, `token`), says nothing there
    named = [secret for secret in secrets if len(secret) >= _FEWEST_LETTERS and secret.lower() not in vocabulary()]
    forms = [form for secret in named for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1])]
    for name, data in members.items():
        if any(form.encode() in data for form in forms):
            raise Leak(f"{name} would have held a token or the path of your folder; please report this line")


def packed(members: Mapping[str, bytes]) -> bytes:
    """The zip, its manifest first."""
    manifest = {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "aix-lsp": aix_lsp.__version__,
        "members": _listed(members),
        "left_out": list(LEFT_OUT),
    }
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {"manifest.json": _json(manifest), **members}.items():
            archive.writestr(name, data)
    return file.getvalue()


def _listed(members: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [{"name": name, "bytes": len(data), "what": _WHAT[name]} for name, data in members.items()]


def _json(data: Any) -> bytes:
    return json.dumps(data, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
