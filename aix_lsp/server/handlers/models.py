"""workspace/executeCommand `aix.models`: the models to choose from, for an editor's menu."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from pygls.exceptions import JsonRpcException, JsonRpcInternalError

from aix_lsp.server.handlers.commands import refuse_before_start

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer
    from aix_lsp.settings import ModelSettings

MODELS = "aix.models"
_ANSWER_S = 120.0
"""PyTorch's import takes 2 s, and from a cold disk on a busy machine many times that."""


def register(server: AixServer) -> None:
    """Register the command."""

    @server.command(MODELS)
    async def models(*arguments: Any) -> dict[str, Any]:
        """The catalog on this machine: `current`, the model that is loaded (null for none), `chosen`, what `model.name`
        says, and `models` (`engine/model_list.py`). A change of `model.name` takes effect at the next start."""
        refuse_before_start(server)
        session = server.session
        model = session.engine.model
        current = model.name if model is not None else None
        settings = session.settings.model
        return {"current": current, "chosen": settings.name, "models": await _list(settings, current or "")}


async def _list(settings: ModelSettings, current: str) -> list[dict[str, Any]]:
    """What the process says. It is killed with the request. Raises JsonRpcInternalError."""
    from aix_lsp.engine.model_list import MODULE
    from aix_lsp.environment import without_secrets

    question = json.dumps({"settings": settings.model_dump(mode="json"), "current": current}).encode()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # an editor starts us inside the workspace, whose modules must not be imported
        "-m",
        MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=without_secrets(),
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            told, errors = await process.communicate(question)
        found: list[dict[str, Any]] = json.loads(told)
    except (TimeoutError, ValueError) as error:
        slow = isinstance(error, TimeoutError)
        last = [] if slow else errors.decode(errors="replace").strip().splitlines()
        why = last[-1] if last else f"no answer within {_ANSWER_S:.0f} s" if slow else "it said nothing"
        failure: JsonRpcException = JsonRpcInternalError(f"the models cannot be listed: {why}")
        raise failure from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return found
