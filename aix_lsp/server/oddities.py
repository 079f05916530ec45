"""What clients send against the letter of LSP, where only one thing can be meant: the message is put into LSP's words.

lsprotocol refuses a whole message for one odd field. A document that was not opened, a change that was not applied or a
request without an answer stops completions with nothing to be seen in the editor, so what is not read is left out, what
is null or missing gets its plain meaning, and numbers past LSP's largest become that. Text is never guessed: a message
without the text, the place or the name of its document is refused as before (`fitting.py`).

Where such messages come from: null or a missing field for what was optional in older LSP (`version` before 3.16);
lists for empty objects and the other way round (Lua, PHP, Emacs Lisp have one empty table or list); enumerations that
are newer or older than ours; the largest number of the client's language for "the end".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lsprotocol import types as lsp

LARGEST = 2**31 - 1
"""The largest number of LSP ("Base Types"): `uinteger` and `integer` end here."""
NO_VERSION = -(2**31)
"""The version of changes that came without one. They are applied in the order in which they come."""

Params = dict[str, Any]

_CAPABILITIES_READ: Mapping[str, Any] = {
    "general": {"positionEncodings": list},
    "window": {"workDoneProgress": bool, "showDocument": {"support": bool}},
    "workspace": {
        "configuration": bool,
        "workspaceFolders": bool,
        "didChangeConfiguration": {"dynamicRegistration": bool},
        "didChangeWatchedFiles": {"dynamicRegistration": bool},
    },
    "textDocument": {"inlineCompletion": {"dynamicRegistration": bool}},
    "notebookDocument": {"synchronization": {"dynamicRegistration": bool}},
    "experimental": {"aix": {"status": bool, "waits": bool}},
}


def in_words_of_lsp(method: str, params: Any) -> Any:
    """The parameters as lsprotocol takes them, as far as their meaning is plain; never raises. What is given is not
    changed."""
    if not isinstance(params, dict):
        if method not in _NEED_NO_PARAMETERS:
            return params
        params = {}
    mend = _MENDS.get(method)
    return params if mend is None else mend(params)


# lifecycle and workspace


def _initialize(given: Params) -> Params:
    """What is not read is dropped: a client that is refused here has no server."""
    capabilities, client = given.get("capabilities"), given.get("clientInfo")
    kept: Params = {
        "processId": _process_id(given.get("processId")),
        "rootUri": _text_or_none(given.get("rootUri")),
        "rootPath": _text_or_none(given.get("rootPath")),
        "capabilities": _pruned(capabilities if isinstance(capabilities, dict) else {}, _CAPABILITIES_READ),
        "workspaceFolders": _folders(given.get("workspaceFolders")),
        "initializationOptions": given.get("initializationOptions"),
    }
    if isinstance(client, dict) and isinstance(client.get("name"), str):
        kept["clientInfo"] = {"name": client["name"], "version": _text_or_none(client.get("version"))}
    if given.get("trace") in ("off", "messages", "verbose"):
        kept["trace"] = given["trace"]
    return kept


def _pruned(given: Params, wanted: Mapping[str, Any]) -> Params:
    kept: Params = {}
    for key, shape in wanted.items():
        value = given.get(key)
        if isinstance(shape, Mapping):
            if isinstance(value, dict):
                kept[key] = _pruned(value, shape)
        elif shape is list:
            if isinstance(value, list):
                kept[key] = [item for item in value if item in ("utf-8", "utf-16", "utf-32")]
        elif isinstance(value, shape):
            kept[key] = value
    return kept


def _process_id(value: Any) -> int | None:
    """None for what no process can have: 0 and negative numbers mean groups to the system."""
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= LARGEST
    return int(value) if whole and value == int(value) else None


def _folders(value: Any) -> list[Params] | None:
    """Folders with a URI; their names are not read."""
    return [{"uri": uri, "name": ""} for uri in _uris(value)] if isinstance(value, list) else None


def _uris(values: list[Any]) -> list[str]:
    return [one["uri"] for one in values if isinstance(one, dict) and isinstance(one.get("uri"), str)]


def _changed_folders(given: Params) -> Params:
    event = given.get("event")
    if not isinstance(event, dict):
        return given
    return {"event": {name: _folders(event.get(name)) or [] for name in ("added", "removed")}}


def _changed_files(given: Params) -> Params:
    """What happened to a file is not read: the disk is looked at."""
    changes = _list(given.get("changes"))
    if not isinstance(changes, list):
        return given
    return {"changes": [{"uri": uri, "type": lsp.FileChangeType.Changed.value} for uri in _uris(changes)]}


def _command(given: Params) -> Params:
    return {"command": given.get("command"), "arguments": _list(given.get("arguments"))}


# documents


def _opened(given: Params) -> Params:
    return {"textDocument": _item(given.get("textDocument"))}


def _item(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {**_versioned(value, 0), "languageId": _or(value.get("languageId"), "")}


def _versioned(value: Any, without: int) -> Any:
    if not isinstance(value, dict):
        return value
    version = value.get("version")
    return {**value, "version": without if version is None else _within(version, -LARGEST)}


def _changed(given: Params) -> Params:
    return {
        "textDocument": _versioned(given.get("textDocument"), NO_VERSION),
        "contentChanges": _changes(given.get("contentChanges")),
    }


def _changes(value: Any) -> Any:
    return [_change(one) for one in value] if isinstance(value, list) else value


def _change(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {name: value[name] for name in ("range", "text") if name in value}
    if kept.get("range", "none") is None:
        del kept["range"]  # as if it were missing: the whole text
    elif "range" in kept:
        kept["range"] = _range(kept["range"])
    return kept


def _saved(given: Params) -> Params:
    return {"textDocument": given.get("textDocument")}


def _range(value: Any) -> Any:
    return {name: _place(one) for name, one in value.items()} if isinstance(value, dict) else value


def _place(value: Any) -> Any:
    return {name: _within(one) for name, one in value.items()} if isinstance(value, dict) else value


# notebooks


def _notebook_opened(given: Params) -> Params:
    notebook, items = given.get("notebookDocument"), _list(given.get("cellTextDocuments"))
    if isinstance(notebook, dict):
        notebook = {
            "uri": notebook.get("uri"),
            "notebookType": _or(notebook.get("notebookType"), ""),
            "version": _versioned(notebook, 0)["version"],
            "cells": _cells(notebook.get("cells")),
        }
    return {
        "notebookDocument": notebook,
        "cellTextDocuments": [_item(item) for item in items] if isinstance(items, list) else items,
    }


def _cells(value: Any) -> Any:
    """Of a cell its kind and its document are read, not what it printed or how often it ran."""
    cells = _list(value)
    if not isinstance(cells, list):
        return value
    code = lsp.NotebookCellKind.Code.value
    return [
        {"kind": _or(cell.get("kind"), code), "document": cell.get("document")} if isinstance(cell, dict) else cell
        for cell in cells
    ]


def _notebook_changed(given: Params) -> Params:
    change = given.get("change")
    cells = change.get("cells") if isinstance(change, dict) else None
    if isinstance(change, dict):
        change = {"cells": _changed_cells(cells)} if isinstance(cells, dict) else {}
    return {"notebookDocument": _versioned(given.get("notebookDocument"), 0), "change": change}


def _changed_cells(cells: Params) -> Params:
    structure, data, contents = cells.get("structure"), cells.get("data"), _list(cells.get("textContent"))
    kept: Params = {}
    if isinstance(structure, dict):
        array, opened = structure.get("array"), _list(structure.get("didOpen"))
        kept["structure"] = {
            "array": {**array, "cells": _cells(array.get("cells"))} if isinstance(array, dict) else array,
            "didOpen": [_item(item) for item in opened] if isinstance(opened, list) else opened,
            "didClose": _list(structure.get("didClose")),
        }
    elif structure is not None:
        kept["structure"] = structure
    kept["data"] = _cells(data)
    kept["textContent"] = [_content(one) for one in contents] if isinstance(contents, list) else contents
    return kept


def _content(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {"document": _versioned(value.get("document"), NO_VERSION), "changes": _changes(value.get("changes"))}


def _notebook_closed(given: Params) -> Params:
    return {**given, "cellTextDocuments": _list(given.get("cellTextDocuments"))}


# requests


def _inline_completion(given: Params) -> Params:
    """A context that says nothing, or something newer than we know, is that of somebody who types."""
    context = given.get("context")
    context = context if isinstance(context, dict) else {}
    kind, chosen = context.get("triggerKind"), context.get("selectedCompletionInfo")
    if kind not in (1, 2):
        # 0 was Invoked in the drafts of LSP 3.18
        kind = 1 if kind == 0 and not isinstance(kind, bool) else 2
    kept: Params = {"triggerKind": int(kind)}
    if isinstance(chosen, dict) and isinstance(chosen.get("text"), str) and isinstance(chosen.get("range"), dict):
        kept["selectedCompletionInfo"] = {"text": chosen["text"], "range": _range(chosen["range"])}
    return {**_asked_at(given), "context": kept}


def _asked_at(given: Params) -> Params:
    return {"textDocument": given.get("textDocument"), "position": _place(given.get("position"))}


# values


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _list(value: Any) -> Any:
    return [] if value is None or value == {} else value


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _within(value: Any, least: int | None = None) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return value
    return LARGEST if value > LARGEST else least if least is not None and value < least else value


_NEED_NO_PARAMETERS = frozenset({lsp.INITIALIZED, lsp.WORKSPACE_DID_CHANGE_CONFIGURATION})

_MENDS: Mapping[str, Callable[[Params], Params]] = {
    lsp.INITIALIZE: _initialize,
    lsp.INITIALIZED: lambda given: {},
    lsp.TEXT_DOCUMENT_DID_OPEN: _opened,
    lsp.TEXT_DOCUMENT_DID_CHANGE: _changed,
    lsp.TEXT_DOCUMENT_DID_SAVE: _saved,
    lsp.NOTEBOOK_DOCUMENT_DID_OPEN: _notebook_opened,
    lsp.NOTEBOOK_DOCUMENT_DID_CHANGE: _notebook_changed,
    lsp.NOTEBOOK_DOCUMENT_DID_CLOSE: _notebook_closed,
    lsp.TEXT_DOCUMENT_INLINE_COMPLETION: _inline_completion,
    lsp.TEXT_DOCUMENT_COMPLETION: _asked_at,
    lsp.WORKSPACE_EXECUTE_COMMAND: _command,
    lsp.WORKSPACE_DID_CHANGE_CONFIGURATION: lambda given: {"settings": given.get("settings")},
    lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES: _changed_files,
    lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: _changed_folders,
}
