"""textDocument/completion as an opt-in fallback (completion.fallback_completion) for clients that do not know
inline completion: the same answer as one entry of the suggest list."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp

from aix_lsp.server.handlers.inline_completion import (
    ACCEPTED,
    complete,
    completion_request,
    latest_wins,
)
from aix_lsp.text import with_line_feeds
from aix_lsp.types import CompletionRequest

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer
    from aix_lsp.server.session import Session

_OPTION = "completion.fallback_completion"


def register_if_wanted(server: AixServer, *, inline_is_known: bool) -> None:
    """Advertise completion if a source of settings asks for it and the client does not know inline completion.

    The settings proper are read after `initialize` is answered, so they are read here first only when some source
    mentions the option at all.
    """
    if inline_is_known:
        return
    options = server.session.initialization_options
    mentioned = (
        "fallback" in str(options)
        or _OPTION in server.command_line
        or "AIX_LSP_COMPLETION__FALLBACK_COMPLETION" in os.environ
        or _user_file_mentions("fallback_completion")
    )
    if not mentioned:
        return
    from aix_lsp.configuration import Configuration

    configuration = Configuration()
    configuration.read_user_file()
    configuration.read_environment()
    configuration.set_layer("initializationOptions", options)
    configuration.set_layer("command line", server.command_line)
    if configuration.settings.completion.fallback_completion:
        _register(server)


def _user_file_mentions(word: str) -> bool:
    import platformdirs

    named = os.environ.get("AIX_LSP_CONFIG")
    path = named or str(platformdirs.user_config_path("aix-lsp", appauthor=False) / "config.toml")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return word in file.read()
    except OSError:
        return False


def _register(server: AixServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=[".", "(", " ", ":"]))
    def completion(params: lsp.CompletionParams) -> asyncio.Future[Any] | lsp.CompletionList:
        nothing = lsp.CompletionList(is_incomplete=True, items=[])
        session = server.session
        request = completion_request(session, params.text_document.uri, params.position, None)
        if request is None:
            return nothing
        return latest_wins(session, _answer(session, request, params.position), nothing)


async def _answer(session: Session, request: CompletionRequest, position: lsp.Position) -> lsp.CompletionList:
    result = await complete(session, request)
    items = []
    for number, item in enumerate(result.items):
        first = item.text.strip().splitlines()[0]
        session.acceptance.offered(item.id, request.document.uri, request.document.language_id, item.end, item.text)
        word = _word_before(request.document.text, request.offset)
        items.append(
            lsp.CompletionItem(
                label=(word + first)[:80],
                kind=lsp.CompletionItemKind.Snippet,
                detail="aix",
                # most clients drop an entry that does not begin with the word under the cursor
                filter_text=word + first,
                sort_text=f"\x00{number}",
                text_edit=lsp.TextEdit(
                    range=lsp.Range(start=position, end=position), new_text=with_line_feeds(item.text)
                ),
                command=lsp.Command(title="Completion accepted", command=ACCEPTED, arguments=[item.id]),
            )
        )
    return lsp.CompletionList(is_incomplete=True, items=items)


def _word_before(text: str, offset: int) -> str:
    start = offset
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    return text[start:offset]
