"""pygls's protocol class with its faults worked around, all of them here and each with a test.

What is changed, for pygls 2.1 (tests/unit/test_protocol.py, tests/e2e/test_protocol_errors.py):

- A message is parsed whole and structured once. pygls structures every nested object that has a key "jsonrpc",
  and never answers a request whose params do not parse.
- Capabilities are cut to those we read before they are structured, so that a client with a value newer than
  lsprotocol still gets a server.
- Inline completion's triggerKind 0, which old clients send, becomes Invoked (1).
- Documents are ours (`workspace/documents.py`). pygls splits lines at form feeds and keeps a second copy.
- A handler may return a task: it runs while its message is dispatched, so it sees the documents as they were.
  pygls starts coroutines later, perhaps after changes that came behind.
- Requests before initialize and after shutdown get their error; pygls answers neither.
- Futures are dropped once used; message bodies are never logged; errors open no window in the editor.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import (
    FeatureNotificationError,
    FeatureRequestError,
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
    JsonRpcRequestCancelled,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol

logger = logging.getLogger(__name__)

_BUILTIN = frozenset({lsp.INITIALIZE, lsp.INITIALIZED, lsp.SET_TRACE, lsp.WORKSPACE_EXECUTE_COMMAND})

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


class AixProtocol(LanguageServerProtocol):
    """LSP over pygls, one client. `handle_body` takes each message's bytes, on the event loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # pygls logs bodies (the user's source) at INFO and with every exception; what matters we log ourselves.
        logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
        super().__init__(*args, **kwargs)
        self._initialized = False

    def _register_builtin_features(self) -> None:
        for name in dir(type(self)):
            method_name = getattr(getattr(type(self), name, None), "method_name", None)
            if method_name in _BUILTIN:
                self.fm.add_builtin_feature(method_name, getattr(self, name))

    def handle_body(self, body: bytes) -> None:
        """Take one message. Whatever is wrong with it, a request gets exactly one answer and nothing is raised."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            self._refuse(None, JsonRpcParseError("the message is not JSON"))
            return
        if not isinstance(data, dict) or data.get("jsonrpc") != "2.0":
            self._refuse(_message_id(data), JsonRpcInvalidRequest("not a JSON-RPC 2.0 message"))
            return
        method = data.get("method")
        if isinstance(method, str):
            self._handle_call(data, method)
        elif "method" not in data and ("result" in data or "error" in data):
            self._handle_reply(data)
        else:
            self._refuse(_message_id(data), JsonRpcInvalidRequest("a message needs a method"))

    def _handle_call(self, data: dict[str, Any], method: str) -> None:
        is_request = "id" in data
        message_id = _message_id(data)
        if is_request and message_id is None:
            self._refuse(None, JsonRpcInvalidRequest("a request's id is a number or a string"))
            return
        problem = self._out_of_order(method)
        if problem is not None:
            if is_request:
                self._refuse(message_id, problem)
            return
        if method not in self.fm.builtin_features and method not in self.fm.features and method != lsp.CANCEL_REQUEST:
            if is_request:
                self._refuse(message_id, JsonRpcMethodNotFound(f"{method} is not supported"))
            return
        try:
            message = self.structure_message(_mended(data, method))
        except JsonRpcException:
            logger.info("%s with parameters that do not fit was refused", method)
            if is_request:
                self._refuse(message_id, JsonRpcInvalidParams(f"{method}: the parameters do not fit"))
            return
        self._initialized = self._initialized or method == lsp.INITIALIZE
        self.handle_message(message)

    def _handle_reply(self, data: dict[str, Any]) -> None:
        waiting = self._request_futures.get(_message_id(data) or "")
        if waiting is not None and waiting.done():
            # nobody waits any more: the wait ended before the client answered
            self._request_futures.pop(_message_id(data) or "", None)
            return
        if data.get("error") is None:
            data.pop("error", None)
            data.setdefault("result", None)
        try:
            self.handle_message(self.structure_message(data))
        except (JsonRpcException, AttributeError, KeyError, TypeError):
            # a reply we cannot read counts as none; whoever waits for it is told
            future = self._request_futures.pop(data.get("id", ""), None)
            if future is not None and not future.done():
                future.set_exception(JsonRpcInternalError("the client's reply could not be read"))

    def _out_of_order(self, method: str) -> JsonRpcException | None:
        if method == lsp.EXIT:
            return None
        if self._shutdown:
            return JsonRpcInvalidRequest("the server is shutting down")
        if not self._initialized and method != lsp.INITIALIZE:
            return JsonRpcServerNotInitialized("initialize comes first")
        if self._initialized and method == lsp.INITIALIZE:
            return JsonRpcInvalidRequest("the server was initialized before")
        return None

    def _refuse(self, message_id: int | str | None, error: JsonRpcException) -> None:
        response = {"jsonrpc": "2.0", "id": message_id, "error": {"code": error.code, "message": error.message}}
        self._send_data(response)

    def _execute_handler(
        self,
        msg_id: Any,
        handler: Callable[..., Any],
        callback: Callable[[Any], None],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        if inspect.isgeneratorfunction(handler):
            super()._execute_handler(msg_id, handler, callback, args, kwargs)
            return
        outcome: Any = Future()
        try:
            result = handler(*(args or ()), **(kwargs or {}))
        except Exception as error:  # noqa: BLE001  # becomes the error reply
            outcome.set_exception(error)
        else:
            if inspect.iscoroutine(result):
                result = asyncio.ensure_future(result)
            if isinstance(result, asyncio.Future):
                outcome = result
                self._request_futures[msg_id] = outcome
                outcome.add_done_callback(lambda done: self._forget(msg_id, done))
            else:
                outcome.set_result(result)
        outcome.add_done_callback(callback)

    def _send_handler_result(self, future: Any, *, msg_id: Any) -> None:
        self._request_futures.pop(msg_id, None)
        if future.cancelled():
            self._refuse(msg_id, JsonRpcRequestCancelled("the request was cancelled"))
            return
        error = future.exception()
        if error is None:
            self._send_response(msg_id, result=future.result())
        elif isinstance(error, JsonRpcException):
            self._refuse(msg_id, error)
        else:
            # neither message nor traceback: both may quote the user's text
            self._refuse(msg_id, JsonRpcInternalError(f"internal error ({type(error).__name__})"))
            self._server._report_server_error(error, FeatureRequestError)

    def _check_handler_result(self, future: Any) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._server._report_server_error(error, FeatureNotificationError)

    def _forget(self, msg_id: Any, done: asyncio.Future[Any]) -> None:
        futures: dict[Any, Any] = self._request_futures
        if futures.get(msg_id) is done:
            del futures[msg_id]

    @property
    def is_shutting_down(self) -> bool:
        """Whether the client said shutdown."""
        return bool(self._shutdown)

    def begin_shutdown(self) -> None:
        """Cancel what is in flight and take nothing more but exit (LSP 3.18, "Shutdown Request")."""
        self._shutdown = True
        for future in list(self._request_futures.values()):
            future.cancel()

    def _send_data(self, data: Any) -> None:
        if self.writer is None:
            return
        body = json.dumps(data, default=self._serialize_message).encode("utf-8")
        self.writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _message_id(data: Any) -> int | str | None:
    value = data.get("id") if isinstance(data, dict) else None
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _mended(data: dict[str, Any], method: str) -> dict[str, Any]:
    """The message with what lsprotocol would refuse for no good reason put right."""
    params = data.get("params")
    if not isinstance(params, dict):
        return data
    if method == lsp.INITIALIZE:
        params = dict(params)
        capabilities = params.get("capabilities")
        params["capabilities"] = _pruned(capabilities if isinstance(capabilities, dict) else {}, _CAPABILITIES_READ)
        if params.get("trace") not in ("off", "messages", "verbose"):
            params.pop("trace", None)
        params.setdefault("processId", None)
        params.setdefault("rootUri", None)
    elif method == lsp.TEXT_DOCUMENT_INLINE_COMPLETION:
        context = params.get("context")
        kind = context.get("triggerKind") if isinstance(context, dict) else None
        if isinstance(context, dict) and kind == 0 and not isinstance(kind, bool):
            params = {**params, "context": {**context, "triggerKind": 1}}
    return {**data, "params": params}


def _pruned(given: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
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
