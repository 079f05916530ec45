"""A hub of one model on this machine: a real HTTP server with the routes that a download needs, and faults on
demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has and does. `requests` are (method, file, Range) in the order in which they came.

    `cut_after` breaks the connection off once after so many bytes of a large file, every time with `always_cut`;
    `damaged` files arrive with a wrong first byte; `refusal` is a status, and its code in the hub's own header, for
    everything; `ranges` False ignores where a client wants to go on; `page` stands in place of every file, with its
    length or, with `chunked`, without.
    """

    files: Mapping[str, bytes]
    repository: str = "owner/model"
    revisions: tuple[str, ...] = ("main", COMMIT)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    cut_after: int = 0
    always_cut: bool = False
    damaged: set[str] = field(default_factory=set)
    refusal: tuple[int, str] | None = None
    ranges: bool = True
    page: bytes = b""
    chunked: bool = False
    url: str = ""

    def large(self, name: str) -> bool:
        """Whether a file is kept outside of git, and so has a SHA-256."""
        return name.endswith((".safetensors", ".model"))

    def listing(self) -> dict[str, object]:
        siblings: list[dict[str, object]] = []
        for name, content in self.files.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": self.git_id(name)}
            if self.large(name):
                digest = sha256(content).hexdigest()
                entry["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
            siblings.append(entry)
        return {"id": self.repository, "sha": COMMIT, "siblings": siblings, "tags": ["license:mit"], "private": False}

    def git_id(self, name: str) -> str:
        content = self.files[name]
        return sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def etag(self, name: str) -> str:
        return sha256(self.files[name]).hexdigest() if self.large(name) else self.git_id(name)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Run the server on a free port of the loopback while the block runs; sets `hub.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

        def _answer(self, body: bool) -> None:
            path = unquote(self.path).split("?")[0].strip("/")
            hub.tokens.add(self.headers.get("Authorization", ""))
            if hub.refusal is not None:
                self._refuse(*hub.refusal)
                return
            if path.startswith(f"api/models/{hub.repository}/revision/"):
                if path.rpartition("/revision/")[2] not in hub.revisions:
                    self._refuse(404, "RevisionNotFound")
                    return
                self._send(200, json.dumps(hub.listing()).encode(), {"Content-Type": "application/json"}, body)
                return
            if not path.startswith(f"{hub.repository}/resolve/"):
                self._refuse(404, "RepoNotFound")
                return
            name = path.split("/resolve/")[1].split("/")[-1]
            if name not in hub.files:
                self._refuse(404, "EntryNotFound")
                return
            self._send_file(name, body)

        def _refuse(self, status: int, code: str) -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
            self._send(status, b"{}", headers, body=self.command == "GET")

        def _send_file(self, name: str, body: bool) -> None:
            content = hub.files[name]
            wanted = self.headers.get("Range", "") if hub.ranges else ""
            hub.requests.append((self.command, name, self.headers.get("Range", "")))
            if hub.page:
                self._send_page()
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if start > len(content):
                self._send(416, b"", {}, body)
                return
            if name in hub.damaged:
                content = b"?" + content[1:]
            headers = {"ETag": f'"{hub.etag(name)}"', "X-Repo-Commit": COMMIT}
            if hub.large(name):
                headers["X-Linked-Etag"] = f'"{hub.etag(name)}"'
                headers["X-Linked-Size"] = str(len(content))
            if wanted:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if body and hub.cut_after and hub.large(name):
                cut, hub.cut_after = hub.cut_after, hub.cut_after if hub.always_cut else 0
                self._send(206 if wanted else 200, content[start:], headers, body, upto=cut)
                self.close_connection = True
                return
            self._send(206 if wanted else 200, content[start:], headers, body)

        def _send_page(self) -> None:
            if not hub.chunked:
                self._send(200, hub.page, {"Content-Type": "text/html"}, body=True)
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(hub.page), hub.page))

        def _send(
            self, status: int, content: bytes, headers: Mapping[str, str], body: bool, upto: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content[:upto])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
