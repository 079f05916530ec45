"""textDocument/inlineCompletion: the latest request wins, and each is answered once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp

from aix_lsp.logs import fields, new_request_id, request_id, said
from aix_lsp.server.tracing import message_id
from aix_lsp.text import with_line_feeds
from aix_lsp.types import CompletionItem, CompletionRequest, CompletionResult

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer
    from aix_lsp.server.session import Session
    from aix_lsp.text import TextBuffer

logger = logging.getLogger(__name__)

ACCEPTED = "aix.accepted"


def register(server: AixServer) -> None:
    """Register the handler."""

    @server.feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, lsp.InlineCompletionOptions())
    def inline_completion(params: lsp.InlineCompletionParams) -> asyncio.Future[Any] | lsp.InlineCompletionList:
        nothing = lsp.InlineCompletionList(items=[])
        session = server.session
        request = completion_request(session, params.text_document.uri, params.position, params.context)
        if request is None:
            return nothing
        return latest_wins(session, _answer(session, request), nothing)


def completion_request(
    session: Session, uri: str, position: lsp.Position, context: lsp.InlineCompletionContext | None
) -> CompletionRequest | None:
    """The request on the document as it is now; None for a document that is not open."""
    snapshot = session.documents.snapshot(uri)
    document = session.documents.get(uri)
    if snapshot is None or document is None:
        logger.info("a completion was asked for a document that is not open")
        return None
    buffer = document.buffer
    encoding = session.documents.encoding
    offset = buffer.offset(position.line, position.character, encoding)
    selected = None
    info = context.selected_completion_info if context is not None else None
    if info is not None:
        start = buffer.offset(info.range.start.line, info.range.start.character, encoding)
        selected = (min(start, offset), info.text)
    invoked = context is not None and context.trigger_kind == lsp.InlineCompletionTriggerKind.Invoked
    return CompletionRequest(snapshot, offset, "invoked" if invoked else "automatic", selected)


def latest_wins(session: Session, work: Coroutine[Any, Any, Any], nothing: Any) -> asyncio.Future[Any]:
    """Run `work`, after answering the request before it (with nothing) and stopping its work at once.

    The returned future is the request's one answer; a client that cancels it stops the work too.
    """
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    task = session.run(work)

    def superseded() -> None:
        if not answer.done():
            answer.set_result(nothing)

    def finished(done: asyncio.Task[Any]) -> None:
        if answer.done():
            return
        if done.cancelled():
            answer.set_result(nothing)
        elif (error := done.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    def answered(_: asyncio.Future[Any]) -> None:
        if not task.done():
            session.given_up += 1
            task.cancel()
        if session.in_flight is superseded:
            session.in_flight = None

    before, session.in_flight = session.in_flight, superseded
    if before is not None:
        before()
    task.add_done_callback(finished)
    answer.add_done_callback(answered)
    return answer


async def complete(session: Session, request: CompletionRequest) -> CompletionResult:
    """Ask the service; a request that a newer one overtook has an empty result."""
    await session.settled.wait()
    if not session.started.is_set():
        return CompletionResult(reason="the server could not start")
    result = CompletionResult(reason="the request was cancelled")
    session.asked()
    request_id.set(new_request_id())  # of this task, and of all that it starts
    debugs = logger.isEnabledFor(logging.DEBUG)
    began = time.perf_counter()
    if debugs:
        document = request.document
        size = {"characters": len(document.text), "version": document.version, "language": document.language_id}
        logger.debug("received", extra=fields(trigger=request.trigger, message=message_id.get(), **size))
    try:
        result = await _complete(session, request)
    finally:
        session.answered(request, result)
        if debugs:
            seconds = time.perf_counter() - began
            answer = {"items": len(result.items), "source": result.source, "ms": round(seconds * 1000, 1)}
            logger.debug("answered", extra=fields(reason=said(result.reason), **answer))
    return result


async def _complete(session: Session, request: CompletionRequest) -> CompletionResult:
    from aix_lsp.engine.base import Superseded

    if silence := session.silence(request):
        result = CompletionResult(reason=silence)
        _remember(session, request, result)
        return result
    settings = session.settings_for(request.document.path)
    try:
        result = await session.service.complete(request, settings, text_now=lambda: _text_now(session, request))
    except Superseded:
        session.given_up += 1
        return CompletionResult(reason="a newer request came")
    if _text_now(session, request) != request.document.text:
        # typed on meanwhile: what we have belongs to a text that is gone
        result = replace(result, items=(), reason="the text has changed meanwhile")
    _remember(session, request, result)
    if result.failed:
        session.messages.warn(result.reason)
    return result


def _remember(session: Session, request: CompletionRequest, result: CompletionResult) -> None:
    """For `aix-lsp inspect`; of a document that holds secrets without its text."""
    private = bool(session.trace.capacity) and session.context.is_private(request.document)
    session.trace.note(request, result, private=private)


def _text_now(session: Session, request: CompletionRequest) -> str | None:
    document = session.documents.get(request.document.uri)
    return document.text if document is not None else None


async def _answer(session: Session, request: CompletionRequest) -> lsp.InlineCompletionList:
    result = await complete(session, request)
    document = session.documents.get(request.document.uri)
    if document is None:
        return lsp.InlineCompletionList(items=[])
    # the first comes last: it is the one that is shown, and the one that is followed while somebody types
    items = [_item(session, request, document.buffer, item) for item in reversed(result.items)]
    return lsp.InlineCompletionList(items=items[::-1])


def _item(
    session: Session, request: CompletionRequest, buffer: TextBuffer, item: CompletionItem
) -> lsp.InlineCompletionItem:
    encoding = session.documents.encoding
    typed = item.end - item.start
    session.acceptance.offered(
        item.id, request.document.uri, request.document.language_id, item.end, item.text[typed:] if typed else item.text
    )
    # Always a plain string: LSP 3.18 gives inline completion no client capability that would say whether a snippet
    # (StringValue) is understood; InlineCompletionClientCapabilities has dynamicRegistration alone.
    return lsp.InlineCompletionItem(
        # every editor makes line feeds the document's, but Neovim takes a carriage return for a character of the line
        insert_text=with_line_feeds(item.text),
        range=lsp.Range(
            start=lsp.Position(*buffer.position(item.start, encoding)),
            end=lsp.Position(*buffer.position(item.end, encoding)),
        ),
        command=lsp.Command(title="Completion accepted", command=ACCEPTED, arguments=[item.id]),
    )
