"""`aix-lsp complete`: one completion at a place in a file, or between two texts."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.setup import find_place, open_workspace, read_settings, warn
from aix_lsp.completion.inference import generate_between
from aix_lsp.completion.report import result_to_dict
from aix_lsp.completion.service import CompletionService
from aix_lsp.engine.select import engine_for
from aix_lsp.settings import Settings
from aix_lsp.text import TextBuffer
from aix_lsp.types import CompletionRequest

_DEFAULT_TOKENS = 256


def run(
    *,
    location: str,
    prefix: Path | None,
    suffix: Path | None,
    path: str,
    max_new_tokens: int | None,
    as_json: bool,
    model: str | None,
    workspace: Path | None,
    assignments: Sequence[str],
) -> None:
    """Complete and print; no offer is no error, but says why."""
    configuration = read_settings(model, assignments)
    settings = configuration.settings
    if bool(location) == bool(prefix):
        raise UsageError("give either FILE:LINE:COL, or --prefix FILE (with --suffix FILE and --path NAME)")
    if location and (suffix is not None or path or max_new_tokens is not None):
        raise UsageError("--suffix, --path and --max-new-tokens go with --prefix, not with FILE:LINE:COL")
    if prefix is not None and workspace is not None:
        raise UsageError("--workspace goes with FILE:LINE:COL, not with --prefix")
    if prefix is not None:
        texts = _read(prefix), _read(suffix) if suffix is not None else ""
        name = path or prefix.name
        data = asyncio.run(_between(*texts, name, max_new_tokens or _DEFAULT_TOKENS, settings))
    else:
        data = asyncio.run(_at(location, workspace, settings))
    if as_json:
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
        return
    for completion in data["completions"]:
        print(completion["text"])  # noqa: T201
    if not data["completions"]:
        sys.stderr.write(f"aix-lsp: nothing to offer: {data.get('reason', '')}\n")


def _read(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path.name} is not UTF-8 text") from None


async def _at(location: str, workspace: Path | None, settings: Settings) -> dict[str, Any]:
    place, folder = find_place(location, workspace)
    engine = engine_for(settings, warn)
    engine.start(asyncio.get_running_loop())
    try:
        # the model loads on its thread while this thread indexes
        context = open_workspace(folder, settings)
        await engine.ready()
        service = CompletionService(engine, context)
        # one completion is what was asked for
        completion = settings.completion.model_copy(update={"candidates": 1})
        settings = settings.model_copy(update={"completion": completion})
        request = CompletionRequest(place.document, place.offset, "invoked")
        return result_to_dict(await service.complete(request, settings), place.buffer)
    finally:
        engine.close()


async def _between(prefix: str, suffix: str, name: str, max_new_tokens: int, settings: Settings) -> dict[str, Any]:
    engine = engine_for(settings, warn)
    engine.start(asyncio.get_running_loop())
    try:
        generation = await generate_between(engine, prefix, suffix, name, max_new_tokens, settings)
    finally:
        engine.close()
    line, column = TextBuffer(prefix).position(len(prefix), "utf-32")
    end = {"line": line + 1, "column": column + 1}
    return {
        "completions": [{"text": generation.text, "range": {"start": end, "end": end}}] if generation.text else [],
        "snippets": [],
        "timings_ms": {
            "retrieval": 0.0,
            "prompt": round(generation.prompt_ms, 2),
            "first_token": round(generation.prompt_ms + generation.first_token_ms, 2),
            "total": round(generation.prompt_ms + generation.total_ms, 2),
        },
        "model": generation.model,
        "finish": generation.finish,
    }
