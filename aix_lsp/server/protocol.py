"""pygls's protocol class with its faults worked around, all of them here and each with a test.

What is changed, for pygls 2.1 (tests/unit/test_protocol.py, tests/e2e/test_protocol_errors.py):

- A message is parsed whole and structured once. pygls structures every nested object that has a key "jsonrpc",
  and never answers a request whose params do not parse.
- What is odd and means one thing only is taken (`oddities.py`): capabilities newer than lsprotocol, null for what is
  not there, an unknown triggerKind.
- Documents are ours (`workspace/documents.py`). pygls splits lines at form feeds and keeps a second copy.
- A handler may return a task: it runs while its message is dispatched, so it sees the documents as they were.
  pygls starts coroutines later, perhaps after changes that came behind.
- Requests before initialize and after shutdown get their error; pygls answers neither.
- A value of another JSON type than LSP names is refused. pygls's converter makes text of it: `"text": null` opened a
  document with the text `None`, and `"contentChanges": {}` was a change by nothing.
- Requests of the client and the server's own are kept apart, and several of the client's under one id: pygls keeps one
  table, where a reply with the id of a request that runs became its answer.
- Futures are dropped once used; message bodies are never logged; errors open no window in the editor.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import uuid
from collections.abc import Callable, Generator
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
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage
from pygls.protocol.language_server import lsp_method

from aix_lsp.server.fitting import take_only_what_fits
from aix_lsp.server.oddities import in_words_of_lsp

logger = logging.getLogger(__name__)

_BUILTIN = frozenset({lsp.INITIALIZE, lsp.INITIALIZED, lsp.SET_TRACE, lsp.WORKSPACE_EXECUTE_COMMAND})

_ANSWER_SECONDS = 60.0
"""A client that never answers what it is asked would otherwise cost a task for each question."""


class AixProtocol(LanguageServerProtocol):
    """LSP over pygls, one client. `handle_body` takes each message's bytes, on the event loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # pygls logs bodies (the user's source) at INFO and with every exception; what matters we log ourselves.
        logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
        super().__init__(*args, **kwargs)
        take_only_what_fits(self._converter)
        self._initialized = False
        self._running: dict[int | str, list[asyncio.Future[Any]]] = {}
        """Requests of the client that are not answered yet; more than one where it uses an id twice."""

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
            self._refuse(id_of(data), JsonRpcInvalidRequest("not a JSON-RPC 2.0 message"))
            return
        method = data.get("method")
        if isinstance(method, str):
            self._handle_call(data, method)
        elif "method" not in data and ("result" in data or "error" in data):
            self._handle_reply(data)
        else:
            self._refuse(id_of(data), JsonRpcInvalidRequest("a message needs a method"))

    def _handle_call(self, data: dict[str, Any], method: str) -> None:
        is_request = "id" in data
        message_id = id_of(data)
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
        if method == lsp.CANCEL_REQUEST:
            self._cancel(data.get("params"))
            if is_request:
                self._refuse(message_id, JsonRpcInvalidRequest(f"{method} is a notification"))
            return
        data = {**data, "params": in_words_of_lsp(method, data.get("params"))}
        if is_request:
            data["id"] = message_id
        try:
            message = self._converter.structure(data, self._type_of(method, is_request))
        except Exception:  # noqa: BLE001  # a converter raises whatever the value's own methods raise
            logger.info("%s with parameters that do not fit was refused", method)
            if is_request:
                self._refuse(message_id, JsonRpcInvalidParams(f"{method}: the parameters do not fit"))
            return
        if is_request is not hasattr(message, "id"):
            logger.info("%s came as what it is not, request or notification", method)
            if is_request:
                self._refuse(message_id, JsonRpcInvalidRequest(f"{method} is a notification"))
            return
        self._initialized = self._initialized or method == lsp.INITIALIZE
        self.handle_message(message)

    def _type_of(self, method: str, is_request: bool) -> Any:
        return self.get_message_type(method) or (JsonRPCRequestMessage if is_request else JsonRPCNotification)

    def _cancel(self, params: Any) -> None:
        """A request that is not known has been answered, or never was one."""
        message_id = id_of(params)
        if message_id is not None:
            for future in list(self._running.get(message_id, ())):
                future.cancel()

    def _handle_reply(self, data: dict[str, Any]) -> None:
        """The client answers a request of ours. A reply that nobody waits for (any more) is dropped, and one that we
        cannot read counts as none; whoever waits for it is told."""
        message_id = id_of(data)
        future = self._request_futures.get(message_id) if message_id is not None else None
        if message_id is None or future is None or future.done():
            return
        error = data.get("error")
        if error is not None:
            code = error.get("code") if isinstance(error, dict) else None
            future.set_exception(JsonRpcException("the client refused", code if isinstance(code, int) else 0))
            return
        try:
            reply = {"jsonrpc": "2.0", "id": message_id, "result": data.get("result")}
            kind = self._result_types.get(message_id)
            result = self._converter.structure(reply, kind).result if kind is not None else reply["result"]
        except Exception:  # noqa: BLE001  # as above
            future.set_exception(JsonRpcInternalError("the client's reply could not be read"))
        else:
            future.set_result(result)

    def send_request(self, method: str, params: Any = None, callback: Any = None, msg_id: Any = None) -> Future[Any]:
        """Ask the client, which has `_ANSWER_SECONDS`; its silence is then an error like its refusal. Nothing of it is
        kept once nobody waits any more."""
        number = str(uuid.uuid4()) if msg_id is None else msg_id
        future: Future[Any] = super().send_request(method, params, callback, number)

        def expired() -> None:
            if not future.done():
                future.set_exception(JsonRpcInternalError("the client did not answer"))

        timer = asyncio.get_running_loop().call_later(_ANSWER_SECONDS, expired)

        def forget(_: Future[Any]) -> None:
            timer.cancel()
            self._request_futures.pop(number, None)
            self._result_types.pop(number, None)

        future.add_done_callback(forget)
        return future

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
        outcome: Any = Future()
        try:
            result = handler(*(args or ()), **(kwargs or {}))
            if inspect.isgenerator(result):
                result = _driven(result)
        except Exception as error:  # noqa: BLE001  # becomes the error reply
            outcome.set_exception(error)
        else:
            if inspect.iscoroutine(result):
                result = asyncio.ensure_future(result)
            if isinstance(result, asyncio.Future):
                outcome = result
                self._running.setdefault(msg_id, []).append(outcome)
                outcome.add_done_callback(lambda done: self._forget(msg_id, done))
            else:
                outcome.set_result(result)
        outcome.add_done_callback(callback)

    @lsp_method(lsp.WORKSPACE_EXECUTE_COMMAND)
    def lsp_workspace__execute_command(self, params: lsp.ExecuteCommandParams) -> Any:
        """Run a command. What it returns is the request's own answer, so that a cancelled request ends its work."""
        command = self.fm.commands.get(params.command)
        if command is None:
            refusal: JsonRpcException = JsonRpcInvalidParams("there is no such command")
            raise refusal
        return command(*(params.arguments or ()))

    def _send_handler_result(self, future: Any, *, msg_id: Any) -> None:
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

    def _forget(self, msg_id: int | str, done: asyncio.Future[Any]) -> None:
        running = self._running.get(msg_id, [])
        if done in running:
            running.remove(done)
        if not running:
            self._running.pop(msg_id, None)

    @property
    def unanswered(self) -> int:
        """Requests of the client that wait for their answer."""
        return sum(len(futures) for futures in self._running.values())

    @property
    def is_shutting_down(self) -> bool:
        """Whether the client said shutdown."""
        return bool(self._shutdown)

    def begin_shutdown(self) -> None:
        """Cancel what is in flight and take nothing more but exit (LSP 3.18, "Shutdown Request")."""
        self._shutdown = True
        for running in list(self._running.values()):
            for future in list(running):
                future.cancel()
        for asked in list(self._request_futures.values()):
            asked.cancel()

    def _send_data(self, data: Any) -> None:
        if self.writer is None:
            return
        body = json.dumps(data, default=self._serialize_message).encode("utf-8")
        self.writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _driven(steps: Generator[Any, Any, Any]) -> Any:
    """Run one of pygls's own handlers, which hand over the handler to be called between their two halves. None of ours
    that are called so is a coroutine."""
    value: Any = None
    try:
        while True:
            handler, args, kwargs = steps.send(value)
            value = handler(*args, **(kwargs or {}))
    except StopIteration as end:
        return end.value


def id_of(data: Any) -> int | str | None:
    """The id of a message, or None where it has none that can be used."""
    value = data.get("id") if isinstance(data, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON has one kind of number
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None
