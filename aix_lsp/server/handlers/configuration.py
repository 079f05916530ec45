"""workspace/didChangeConfiguration, workspace/configuration, and what is registered once the client is ready."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException

from aix_lsp.uris import path_to_uri

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer

logger = logging.getLogger(__name__)

SECTION = "aix"


def register(server: AixServer) -> None:
    """Register the handler."""

    @server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def did_change_configuration(params: lsp.DidChangeConfigurationParams) -> None:
        server.session.run(_changed(server, params.settings))


def prepare(server: AixServer) -> None:
    """At `initialize`: remember whether the client can be asked."""
    if _can(server, "workspace.configuration"):
        server.session.asks_settings = lambda: pull(server)


async def register_interest(server: AixServer) -> None:
    """After `initialized`: ask to be told of changes of settings and files."""
    registrations = []
    if _can(server, "workspace.did_change_configuration.dynamic_registration"):
        registrations.append(
            lsp.Registration(
                id="aix-configuration",
                method=lsp.WORKSPACE_DID_CHANGE_CONFIGURATION,
                register_options={"section": SECTION},
            )
        )
    if _can(server, "workspace.did_change_watched_files.dynamic_registration"):
        registrations.append(
            lsp.Registration(
                id="aix-watched-files",
                method=lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES,
                register_options=lsp.DidChangeWatchedFilesRegistrationOptions(
                    watchers=[lsp.FileSystemWatcher(glob_pattern="**/*")]
                ),
            )
        )
    if registrations:
        try:
            await server.protocol.send_request_async(
                lsp.CLIENT_REGISTER_CAPABILITY, lsp.RegistrationParams(registrations=registrations)
            )
        except JsonRpcException as error:
            logger.info("the client refused a registration: %s", error.code)


async def pull_if_started(server: AixServer) -> None:
    """Ask again, for a folder that came later."""
    await server.session.settled.wait()
    if server.session.started.is_set():
        await pull(server)


async def _changed(server: AixServer, pushed: Any) -> None:
    await server.session.settled.wait()
    if not server.session.started.is_set() or await pull(server):
        return
    values = _ours(pushed, set(type(server.session.settings).model_fields))
    if values is not None:
        server.session.configure(values)


def _ours(pushed: Any, sections: Set[str]) -> Mapping[str, Any] | None:
    """What is meant for us of what a client pushes that cannot be asked (older set-ups, bridges): settings under our
    name, nested or dotted, or ours alone. Everybody else's are none of our business."""
    if not isinstance(pushed, Mapping):
        return None
    if isinstance(under := pushed.get(SECTION), Mapping):
        return under
    dotted = {name: value for name, value in pushed.items() if str(name).startswith(f"{SECTION}.")}
    if dotted:
        return dotted
    return pushed if sections & {str(name).partition(".")[0] for name in pushed} else None


async def pull(server: AixServer) -> bool:
    """Ask for the settings, for all and for each folder. False where the client does not answer such questions."""
    if not _can(server, "workspace.configuration"):
        return False
    folders = list(server.session.folders.values())
    items = [lsp.ConfigurationItem(section=SECTION)]
    items += [lsp.ConfigurationItem(section=SECTION, scope_uri=path_to_uri(folder)) for folder in folders]
    try:
        answers = await server.protocol.send_request_async(
            lsp.WORKSPACE_CONFIGURATION, lsp.ConfigurationParams(items=items)
        )
    except JsonRpcException as error:
        logger.info("the client did not tell its settings: %s", error.code)
        return False
    if not isinstance(answers, (list, tuple)) or not answers:
        return False
    values: list[Mapping[str, Any]] = [plain(answer) for answer in answers]
    by_folder: dict[Path, Mapping[str, Any]] = dict(zip(folders, values[1:], strict=False))
    server.session.configure(values[0], by_folder)
    return True


def plain(value: Any) -> Mapping[str, Any]:
    """An answer as a mapping: pygls may hand over named tuples for objects, and null for nothing."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_asdict"):
        return {name: plain(item) if hasattr(item, "_asdict") else item for name, item in value._asdict().items()}
    return {}


def _can(server: AixServer, capability: str) -> bool:
    return bool(get_capability(server.client_capabilities, capability, False))
