"""A small HTTP server for the remote engine's tests: answers as vLLM, llama.cpp's server or a plain one do, or fails in
the way that a test asks for. Real sockets, real HTTP; only the model is a fixed text."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.remote_text import as_text
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer

FOLDER = str(embedded().source)
TOKENIZER: ModelTokenizer = load_tokenizer(embedded().source)  # type: ignore[arg-type]

Kind = Literal["vllm", "llama.cpp", "counting", "text", "silent"]
"""What the server can do: ids and the way back, with the answer's ids or without; ids and a count; text and a count;
ids and no word about how it reads them."""


Scores = Literal["", "tells", "refuses", "garbage"]
"""Asked how likely its tokens were: keeps quiet, tells (in vLLM's form or llama.cpp's), fails, or tells nonsense."""


@dataclass
class Fault:
    """What goes wrong with a completion. `status` answers with that; `after` text tokens the stream `ends`: the
    connection is closed, hangs, or goes on with `garbage`; with `linger` it stays open behind a whole answer. `reply`
    writes the answer itself, headers and all, before the connection is closed. `everywhere`: not completions alone."""

    status: int = 0
    body: str = ""
    headers: Sequence[str] = ()
    after: int = 0
    ends: Literal["", "cut", "hang", "garbage", "error", "linger"] = ""
    reply: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
    everywhere: bool = False


@dataclass
class Seen:
    """One request that arrived. `gone` is set when the client closed the connection before the answer's end."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class ModelServer:
    """`async with ModelServer(...) as server`: listens on 127.0.0.1 until the block ends."""

    def __init__(
        self,
        kind: Kind = "vllm",
        *,
        text: str = "b + c\n",
        token: str = "",
        delay: float = 0.0,
        tls: ssl.SSLContext | None = None,
        drops_space: bool = False,
        lifts: bool = False,
        scores: Scores = "",
        models: Sequence[str] = ("aix-mini",),
        host: str = "127.0.0.1",
    ) -> None:
        self.kind = kind
        self.text = text
        self.token = token
        self.delay = delay
        self.fault: Fault | None = None
        self.drops_space = drops_space
        self.lifts = lifts
        self.scores = scores
        self.models = models
        self.host = host
        self.port = 0
        self.seen: list[Seen] = []
        self.connections = 0
        self.tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}"

    @property
    def completions(self) -> list[Seen]:
        """The streamed completions that were asked for."""
        return [seen for seen in self.seen if seen.body.get("stream")]

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        path = head[0].split(" ")[1]
        if "://" in path:  # for a proxy
            path = "/" + path.split("/", 3)[3]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(path, headers, json.loads(content) if content else {})
        self.seen.append(seen)
        if self.fault is not None and self.fault.everywhere:
            return await self._wrong(writer, self.fault)
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return await self._reply(writer, 401, {"error": "no"})
        if path == "/v1/models":
            data = [{"id": name, "max_model_len": 1024} for name in self.models]
            return await self._reply(writer, 200, {"data": data if self.kind == "vllm" else [{"id": "aix-mini"}]})
        if path == "/props" and self.kind == "llama.cpp":
            return await self._reply(writer, 200, {"default_generation_settings": {"n_ctx": 512}})
        if path == "/detokenize" and self.kind in ("vllm", "llama.cpp"):
            name = "prompt" if self.kind == "vllm" else "content"
            return await self._reply(writer, 200, {name: as_text(TOKENIZER, seen.body["tokens"])})
        if path == "/v1/completions":
            try:
                return await self._complete(reader, writer, seen)
            except OSError:
                seen.gone.set()
                raise
        return await self._reply(writer, 404, {"detail": "Not Found"})

    async def _complete(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        fault, body = self.fault, seen.body
        if fault is not None and (fault.status or fault.reply is not None):
            return await self._wrong(writer, fault)
        if body["model"] not in self.models:
            return await self._reply(writer, 404, {"error": {"message": "The model does not exist"}})
        prompt = body["prompt"]
        if self.kind == "text" and (not isinstance(prompt, str) or "top_k" in body):
            return await self._reply(writer, 422, {"detail": "prompt must be a string"})
        if "logprobs" in body and self.scores == "refuses":
            return await self._reply(writer, 500, {"detail": "logits_all is False"})
        if not body.get("stream"):
            return await self._reply(writer, 200, self._whole(body))
        watch = asyncio.ensure_future(self._watch(reader, seen))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        tokens = TOKENIZER.encode(self._rest(prompt))[: body["max_tokens"]]
        for index in range(body.get("n", 1)):
            for number, token in enumerate(tokens):
                if fault is not None and fault.ends and number == fault.after:
                    return await self._fail(writer, fault.ends, watch)
                await asyncio.sleep(self.delay)
                text = TOKENIZER.decode([token])
                text = text.removeprefix(" ") if self.drops_space and not number else text
                text = f"{index}{text}" if index and not number else text
                piece: dict[str, Any] = {"index": index, "text": text}
                if self.kind == "vllm" and not index:
                    piece["token_ids"] = [token]
                if "logprobs" in body:
                    piece["logprobs"] = self._told(token, number)
                await self._event(writer, {"choices": [piece]})
            reason = "length" if len(tokens) == body["max_tokens"] else "stop"
            await self._event(writer, {"choices": [{"index": index, "text": "", "finish_reason": reason}]})
        if fault is not None and fault.ends == "linger":
            return await self._fail(writer, "hang", watch)
        if self.kind != "text":
            await self._chunk(writer, b"data: [DONE]\n\n")
        watch.cancel()
        await asyncio.wait({watch})
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not seen.gone.is_set()

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"]
        count = len(prompt) if isinstance(prompt, list) else self.count(prompt)
        ids = TOKENIZER.encode(" x" if body["max_tokens"] > 1 and not self.drops_space else "x")
        if self.lifts and "logit_bias" in body:
            # Of the tokens that are lifted, the one with the most of what the text goes on with.
            lifted = sorted(map(int, body["logit_bias"]), key=lambda token: len(TOKENIZER.decode([token])))
            rest = self._rest(prompt)
            wanted = [token for token in lifted if rest.startswith(TOKENIZER.decode([token]))]
            ids = [(wanted or lifted)[-1]]
        choice: dict[str, Any] = {"index": 0, "text": TOKENIZER.decode(ids), "finish_reason": "length"}
        if self.kind == "vllm":
            choice["token_ids"] = ids
        if "logprobs" in body:
            choice["logprobs"] = self._told(ids[0], 0)
        return {"choices": [choice]} | ({} if self.kind == "silent" else {"usage": {"prompt_tokens": count}})

    def _told(self, token: int, number: int) -> Any:
        """The logarithm of a token's probability, here by its number alone."""
        text, score = TOKENIZER.decode([token]), -0.5 * (number + 1)
        if self.scores == "garbage":
            return {"tokens": [text], "token_logprobs": [None]}
        if self.scores != "tells":
            return None
        if self.kind == "llama.cpp":
            return {"content": [{"id": token, "token": text, "logprob": score, "top_logprobs": []}]}
        return {"tokens": [text], "token_logprobs": [score], "text_offset": [0], "top_logprobs": [{text: score}]}

    def _rest(self, prompt: str | list[int]) -> str:
        """The text without the beginning that the prompt holds already."""
        if not self.lifts or isinstance(prompt, str):
            return self.text
        end = TOKENIZER.decode(prompt[-8:])
        return next(self.text[size:] for size in range(len(self.text), -1, -1) if end.endswith(self.text[:size]))

    def count(self, text: str) -> int:
        """Tokens of a text for a server that reads it just as we write it."""
        total, rest = 0, text
        while rest:
            found = min(
                ((rest.find(piece), piece) for piece in TOKENIZER.special_pieces.values() if piece in rest),
                default=(len(rest), ""),
            )
            total += len(TOKENIZER.encode(rest[: found[0]])) + bool(found[1])
            rest = rest[found[0] + len(found[1]) :]
        return total

    async def _wrong(self, writer: asyncio.StreamWriter, fault: Fault) -> bool:
        if fault.reply is None:
            return await self._reply(writer, fault.status, fault.body, fault.headers)
        await fault.reply(writer)
        return False

    async def _fail(self, writer: asyncio.StreamWriter, how: str, watch: asyncio.Future[None]) -> bool:
        if how == "hang":
            await watch
        elif how == "garbage":
            await self._chunk(writer, b"data: <html>no json</html>\n\n")
            await watch
        elif how == "error":
            await self._event(writer, {"error": {"message": "out of memory"}})
            await watch
        watch.cancel()
        return False

    @staticmethod
    async def _watch(reader: asyncio.StreamReader, seen: Seen) -> None:
        """A client that wants no more closes its side; what was on the way to it makes a reset of that."""
        with contextlib.suppress(OSError):
            if await reader.read(1):
                return
        seen.gone.set()

    async def _event(self, writer: asyncio.StreamWriter, data: Any) -> None:
        await self._chunk(writer, b"data: " + json.dumps(data).encode() + b"\n\n")

    @staticmethod
    async def _chunk(writer: asyncio.StreamWriter, content: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(content), content))
        await writer.drain()

    @staticmethod
    async def _reply(writer: asyncio.StreamWriter, status: int, data: Any, headers: Sequence[str] = ()) -> bool:
        content = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *headers]
        if not isinstance(data, str):
            lines.append("Content-Type: application/json")
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()
        return True


def settings_for(server: ModelServer, **options: Any) -> RemoteSettings:
    """Settings for a server of this kind, whose model's tokenizer is the embedded one."""
    return RemoteSettings.model_validate({"url": server.url, "tokenizer": FOLDER, **options})


def request(text: str = "a = ", max_new_tokens: int = 32, **options: Any) -> GenerationRequest:
    """A request with a prompt of plain text behind the beginning token."""

    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        begin = tokenizer.special("<s>")
        assert begin is not None
        return Prompt((begin, *tokenizer.encode(text)), f"<s>{text}", "l2r")

    return GenerationRequest(build_prompt=build, max_new_tokens=max_new_tokens, **options)


async def until(condition: Callable[[], object], patience_s: float = 10.0) -> None:
    """Wait for what another task does."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.005)
